// SPDX-License-Identifier: Apache-2.0
#include "hilum/render/raycast.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "hilum/parallel.hpp"
#include "hilum/render/labels.hpp"
#include "label_kernels.hpp"
#include "raycast_kernels.hpp"
#include "rgb.hpp"

namespace hilum::render {
namespace {

template <typename T>
void cast(const kernels::Scene& scene, const Tile& tile, bool vector,
          std::span<kernels::Seen, kTileRays> out) noexcept {
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

template <typename T>
void cast(const kernels::LabelledScene& scene, const Tile& tile, bool vector,
          std::span<kernels::Seen, kTileRays> out) noexcept {
    if constexpr (kHasVectors<T>) {
        if (vector) {
            kernels::labelled_tile_8<T>(scene, tile, out);
            return;
        }
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = kernels::LabelledRay<T>(scene, tile.lines[i].step).cast(tile.tracks[i], tile.blocks);
    }
}

/// All of an image but what its samples are made of.
struct Image {
    const volume::BrickView& view;
    const CellGrid& cells;
    const Camera& camera;
    ImageSize size;
    const std::array<float, 3>& background;
    std::span<const ClipPlane> clip;
    const Execution& execution;
    std::span<std::uint8_t> out;

    /// `active`: the cells that may be seen.
    template <typename Scene>
    void render(const Grid& grid, const DepthRange& depth, const Scene& scene,
                std::span<const std::uint8_t> active) const {
        const CameraRays rays(grid, camera, size, depth);
        const Clip cut(grid, clip);
        const TileMaker maker(rays, grid, cut, cells);
        with_sample_type(view.type, [&]<typename T>(T) { tiles<T>(scene, maker, active); });
    }

private:
    template <typename T, typename Scene>
    void tiles(const Scene& scene, const TileMaker& maker, std::span<const std::uint8_t> active) const {
        const bool vector = uses_vectors<T>(scene.grid, execution);
        parallel::for_each(maker.count(), execution.threads, [&](std::size_t index) {
            thread_local Tile tile;
            maker.make(index, tile, active);
            std::array<kernels::Seen, kTileRays> seen{};
            cast<T>(scene, tile, vector, seen);
            tile.for_pixels(size.columns, [&](std::size_t ray, std::size_t pixel) {
                write_rgb(seen[ray], background, &out[3 * pixel]);
            });
        });
    }
};

/// Cells of 8³ that may be seen, and those of 4³.
struct Visible {
    Visible(const Image& image, const TransferTable& table, std::span<const LabelTable> labels)
        : cells(image.execution.skip ? table.active(image.cells)
                                     : std::vector<std::uint8_t>(image.cells.least.size(), 1)) {
        if (!image.execution.skip) {
            return;
        }
        std::vector<std::uint8_t> labelled(std::ranges::any_of(labels, &LabelTable::has_opacity) ? cells.size() : 0);
        for (const LabelTable& one : labels) {
            if (one.has_opacity) {
                one.mark(image.cells, labelled);
            }
        }
        if (image.execution.simd && !image.cells.fine.least.empty()) {
            fine.emplace(image.cells, cells, labelled, image.view.type, table, image.execution.threads);
        }
        for (std::size_t i = 0; i < labelled.size(); ++i) {
            cells[i] |= labelled[i];
        }
    }

    [[nodiscard]] const Occupancy* occupancy() const noexcept { return fine ? &*fine : nullptr; }

    std::vector<std::uint8_t> cells;
    std::optional<Occupancy> fine;
};

}  // namespace

void raycast(const volume::BrickView& view, const CellGrid& cells, const Camera& camera, ImageSize size,
             const TransferFunction& transfer, const Shading& shading, const std::array<float, 3>& background,
             std::span<const ClipPlane> clip, const Execution& execution, std::span<std::uint8_t> out) {
    const DepthRange depth = depth_range(view, camera);
    check_rgb(size, background, out.size());
    const Grid grid(view);
    const TransferTable table(view, transfer, camera.step);
    const std::optional<Light> light =
        shading.enabled ? std::optional<Light>(std::in_place, grid, shading) : std::nullopt;
    const Image image{view, cells, camera, size, background, clip, execution, out};
    const Visible visible(image, table, {});
    image.render(grid, depth, kernels::Scene{grid, table, light ? &*light : nullptr, visible.occupancy()},
                 visible.cells);
}

void raycast_labelled(const volume::BrickView& view, const CellGrid& cells, const Camera& camera, ImageSize size,
                      const TransferFunction& transfer, const Shading& shading, const std::array<float, 3>& background,
                      std::span<const ClipPlane> clip, std::span<const Labels> labels, const Execution& execution,
                      std::span<std::uint8_t> out) {
    const DepthRange depth = depth_range(view, camera);
    check_rgb(size, background, out.size());
    const Grid grid(view);
    const TransferTable table(view, transfer, camera.step);
    const std::optional<Light> light =
        shading.enabled ? std::optional<Light>(std::in_place, grid, shading) : std::nullopt;
    std::vector<LabelTable> tables;
    tables.reserve(labels.size());
    for (const Labels& one : labels) {
        tables.emplace_back(one, grid, camera.step, transfer.unit);
    }
    const Image image{view, cells, camera, size, background, clip, execution, out};
    const Visible visible(image, table, tables);
    kernels::LabelledScene scene{{grid, table, light ? &*light : nullptr, visible.occupancy()}, tables};
    scene.has_masks = std::ranges::any_of(tables, &LabelTable::is_mask);
    scene.has_opacity = std::ranges::any_of(tables, &LabelTable::has_opacity);
    image.render(grid, depth, scene, visible.cells);
}

}  // namespace hilum::render
