// SPDX-License-Identifier: Apache-2.0
#include "hilum/render/cell_grid.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "hilum/parallel.hpp"
#include "rays.hpp"

namespace hilum::render {
namespace {

constexpr unsigned kCellLog2 = 3;
constexpr unsigned kFineLog2 = 2;

template <typename T>
struct Bounds {
    std::vector<T> least;
    std::vector<T> greatest;
};

template <typename T>
constexpr T kMost =
    std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
template <typename T>
constexpr T kLeast =
    std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();

template <typename T>
float rounded(T value, bool up) noexcept {
    auto found = static_cast<float>(value);
    if constexpr ((sizeof(T) > 2)) {
        if (up ? static_cast<double>(found) < static_cast<double>(value)
               : static_cast<double>(found) > static_cast<double>(value)) {
            found = std::nextafter(found, (up ? 1.0F : -1.0F) * std::numeric_limits<float>::infinity());
        }
    }
    return found;
}

CellShape shape_of(const volume::BrickView& view, unsigned log2) {
    CellShape found;
    found.log2 = log2;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        found.shape[axis] = static_cast<std::int32_t>((view.shape[2 - axis] + (1U << log2) - 1) >> log2);
    }
    return found;
}

/// Least and greatest of each column of all rows from `y` and `z` to one voxel beyond a cell. NaN does not count.
template <typename T>
struct Columns {
    Columns(const Grid& source, const CellShape& cells)
        : grid(source),
          edge(source.mask + 1),
          cell(1 << cells.log2),
          fill(static_cast<std::size_t>(edge), static_cast<T>(source.view.fill)),
          least((static_cast<std::size_t>(cells.shape[0]) << cells.log2) + 1),
          greatest(least.size()) {}

    void read(std::int32_t y, std::int32_t z) noexcept {
        std::ranges::fill(least, kMost<T>);
        std::ranges::fill(greatest, kLeast<T>);
        for (std::int32_t k = z; k <= std::min(z + cell, grid.size[2] - 1); ++k) {
            for (std::int32_t j = y; j <= std::min(y + cell, grid.size[1] - 1); ++j) {
                for (std::int32_t x = 0; x < grid.size[0]; x += edge) {
                    add(row(x, j, k), static_cast<std::size_t>(x),
                        static_cast<std::size_t>(std::min(edge, grid.size[0] - x)));
                }
            }
        }
    }

    const Grid& grid;
    std::int32_t edge;
    std::int32_t cell;
    std::vector<T> fill;
    std::vector<T> least;
    std::vector<T> greatest;

private:
    [[nodiscard]] const std::byte* row(std::int32_t x, std::int32_t y, std::int32_t z) const noexcept {
        const auto brick = static_cast<std::size_t>((z >> grid.log2) * grid.stride[1] +
                                                    (y >> grid.log2) * grid.stride[0] + (x >> grid.log2));
        if (grid.starts[brick] < 0) {
            return reinterpret_cast<const std::byte*>(fill.data());
        }
        const std::int64_t inner = (std::int64_t{z & grid.mask} * edge + (y & grid.mask)) * edge;
        return grid.base + static_cast<std::size_t>(grid.starts[brick] + inner) * sizeof(T);
    }

