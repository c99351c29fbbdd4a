// SPDX-License-Identifier: Apache-2.0
// Least and greatest value of small cells of a volume: what tells a ray which parts cannot matter.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "hilum/volume/brick_view.hpp"

namespace hilum::render {

/// Cells of an axis, z, y, x order. Cell c bounds every interpolated value from voxel c << log2 to, not including,
/// voxel (c + 1) << log2: it covers one voxel more than that.
struct CellShape {
    unsigned log2 = 0;
    std::array<std::int32_t, 3> shape{};  ///< cells along x, y, z

    [[nodiscard]] std::size_t index(std::int32_t x, std::int32_t y, std::int32_t z) const noexcept {
        return (static_cast<std::size_t>(z) * static_cast<std::size_t>(shape[1]) + static_cast<std::size_t>(y)) *
                   static_cast<std::size_t>(shape[0]) +
               static_cast<std::size_t>(x);
    }
    [[nodiscard]] std::size_t count() const noexcept { return index(0, 0, shape[2]); }
};

/// Immutable.
struct CellGrid : CellShape {
    std::vector<float> least;     ///< a cell without any number: +infinity
    std::vector<float> greatest;  ///< -infinity

    /// Cells of 4³ voxels, of samples of 16 bits alone: bits of the least and the greatest sample, and one element
    /// more, so that each can be read as the lower half of 32 bits. Else empty.
    struct Fine : CellShape {
        std::vector<std::uint16_t> least;
        std::vector<std::uint16_t> greatest;
    } fine;
};

/// Cells of 8³ voxels: reads the whole volume once. `threads` as for parallel::run.
[[nodiscard]] CellGrid make_cell_grid(const volume::BrickView& view, unsigned threads);

/// Cells as large as bricks, out of the view's ranges: reads nothing.
[[nodiscard]] CellGrid brick_cell_grid(const volume::BrickView& view);

}  // namespace hilum::render
