// SPDX-License-Identifier: Apache-2.0
// Which small cells of a volume a transfer function may show.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hilum/render/cell_grid.hpp"
#include "transfer.hpp"

namespace hilum::render {

struct Occupancy {
    /// `grid.fine` must not be empty; `active`: TransferTable::active of `grid`; `labelled`: 1 for each cell of it that
    /// is shown whatever its values are, or empty. `type`: u16 or s16.
    Occupancy(const CellGrid& grid, std::span<const std::uint8_t> active, std::span<const std::uint8_t> labelled,
              SampleType type, const TransferTable& table, unsigned threads);

    CellShape cells;                   ///< those of grid.fine, but rows are padded to whole words
    std::vector<std::uint32_t> shows;  ///< bit cell % 32 of word cell / 32: may be visible
};

}  // namespace hilum::render
