// SPDX-License-Identifier: Apache-2.0
// Overlay planes (PS3.3 C.9.2) and what is painted in one colour over a picture: overlays, the outside of shutters.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hilum/codec/registry.hpp"

namespace hilum::pixel {

/// Part of the image, in pixels from the upper left corner.
struct Region {
    std::uint32_t x = 0;
    std::uint32_t y = 0;
    std::uint32_t columns = 0;
    std::uint32_t rows = 0;
};

using Rgb = std::array<std::uint8_t, 3>;

/// What to paint with: a P-Value of 16 bits (PS3.3 C.10.4), or a colour, which makes a grey picture RGB.
struct Ink {
    std::uint16_t value = 0xFFFF;
    std::optional<Rgb> colour;
};

/// One plane. `bits`: rows x columns of them without gaps, lowest first (PS3.5 8.1.2), at least that many.
struct OverlayPlane {
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::int32_t row = 1;  ///< Overlay Origin (60xx,0050): where its first pixel lies; the image's first is 1, 1
    std::int32_t column = 1;
    std::vector<std::byte> bits;

    [[nodiscard]] bool at(std::uint32_t r, std::uint32_t c) const noexcept {
        const std::uint64_t index = std::uint64_t{r} * columns + c;
        return ((static_cast<unsigned>(bits[index / 8]) >> (index % 8)) & 1U) != 0;
    }
};

/// An overlay of the file, for one frame.
struct FileOverlay {
    std::uint16_t group = 0x6000;
    bool is_roi = false;    ///< Overlay Type (60xx,0040) is R: a region, of which the outline is drawn
    bool embedded = false;  ///< retired: in the bit `bit` of the pixel data's containers
    std::uint16_t bit = 0;
    OverlayPlane plane;  ///< without bits when embedded
    std::string defect;  ///< not empty: why it cannot be drawn, with the attribute's name
};

/// The bits of an embedded overlay. Throws bad_value where it contradicts the pixel description or the syntax: its bit
/// is one of the stored ones, its size is not the image's, the pixel data are compressed.
[[nodiscard]] OverlayPlane embedded_plane(const FileOverlay& overlay, const codec::StoredFrame& frame,
                                          const codec::Syntax& syntax, const codec::PixelDescription& description);

/// The bits of `plane` that have a neighbour to the left or right, above or below, that is no bit of it.
[[nodiscard]] OverlayPlane outline_of(const OverlayPlane& plane);

/// Sets `mask` (columns x rows of `part`, row by row) to 255 where the plane has bits and leaves the rest.
void add_plane(const OverlayPlane& plane, const Region& part, std::span<std::uint8_t> mask) noexcept;

}  // namespace hilum::pixel
