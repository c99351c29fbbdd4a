// SPDX-License-Identifier: Apache-2.0
// Which small cells of a volume a transfer function may show.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "hilum/render/cell_grid.hpp"
#include "rays.hpp"
#include "transfer.hpp"

namespace hilum::render {

/// The bits of a box of cells in eight words, for vectors that hold all of them.
struct NearCells {
    unsigned log2 = 0;                   ///< of the cells: those of the volume, or two or four of them along each axis
    std::array<std::int32_t, 3> low{};   ///< the first cell
    std::int32_t across = 0;             ///< cells along x
    std::array<std::uint32_t, 8> words;  ///< bit 31 - (y * across + x) of word z: may be visible

    [[nodiscard]] bool is_empty() const noexcept;
};

struct Occupancy {
    /// `grid.fine` must not be empty; `active`: TransferTable::active of `grid`; `labelled`: 1 for each cell of it that
    /// is shown whatever its values are, or empty. `type`: u16 or s16.
    Occupancy(const CellGrid& grid, std::span<const std::uint8_t> active, std::span<const std::uint8_t> labelled,
              SampleType type, const TransferTable& table, unsigned threads);

    /// The cells of a box of voxels; nothing where those are too many.
    [[nodiscard]] std::optional<NearCells> near(const Box& voxels) const noexcept;

    CellShape cells;                   ///< those of grid.fine, but rows are padded to whole words
    std::vector<std::uint32_t> shows;  ///< bit cell % 32 of word cell / 32: may be visible; and one word more

private:
    void add_row(const Box& fine, std::int32_t y, std::int32_t z, NearCells& to) const noexcept;
};

}  // namespace hilum::render
