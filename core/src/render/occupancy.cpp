// SPDX-License-Identifier: Apache-2.0
#include "occupancy.hpp"

#include "hilum/parallel.hpp"

namespace hilum::render {
namespace {

/// Two fine cells along each axis are one of the grid.
template <typename T>
void mark(const CellGrid& grid, std::span<const std::uint8_t> active, std::span<const std::uint8_t> labelled,
          const TransferTable& table, std::int32_t z, Occupancy& to) noexcept {
    const CellGrid::Fine& fine = grid.fine;
    for (std::int32_t y = 0; y < fine.shape[1]; ++y) {
        for (std::int32_t x = 0; x < fine.shape[0]; ++x) {
            const std::size_t whole = grid.index(x >> 1, y >> 1, z >> 1);
            const bool is_labelled = !labelled.empty() && labelled[whole] != 0;
            if (!is_labelled && active[whole] == 0) {
                ++x;
                continue;
            }
            const std::size_t at = fine.index(x, y, z);
            const auto least = static_cast<float>(static_cast<T>(fine.least[at]));
            const auto greatest = static_cast<float>(static_cast<T>(fine.greatest[at]));
            const std::size_t bit = to.cells.index(x, y, z);
            to.shows[bit >> 5U] |= (is_labelled || table.may_show(least, greatest) ? 1U : 0U) << (bit & 31U);
        }
    }
}

}  // namespace

Occupancy::Occupancy(const CellGrid& grid, std::span<const std::uint8_t> active, std::span<const std::uint8_t> labelled,
                     SampleType type, const TransferTable& table, unsigned threads)
    : cells(grid.fine) {
    cells.shape[0] = (cells.shape[0] + 31) & ~31;
    shows.resize(cells.count() / 32);
    parallel::for_each(static_cast<std::size_t>(cells.shape[2]), threads, [&](std::size_t slice) {
        const auto z = static_cast<std::int32_t>(slice);
        type == SampleType::u16 ? mark<std::uint16_t>(grid, active, labelled, table, z, *this)
                                : mark<std::int16_t>(grid, active, labelled, table, z, *this);
    });
}

}  // namespace hilum::render
