// SPDX-License-Identifier: Apache-2.0
// Regions of interest: which voxels of a volume have their centres inside of a shape in the patient.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "hilum/volume/brick_view.hpp"
#include "hilum/volume/bricks.hpp"

namespace hilum::volume {

/// x, y, z in patient coordinates (LPS), mm.
using Point = std::array<double, 3>;

/// A centre that is this near to the border (mm) is inside.
inline constexpr double kBorderMm = 1e-6;

/// Points between two planes: |normal . p - offset| <= half.
struct Layer {
    Point normal{};  ///< unit vector
    double offset = 0.0;
    double half = 0.0;
};

/// Points with |to_unit (p - centre)| <= 1.
struct Ellipsoid {
    std::array<double, 9> to_unit{};  ///< row-major
    Point centre{};
};

/// Points whose projection on the plane u x v lies inside of a closed polygon (even-odd rule).
struct Polygon {
    Point origin{};
    Point u{};  ///< unit vectors at right angles
    Point v{};
    std::vector<std::array<double, 2>> points;  ///< along u and v, mm
};

/// Voxels whose nearest voxel of another grid is at least `least`.
struct GridMask {
    std::span<const std::uint8_t> voxels;  ///< z, y, x without gaps
    std::array<std::uint32_t, 3> shape{};
    std::array<double, 12> mapping{};  ///< 3x4: index (i, j, k, 1) in the volume to that in the mask
    std::uint8_t least = 1;
};

/// What lies inside of all parts. Voxels outside of `box` are not looked at.
struct Region {
    std::vector<Layer> layers;
    std::optional<Ellipsoid> ellipsoid;
    std::optional<Polygon> polygon;
    std::optional<GridMask> mask;
    Box box;
};

/// Columns first to last - 1 of a row.
struct Span {
    std::uint32_t first = 0;
    std::uint32_t last = 0;
};

/// Throws unless a region is one: its box inside of the volume (out_of_range), finite numbers, a mask as large as it
/// says (buffer_too_small), at most limits::kMaxPolygonWork points times rows (limit_exceeded).
void check_region(const BrickView& view, const Region& region);

/// Writes the spans of row `row` of slice `slice` that lie inside, ascending and apart. The region has been checked.
void region_spans(const BrickView& view, const Region& region, std::uint32_t slice, std::uint32_t row,
                  std::vector<Span>& out);

}  // namespace hilum::volume
