// SPDX-License-Identifier: Apache-2.0
#include "hilum/render/cell_grid.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "hilum/parallel.hpp"
#include "rays.hpp"

namespace hilum::render {
namespace {

constexpr unsigned kCellLog2 = 3;
constexpr std::int32_t kCell = 1 << kCellLog2;
constexpr std::size_t kParts = 8;

struct Range {
    float least = std::numeric_limits<float>::infinity();
    float greatest = -std::numeric_limits<float>::infinity();

    void add(const Range& other) noexcept {
        least = std::min(least, other.least);
        greatest = std::max(greatest, other.greatest);
    }
};

/// Of 8³ voxels: part p bounds those whose x (bit 0), y (bit 1), z (bit 2) within the cell are 0 where the bit is set.
using Parts = std::array<Range, kParts>;

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

/// Eight neighbours along x: least and greatest of each column of what has been added.
template <typename T>
struct Columns {
    std::array<T, kCell> least;
    std::array<T, kCell> greatest;
    bool empty = true;

    void add(const std::array<T, kCell>& row) noexcept {
        if (empty) {
            least = row;
            greatest = row;
            empty = false;
            return;
        }
        for (std::size_t i = 0; i < kCell; ++i) {
            least[i] = row[i] < least[i] ? row[i] : least[i];
            greatest[i] = row[i] > greatest[i] ? row[i] : greatest[i];
        }
    }

    [[nodiscard]] Range range(std::size_t columns) const noexcept {
        Range found;
        for (std::size_t i = 0; i < columns; ++i) {
            if (least[i] == least[i] && greatest[i] == greatest[i]) {
                found.least = std::min(found.least, rounded(least[i], false));
                found.greatest = std::max(found.greatest, rounded(greatest[i], true));
            }
        }
        return found;
    }
};

/// The cell whose first voxel is at `first`, of which `extent` voxels along x, y, z are inside of the volume.
template <typename T>
Parts parts_of(const std::byte* first, std::int32_t edge, const std::array<std::int32_t, 3>& extent) noexcept {
    std::array<Columns<T>, 4> columns{};
    for (std::int32_t z = 0; z < extent[2]; ++z) {
        for (std::int32_t y = 0; y < extent[1]; ++y) {
            std::array<T, kCell> row;
            std::memcpy(row.data(), first + static_cast<std::size_t>((z * edge + y) * edge) * sizeof(T), sizeof(row));
            if constexpr (std::is_floating_point_v<T>) {
                // A NaN is no number: it takes the place of a neighbour that is one, if there is.
                const auto number = std::ranges::find_if(row, [](T v) { return v == v; });
                std::ranges::replace_if(row, [](T v) { return v != v; }, number == row.end() ? T{} : *number);
            }
            columns[0].add(row);
            for (std::size_t p = 1; p < 4; ++p) {
                if (((p & 1U) == 0 || y == 0) && ((p & 2U) == 0 || z == 0)) {
                    columns[p].add(row);
                }
            }
        }
    }
    Parts parts{};
    for (std::size_t p = 0; p < 4; ++p) {
        parts[2 * p] = columns[p].range(static_cast<std::size_t>(extent[0]));
        parts[2 * p + 1] = columns[p].range(1);
    }
    return parts;
}

CellGrid empty_grid(const volume::BrickView& view, unsigned log2) {
    CellGrid grid;
    grid.log2 = log2;
    std::size_t count = 1;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const std::uint32_t voxels = view.shape[2 - axis];
        grid.shape[axis] = static_cast<std::int32_t>((voxels + (1U << log2) - 1) >> log2);
        count *= static_cast<std::size_t>(grid.shape[axis]);
    }
    grid.least.resize(count);
    grid.greatest.resize(count);
    return grid;
}

/// Each cell with the parts of its neighbours that it needs.
template <typename PartOf>
void join(CellGrid& grid, unsigned threads, PartOf&& part_of) {
    parallel::for_each(static_cast<std::size_t>(grid.shape[2]), threads, [&](std::size_t slice) {
        const auto z = static_cast<std::int32_t>(slice);
        for (std::int32_t y = 0; y < grid.shape[1]; ++y) {
            for (std::int32_t x = 0; x < grid.shape[0]; ++x) {
                Range found;
                for (std::size_t p = 0; p < kParts; ++p) {
                    const std::int32_t nx = x + static_cast<std::int32_t>(p & 1U);
                    const std::int32_t ny = y + static_cast<std::int32_t>((p >> 1U) & 1U);
                    const std::int32_t nz = z + static_cast<std::int32_t>(p >> 2U);
                    if (nx < grid.shape[0] && ny < grid.shape[1] && nz < grid.shape[2]) {
                        found.add(part_of(grid.index(nx, ny, nz), p));
                    }
                }
                const std::size_t at = grid.index(x, y, z);
                grid.least[at] = found.least;
                grid.greatest[at] = found.greatest;
            }
        }
    });
}

template <typename T>
void fill_parts(const Grid& source, const CellGrid& grid, unsigned threads, std::vector<Parts>& parts) {
    const std::int32_t edge = source.mask + 1;
    const auto fill = static_cast<float>(source.view.fill);
    parallel::for_each(static_cast<std::size_t>(grid.shape[2]), threads, [&](std::size_t slice) {
        const auto cz = static_cast<std::int32_t>(slice);
        for (std::int32_t cy = 0; cy < grid.shape[1]; ++cy) {
            for (std::int32_t cx = 0; cx < grid.shape[0]; ++cx) {
                const std::array<std::int32_t, 3> voxel{cx * kCell, cy * kCell, cz * kCell};
                const auto brick =
                    static_cast<std::size_t>((voxel[2] >> source.log2) * source.stride[1] +
                                             (voxel[1] >> source.log2) * source.stride[0] + (voxel[0] >> source.log2));
                Parts& to = parts[grid.index(cx, cy, cz)];
                if (source.starts[brick] < 0) {
                    to.fill({fill, fill});
                    continue;
                }
                std::array<std::int32_t, 3> extent{};
                for (std::size_t axis = 0; axis < 3; ++axis) {
                    extent[axis] = std::min(kCell, source.size[axis] - voxel[axis]);
                }
                const std::int64_t inner =
                    (std::int64_t{voxel[2] & source.mask} * edge + (voxel[1] & source.mask)) * edge +
                    (voxel[0] & source.mask);
                to = parts_of<T>(source.base + static_cast<std::size_t>(source.starts[brick] + inner) * sizeof(T), edge,
                                 extent);
            }
        }
    });
}

}  // namespace

CellGrid make_cell_grid(const volume::BrickView& view, unsigned threads) {
    const Grid source(view);
    CellGrid grid = empty_grid(view, kCellLog2);
    std::vector<Parts> parts(grid.least.size());
    with_sample_type(view.type, [&]<typename T>(T) { fill_parts<T>(source, grid, threads, parts); });
    join(grid, threads, [&](std::size_t cell, std::size_t part) -> const Range& { return parts[cell][part]; });
    return grid;
}

CellGrid brick_cell_grid(const volume::BrickView& view) {
    CellGrid grid = empty_grid(view, view.brick_log2);
    join(grid, 1, [&](std::size_t brick, std::size_t) {
        if (view.offsets[brick] == volume::kMissing) {
            return Range{static_cast<float>(view.fill), static_cast<float>(view.fill)};
        }
        return Range{view.ranges[brick].least, view.ranges[brick].greatest};
    });
    return grid;
}

}  // namespace hilum::render
