// SPDX-License-Identifier: Apache-2.0
// Sample types and borrowed images: what codecs write and the pixel pipeline reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hilum {

enum class SampleType : std::uint8_t { u8, s8, u16, s16, u32, s32, f32, f64 };

[[nodiscard]] constexpr std::size_t bytes_of(SampleType type) noexcept {
    switch (type) {
        case SampleType::u8:
        case SampleType::s8:
            return 1;
        case SampleType::u16:
        case SampleType::s16:
            return 2;
        case SampleType::u32:
        case SampleType::s32:
        case SampleType::f32:
            return 4;
        case SampleType::f64:
            return 8;
    }
    return 0;
}

/// A borrowed image: rows x columns pixels of `samples` interleaved samples, rows `row_stride` bytes apart.
/// `data` need not be aligned to the sample type.
struct ImageView {
    const std::byte* data = nullptr;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::size_t row_stride = 0;
    SampleType type = SampleType::u8;
    std::uint16_t samples = 1;

    [[nodiscard]] const std::byte* row(std::uint32_t index) const noexcept { return data + index * row_stride; }
};

}  // namespace hilum
