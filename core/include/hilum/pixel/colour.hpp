// SPDX-License-Identifier: Apache-2.0
// Colour to 8-bit RGB (PS3.3 C.7.6.3.1.2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "hilum/image_view.hpp"
#include "hilum/pixel/modality_lut.hpp"

namespace hilum::pixel {

/// Red, Green and Blue Palette Color Lookup Tables (PS3.3 C.7.6.3.1.5).
using Palette = std::array<Lut, 3>;

/// CIELab of PS3.3 C.10.7.1.1 (16 bits each: L* 0 to 100, a* and b* -128 to 127, white point D50) to sRGB; colours
/// outside of sRGB are cut to it.
[[nodiscard]] std::array<std::uint8_t, 3> cielab_to_rgb(const std::array<std::uint16_t, 3>& lab) noexcept;

enum class YbrKind : std::uint8_t { full, partial };

/// YBR_FULL and YBR_FULL_422 (expanded), or the retired YBR_PARTIAL ones, to RGB in place. `rgb`: whole pixels.
void ybr_to_rgb(std::span<std::uint8_t> rgb, YbrKind kind) noexcept;

/// Interleaved samples with more than 8 bits stored to 8: the upper eight of Bits Stored.
void to_8_bits(const std::byte* in, std::size_t samples, std::size_t container, unsigned bits_stored,
               std::uint8_t* out) noexcept;

/// The palette as 8-bit RGB for every index from 0 to `indices` - 1 of stored values that start at `minimum`.
/// Entries of more than 8 bits are shown by their upper byte, except where a table declared with 16 bits never uses it.
void tabulate_palette(const Palette& palette, std::int32_t minimum, std::size_t indices, std::uint8_t* rgb);

}  // namespace hilum::pixel
