// SPDX-License-Identifier: Apache-2.0
#include "occupancy.hpp"

#include <algorithm>
#include <bit>

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
    shows.resize(cells.count() / 32 + 1);
    parallel::for_each(static_cast<std::size_t>(cells.shape[2]), threads, [&](std::size_t slice) {
        const auto z = static_cast<std::int32_t>(slice);
        type == SampleType::u16 ? mark<std::uint16_t>(grid, active, labelled, table, z, *this)
                                : mark<std::int16_t>(grid, active, labelled, table, z, *this);
    });
}

bool NearCells::is_empty() const noexcept {
    return std::ranges::all_of(words, [](std::uint32_t word) { return word == 0; });
}

std::optional<NearCells> Occupancy::near(const Box& voxels) const noexcept {
    NearCells found;
    const auto cell = [&](std::int32_t voxel) { return voxel >> found.log2; };
    for (found.log2 = cells.log2; found.log2 <= cells.log2 + 2; ++found.log2) {
        std::array<std::int32_t, 3> count{};
        for (std::size_t axis = 0; axis < 3; ++axis) {
            found.low[axis] = cell(voxels.low[axis]);
            count[axis] = cell(voxels.high[axis]) - found.low[axis] + 1;
        }
        if (count[2] <= 8 && count[0] <= 32 && count[1] <= 32 && count[0] * count[1] <= 32) {
            found.across = count[0];
            found.words.fill(0);
            Box fine;
            for (std::size_t axis = 0; axis < 3; ++axis) {
                fine.low[axis] = voxels.low[axis] >> cells.log2;
                fine.high[axis] = voxels.high[axis] >> cells.log2;
            }
            if (fine.high[0] - fine.low[0] >= 32) {
                return std::nullopt;
            }
            for (std::int32_t z = fine.low[2]; z <= fine.high[2]; ++z) {
                for (std::int32_t y = fine.low[1]; y <= fine.high[1]; ++y) {
                    add_row(fine, y, z, found);
                }
            }
            return found;
        }
    }
    return std::nullopt;
}

void Occupancy::add_row(const Box& fine, std::int32_t y, std::int32_t z, NearCells& to) const noexcept {
    const std::size_t at = cells.index(fine.low[0], y, z);
    const std::uint64_t both = shows[at >> 5U] | std::uint64_t{shows[(at >> 5U) + 1]} << 32U;
    const unsigned shift = to.log2 - cells.log2;
    const auto word = static_cast<std::size_t>((z >> shift) - to.low[2]);
    const std::int32_t first = ((y >> shift) - to.low[1]) * to.across - to.low[0];
    std::uint64_t left = (both >> (at & 31U)) & ((std::uint64_t{2} << (fine.high[0] - fine.low[0])) - 1);
    for (; left != 0; left &= left - 1) {
        const std::int32_t x = fine.low[0] + std::countr_zero(left);
        to.words[word] |= 0x80000000U >> (first + (x >> shift));
    }
}

}  // namespace hilum::render
