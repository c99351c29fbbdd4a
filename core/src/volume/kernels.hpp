// SPDX-License-Identifier: Apache-2.0
// Slabs of slices to bricks, boxes of bricks to voxels, slices to the next level of the pyramid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "hilum/volume/brick_view.hpp"

namespace hilum::volume {

/// Up to one layer of bricks: `depth` slices of rows x columns samples without gaps.
struct Slab {
    const std::byte* data = nullptr;
    std::uint32_t depth = 0;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    SampleType type = SampleType::s16;
};

/// Range of the part of a slab that falls into brick (by, bx), and whether all of it is bit for bit `fill`.
struct Survey {
    BrickRange range;
    bool is_fill = false;
};

[[nodiscard]] Survey survey_brick(const Slab& slab, std::uint32_t by, std::uint32_t bx, double fill) noexcept;

/// Fills a brick (32³ samples) from the slab and pads it.
void fill_brick(const Slab& slab, std::uint32_t by, std::uint32_t bx, double fill, std::byte* brick) noexcept;

/// Writes row `row` of slice `slice` of the next level (half as large along each axis, rounded up): the mean of the up
/// to 2x2x2 voxels below it; of integers rounded to the nearest, halves up; NaN does not count where there are numbers.
void halve_row(const Slab& slab, std::uint32_t slice, std::uint32_t row, std::byte* out) noexcept;

}  // namespace hilum::volume
