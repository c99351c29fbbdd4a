// SPDX-License-Identifier: Apache-2.0
#include "blend.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "blend_kernels.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/parallel.hpp"
#include "hilum/render/projection.hpp"

namespace hilum::render {
namespace {

/// How all rays of an image are computed.
template <typename T>
struct Blender {
    const Grid& grid;
    const CellGrid& cells;
    Interpolation interpolation;
    Blend blend;
    bool vector;
    bool skip;

    void tile(const Tile& tile, std::span<double, kTileRays> values) const noexcept {
        if constexpr (kHasVectors<T>) {
            if (vector) {
                blend == Blend::mean ? kernels::means_8<T>(grid, tile, values)
                                     : kernels::extremes_8<T>(grid, cells, tile, blend == Blend::maximum, skip, values);
                return;
            }
        }
        const Sampler<T> sampler(grid);
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = ray(sampler, tile.tracks[i], tile.blocks);
        }
    }

    [[nodiscard]] double ray(const Sampler<T>& sampler, const Track& track,
                             std::span<const Block> blocks) const noexcept {
        switch (blend) {
            case Blend::maximum:
                return kernels::extreme<T, true>(sampler, track, blocks, interpolation, skip);
            case Blend::minimum:
                return kernels::extreme<T, false>(sampler, track, blocks, interpolation, skip);
            case Blend::mean:
                break;
        }
        return kernels::mean<T>(sampler, track, blocks, interpolation);
    }

    /// Blocks that can hold the most extreme values first.
    void sort(std::vector<Block>& blocks) const {
        if (!skip || blend == Blend::mean) {
            return;
        }
        if (blend == Blend::maximum) {
            std::ranges::stable_sort(blocks, std::ranges::greater{}, &Block::greatest);
        } else {
            std::ranges::stable_sort(blocks, std::ranges::less{}, &Block::least);
        }
    }
};

}  // namespace

template <typename T>
void blend_rays(const Grid& grid, const CellGrid& cells, const Rays& rays, const Clip& clip,
                Interpolation interpolation, Blend blend, T outside, const Execution& execution,
                std::span<std::byte> out) {
    // Cubic interpolation overshoots, and the bounds of float cells are not exact for wide integers: no short cuts.
    const bool exact = kIsSmall<T> && interpolation != Interpolation::cubic;
    const Blender<T> blender{grid,
                             cells,
                             interpolation,
                             blend,
                             uses_vectors<T>(grid, execution) && interpolation == Interpolation::linear,
                             execution.skip && exact};
    const TileMaker maker(rays, grid, clip, cells);
    parallel::for_each(maker.count(), execution.threads, [&](std::size_t index) {
        thread_local Tile tile;
        maker.make(index, tile);
        blender.sort(tile.blocks);
        std::array<double, kTileRays> values{};
        blender.tile(tile, values);
        tile.for_pixels(rays.columns, [&](std::size_t ray, std::size_t pixel) {
            const T stored = std::isnan(values[ray]) ? outside : to_stored<T>(values[ray]);
            std::memcpy(out.data() + pixel * sizeof(T), &stored, sizeof(T));
        });
    });
}

#define HILUM_INSTANTIATE(T)                                                                                     \
    template void blend_rays<T>(const Grid&, const CellGrid&, const Rays&, const Clip&, Interpolation, Blend, T, \
                                const Execution&, std::span<std::byte>);
HILUM_INSTANTIATE(std::uint8_t)
HILUM_INSTANTIATE(std::int8_t)
HILUM_INSTANTIATE(std::uint16_t)
HILUM_INSTANTIATE(std::int16_t)
HILUM_INSTANTIATE(std::uint32_t)
HILUM_INSTANTIATE(std::int32_t)
HILUM_INSTANTIATE(float)
HILUM_INSTANTIATE(double)
#undef HILUM_INSTANTIATE

void project(const volume::BrickView& view, const CellGrid& cells, const Camera& camera, ImageSize size, Blend blend,
             double outside, std::span<const ClipPlane> clip, const Execution& execution, std::span<std::byte> out) {
    const DepthRange depth = depth_range(view, camera);
    const std::uint64_t pixels = std::uint64_t{size.rows} * size.columns;
    if (pixels > limits::kMaxRenderedPixels) {
        throw Error(Errc::limit_exceeded, "an image of more pixels than the limit");
    }
    if (out.size() != pixels * bytes_of(view.type)) {
        throw Error(Errc::buffer_too_small, "the buffer is not as large as the image");
    }
    const Grid grid(view);
    const CameraRays rays(grid, camera, size, depth);
    const Clip cut(grid, clip);
    with_sample_type(view.type, [&]<typename T>(T) {
        blend_rays<T>(grid, cells, rays, cut, Interpolation::linear, blend, to_stored<T>(outside), execution, out);
    });
}

}  // namespace hilum::render
