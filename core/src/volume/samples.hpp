// SPDX-License-Identifier: Apache-2.0
// One loop per sample type, chosen outside of it.
#pragma once

#include <cstdint>

#include "hilum/error.hpp"
#include "hilum/image_view.hpp"

namespace hilum::volume {

/// Calls `function.template operator()<T>()` with the C++ type of the samples.
template <typename Function>
decltype(auto) with_type(SampleType type, Function&& function) {
    switch (type) {
        case SampleType::u8:
            return function.template operator()<std::uint8_t>();
        case SampleType::s8:
            return function.template operator()<std::int8_t>();
        case SampleType::u16:
            return function.template operator()<std::uint16_t>();
        case SampleType::s16:
            return function.template operator()<std::int16_t>();
        case SampleType::u32:
            return function.template operator()<std::uint32_t>();
        case SampleType::s32:
            return function.template operator()<std::int32_t>();
        case SampleType::f32:
            return function.template operator()<float>();
        case SampleType::f64:
            return function.template operator()<double>();
    }
    throw Error(Errc::invalid_argument, "unknown sample type");
}

}  // namespace hilum::volume
