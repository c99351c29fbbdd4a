// SPDX-License-Identifier: Apache-2.0
#include "hilum/render/reslice.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "blend.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/parallel.hpp"
#include "hilum/render/cell_grid.hpp"
#include "rays.hpp"
#include "reslice_kernels.hpp"
#include "sample.hpp"

namespace hilum::render {
namespace {

constexpr std::size_t kRowsPerTask = 32;
constexpr std::uint32_t kStrip = 32;  // pixels
constexpr std::size_t kRowsAhead = 2;

template <typename T>
void thin_rows(const Grid& grid, std::span<const Row> rows, std::uint32_t columns, Interpolation interpolation,
               T outside, const Execution& execution, std::span<std::byte> out) {
    const bool vector = uses_vectors<T>(grid, execution) && interpolation == Interpolation::linear;
    const std::size_t tasks = (rows.size() + kRowsPerTask - 1) / kRowsPerTask;
    parallel::for_each(tasks, execution.threads, [&](std::size_t task) {
        const std::size_t begin = task * kRowsPerTask;
        const std::size_t end = std::min(rows.size(), begin + kRowsPerTask);
        std::vector<Track> tracks;
        for (std::size_t r = begin; r < end; ++r) {
            tracks.push_back(
                make_track(grid, grid.to_voxel(rows[r].origin), Step(multiply(grid.inverse, rows[r].step)), columns));
            kernels::fill_row<T>(out.data() + r * columns * sizeof(T), columns, outside);
        }
        // Strip by strip, so that what one row has read is still in the first cache when the next needs it.
        for (std::uint32_t strip = 0; strip < columns; strip += kStrip) {
            const auto part = [&](std::size_t r) {
                Track track = tracks[r - begin];
                track.first = std::max<std::int64_t>(track.first, strip);
                track.last = std::min<std::int64_t>(track.last, strip + kStrip);
                return track;
            };
            for (std::size_t r = begin; r < end; ++r) {
                const Track track = part(r);
                std::byte* to = out.data() + r * columns * sizeof(T);
                if constexpr (kHasVectors<T>) {
                    if (vector) {
                        const Track later = r + kRowsAhead < end ? part(r + kRowsAhead) : Track{};
                        kernels::linear_row<T>(grid, track, later, to);
                        continue;
                    }
                }
                kernels::any_row<T>(grid, track, interpolation, to);
            }
        }
    });
}

}  // namespace

void reslice(const volume::BrickView& view, const CellGrid* cells, std::span<const Row> rows, std::uint32_t columns,
             Interpolation interpolation, const Slab& slab, double outside, const Execution& execution,
             std::span<std::byte> out) {
    if (slab.samples < 1 || slab.samples > limits::kMaxRaySamples || columns > limits::kMaxRenderedPixels ||
        std::uint64_t{columns} * rows.size() > limits::kMaxRenderedPixels) {
        throw Error(Errc::limit_exceeded, "an image of more pixels, or a slab of more samples, than the limit");
    }
    if (out.size() != std::uint64_t{columns} * rows.size() * bytes_of(view.type)) {
        throw Error(Errc::buffer_too_small, "the buffer is not as large as the image");
    }
    const Grid grid(view);
    for (const Row& row : rows) {
        check_point(row.origin, "the origin of a row");
        check_step(grid, row.step, "the distance of two pixels");
        check_step(grid, row.depth, "the distance of two samples of the slab");
    }
    if (columns == 0 || rows.empty()) {
        return;
    }
    with_sample_type(view.type, [&]<typename T>(T) {
        const T value = to_stored<T>(outside);
        if (slab.samples == 1) {
            thin_rows<T>(grid, rows, columns, interpolation, value, execution, out);
        } else {
            const RowRays rays(grid, rows, columns, slab.samples);
            const CellGrid coarse = cells == nullptr ? brick_cell_grid(view) : CellGrid{};
            blend_rays<T>(grid, cells == nullptr ? coarse : *cells, rays, Clip(grid, {}), interpolation, slab.blend,
                          value, execution, out);
        }
    });
}

}  // namespace hilum::render
