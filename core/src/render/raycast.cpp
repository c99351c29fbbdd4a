// SPDX-License-Identifier: Apache-2.0
#include "hilum/render/raycast.hpp"

#include <algorithm>
#include <optional>

#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/parallel.hpp"
#include "raycast_kernels.hpp"

namespace hilum::render {
namespace {

std::uint8_t to_byte(float value) noexcept {
    return static_cast<std::uint8_t>(std::min(value, 255.0F) + 0.5F);
}

template <typename T>
void cast(const kernels::Scene& scene, const Tile& tile, bool vector, std::span<kernels::Seen> out) noexcept {
    if constexpr (kHasVectors<T>) {
        if (vector) {
            kernels::tile_8<T>(scene, tile, out);
            return;
        }
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = kernels::ray<T>(scene, tile.tracks[i], tile.lines[i].step, tile.blocks);
    }
}

void write(std::span<const kernels::Seen> pixels, const std::array<float, 3>& background, std::uint8_t* to) noexcept {
    constexpr float kScale = 255.0F / 1023.0F;
    for (const kernels::Seen& seen : pixels) {
        const float behind = seen.transmittance * 255.0F;
        *to++ = to_byte(seen.red * kScale + behind * background[0]);
        *to++ = to_byte(seen.green * kScale + behind * background[1]);
        *to++ = to_byte(seen.blue * kScale + behind * background[2]);
    }
}

template <typename T>
void render(const kernels::Scene& scene, const Rays& rays, const TileMaker& maker,
            const std::vector<std::uint8_t>& active, const std::array<float, 3>& background, const Execution& execution,
            std::span<std::uint8_t> out) {
    const bool vector = uses_vectors<T>(scene.grid, execution);
    parallel::for_each(maker.count(), execution.threads, [&](std::size_t index) {
        thread_local Tile tile;
        maker.make(index, tile, active);
        std::array<kernels::Seen, std::size_t{kTile} * kTile> seen{};
        const auto pixels = std::span(seen).first(tile.tracks.size());
        cast<T>(scene, tile, vector, pixels);
        for (std::uint32_t r = 0; r < tile.rows; ++r) {
            const std::size_t to = std::size_t{tile.row + r} * rays.columns + tile.column;
            write(pixels.subspan(std::size_t{r} * tile.columns, tile.columns), background, &out[3 * to]);
        }
    });
}

}  // namespace

void raycast(const volume::BrickView& view, const CellGrid& cells, const Camera& camera, ImageSize size,
             const TransferFunction& transfer, const Shading& shading, const std::array<float, 3>& background,
             std::span<const ClipPlane> clip, const Execution& execution, std::span<std::uint8_t> out) {
    const DepthRange depth = depth_range(view, camera);
    const std::uint64_t pixels = std::uint64_t{size.rows} * size.columns;
    if (pixels > limits::kMaxRenderedPixels) {
        throw Error(Errc::limit_exceeded, "an image of more pixels than the limit");
    }
    if (out.size() != pixels * 3) {
        throw Error(Errc::buffer_too_small, "the buffer is not as large as the image");
    }
    for (const float part : background) {
        if (!(part >= 0.0F && part <= 1.0F)) {
            throw Error(Errc::invalid_argument, "the background is no colour from 0 to 1");
        }
    }
    const Grid grid(view);
    const TransferTable table(view, transfer, camera.step);
    std::optional<Light> light;
    if (shading.enabled) {
        light.emplace(grid, shading);
    }
    const CameraRays rays(grid, camera, size, depth);
    const Clip cut(grid, clip);
    const TileMaker maker(rays, grid, cut, cells);
    const std::vector<std::uint8_t> active =
        execution.skip ? table.active(cells) : std::vector<std::uint8_t>(cells.least.size(), 1);
    std::optional<Occupancy> occupancy;
    if (execution.skip && execution.simd && !cells.fine.least.empty()) {
        occupancy.emplace(cells, active, view.type, table, execution.threads);
    }
    const kernels::Scene scene{grid, table, light ? &*light : nullptr, occupancy ? &*occupancy : nullptr};
    with_sample_type(view.type,
                     [&]<typename T>(T) { render<T>(scene, rays, maker, active, background, execution, out); });
}

}  // namespace hilum::render