    void add(const std::byte* samples, std::size_t at, std::size_t count) noexcept {
        T* const low = least.data() + at;
        T* const high = greatest.data() + at;
        for (std::size_t i = 0; i < count; ++i) {
            T value;
            std::memcpy(&value, samples + i * sizeof(T), sizeof(T));
            low[i] = value < low[i] ? value : low[i];
            high[i] = value > high[i] ? value : high[i];
        }
    }
};

template <typename T>
Bounds<T> bounds_of(const Grid& source, const CellShape& cells, unsigned threads) {
    Bounds<T> found{std::vector<T>(cells.count()), std::vector<T>(cells.count())};
    parallel::for_each(static_cast<std::size_t>(cells.shape[2]), threads, [&](std::size_t slice) {
        const auto z = static_cast<std::int32_t>(slice);
        Columns<T> columns(source, cells);
        const auto width = static_cast<std::size_t>(columns.cell) + 1;
        for (std::int32_t y = 0; y < cells.shape[1]; ++y) {
            columns.read(y << cells.log2, z << cells.log2);
            for (std::int32_t x = 0; x < cells.shape[0]; ++x) {
                const auto from = static_cast<std::size_t>(x) << cells.log2;
                T low = columns.least[from];
                T high = columns.greatest[from];
                for (std::size_t i = from + 1; i < from + width; ++i) {
                    low = std::min(low, columns.least[i]);
                    high = std::max(high, columns.greatest[i]);
                }
                found.least[cells.index(x, y, z)] = low;
                found.greatest[cells.index(x, y, z)] = high;
            }
        }
    });
    return found;
}

/// Eight fine cells are one.
template <typename T>
void coarsen(const CellShape& from, const Bounds<T>& fine, CellGrid& to) {
    for (std::int32_t z = 0; z < from.shape[2]; ++z) {
        for (std::int32_t y = 0; y < from.shape[1]; ++y) {
            for (std::int32_t x = 0; x < from.shape[0]; ++x) {
                const std::size_t at = to.index(x >> 1, y >> 1, z >> 1);
                const std::size_t part = from.index(x, y, z);
                to.least[at] = std::min(to.least[at], static_cast<float>(fine.least[part]));
                to.greatest[at] = std::max(to.greatest[at], static_cast<float>(fine.greatest[part]));
            }
        }
    }
}

template <typename T>
std::vector<std::uint16_t> bits_of(const std::vector<T>& values) {
    std::vector<std::uint16_t> bits(values.begin(), values.end());
    bits.push_back(0);
    return bits;
}

CellGrid empty_grid(const volume::BrickView& view, unsigned log2) {
    CellGrid grid{shape_of(view, log2), {}, {}, {}};
    grid.least.resize(grid.count(), std::numeric_limits<float>::infinity());
    grid.greatest.resize(grid.count(), -std::numeric_limits<float>::infinity());
    return grid;
}

}  // namespace

CellGrid make_cell_grid(const volume::BrickView& view, unsigned threads) {
    const Grid source(view);
    CellGrid grid = empty_grid(view, kCellLog2);
    with_sample_type(view.type, [&]<typename T>(T) {
        if constexpr (kHasVectors<T>) {
            const CellShape cells = shape_of(view, kFineLog2);
            const Bounds<T> fine = bounds_of<T>(source, cells, threads);
            coarsen(cells, fine, grid);
            grid.fine = {cells, bits_of(fine.least), bits_of(fine.greatest)};
        } else {
            const Bounds<T> found = bounds_of<T>(source, grid, threads);
            std::ranges::transform(found.least, grid.least.begin(), [](T v) { return rounded(v, false); });
            std::ranges::transform(found.greatest, grid.greatest.begin(), [](T v) { return rounded(v, true); });
        }
    });
    return grid;
}

CellGrid brick_cell_grid(const volume::BrickView& view) {
    CellGrid grid = empty_grid(view, view.brick_log2);
    const auto range_of = [&](std::size_t brick) {
        const auto fill = static_cast<float>(view.fill);
        return view.offsets[brick] == volume::kMissing ? volume::BrickRange{fill, fill} : view.ranges[brick];
    };
    // One voxel of the neighbours counts: all of them.
    for (std::size_t part = 0; part < 8; ++part) {
        const auto dx = static_cast<std::int32_t>(part & 1U);
        const auto dy = static_cast<std::int32_t>((part >> 1U) & 1U);
        const auto dz = static_cast<std::int32_t>(part >> 2U);
        for (std::int32_t z = 0; z + dz < grid.shape[2]; ++z) {
            for (std::int32_t y = 0; y + dy < grid.shape[1]; ++y) {
                for (std::int32_t x = 0; x + dx < grid.shape[0]; ++x) {
                    const volume::BrickRange range = range_of(grid.index(x + dx, y + dy, z + dz));
                    const std::size_t at = grid.index(x, y, z);
                    grid.least[at] = std::min(grid.least[at], range.least);
                    grid.greatest[at] = std::max(grid.greatest[at], range.greatest);
                }
            }
        }
    }
    return grid;
}

}  // namespace hilum::render
