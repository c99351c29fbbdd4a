// SPDX-License-Identifier: Apache-2.0
// Extracted sample values of any type as double, a row at a time.
#pragma once

#include <cstring>
#include <type_traits>
#include <utility>

#include "hilum/image_view.hpp"
#include "hilum/pixel/voi_lut.hpp"

namespace hilum::pixel {

template <typename Sample>
[[nodiscard]] inline Sample extracted(const std::byte* in, Extraction e) noexcept {
    Sample value{};
    std::memcpy(&value, in, sizeof(value));
    if constexpr (std::is_integral_v<Sample>) {
        using Unsigned = std::make_unsigned_t<Sample>;
        const auto shifted = static_cast<Unsigned>(static_cast<Unsigned>(value) << e.left);
        value = static_cast<Sample>(static_cast<Sample>(shifted) >> e.right);
    }
    return value;
}

/// Calls `each` with a value of the view's type, to be deduced: `each(Sample{})`.
template <typename Each>
decltype(auto) with_type(SampleType type, Each&& each) {
    switch (type) {
        case SampleType::u8:
            return each(std::uint8_t{});
        case SampleType::s8:
            return each(std::int8_t{});
        case SampleType::u16:
            return each(std::uint16_t{});
        case SampleType::s16:
            return each(std::int16_t{});
        case SampleType::u32:
            return each(std::uint32_t{});
        case SampleType::s32:
            return each(std::int32_t{});
        case SampleType::f32:
            return each(float{});
        case SampleType::f64:
            break;
    }
    return each(double{});
}

/// Calls `each(x, value)` for every sample of a row; `value` is a double.
template <typename Each>
void for_each_value(const ImageView& view, std::uint32_t y, Extraction e, Each&& each) {
    const std::byte* row = view.row(y);
    with_type(view.type, [&](auto sample) {
        using Sample = decltype(sample);
        for (std::uint32_t x = 0; x < view.columns; ++x) {
            each(x, static_cast<double>(extracted<Sample>(row + x * sizeof(Sample), e)));
        }
    });
}

[[nodiscard]] inline bool is_float(const ImageView& view) noexcept {
    return view.type == SampleType::f32 || view.type == SampleType::f64;
}

[[nodiscard]] inline unsigned container_bits(const ImageView& view) noexcept {
    return static_cast<unsigned>(8 * bytes_of(view.type));
}

/// Least and greatest value that containers of up to 16 bits can hold.
[[nodiscard]] inline std::pair<std::int32_t, std::int32_t> bounds_of(const ImageView& view, Extraction e) noexcept {
    const unsigned bits = container_bits(view) - e.right;
    if (e.is_signed) {
        return {-(1 << (bits - 1U)), (1 << (bits - 1U)) - 1};
    }
    return {0, (1 << bits) - 1};
}

}  // namespace hilum::pixel
