// SPDX-License-Identifier: Apache-2.0
// Display shutters (PS3.3 C.7.6.11) and bitmap shutters (C.7.6.15): what lies outside of all shapes is painted over.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hilum/pixel/overlay.hpp"

namespace hilum::pixel {

/// Lines and columns that are the last ones to be seen, from 1.
struct ShutterRectangle {
    std::int64_t left = 1;
    std::int64_t right = 1;
    std::int64_t upper = 1;
    std::int64_t lower = 1;
};

struct ShutterCircle {
    std::int64_t row = 1;
    std::int64_t column = 1;
    std::int64_t radius = 1;  ///< in pixels along a row
};

struct ShutterVertex {
    std::int64_t row = 1;
    std::int64_t column = 1;
};

struct Shutter {
    std::optional<ShutterRectangle> rectangle;
    std::optional<ShutterCircle> circle;
    std::vector<ShutterVertex> polygon;  ///< empty, or three and more
    std::optional<OverlayPlane> bitmap;  ///< hides where its bits are 1
    std::uint16_t bitmap_group = 0;      ///< not 0: the file's overlay of this group is the bitmap
    Ink ink{0, std::nullopt};
};

/// Sets `mask` (columns x rows of `part`, row by row) to 255 where the shutter hides and leaves the rest.
/// `pixel_aspect`: height of a pixel over its width, for circles. Costs columns x rows, and vertices x rows for
/// polygons.
void add_shutter(const Shutter& shutter, const Region& part, double pixel_aspect, std::span<std::uint8_t> mask);

/// What is wrong with the shapes, by the attribute's name; empty when nothing is.
[[nodiscard]] std::string defect_of(const Shutter& shutter);

}  // namespace hilum::pixel
