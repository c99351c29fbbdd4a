// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <optional>

#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/parallel.hpp"
#include "hilum/render/labels.hpp"
#include "label_table.hpp"
#include "rays.hpp"
#include "transfer.hpp"

namespace hilum::render {
namespace {

constexpr float kMost = 1023.0F;  // of a colour in the table

struct Scene {
    const Grid& grid;
    const TransferTable& table;
    const Light* light;
    std::span<const LabelTable> labels;
    bool has_masks;
    bool has_opacity;  ///< segments may be seen where the volume is transparent
};

struct Colour {
    float red = 0.0F;
    float green = 0.0F;
    float blue = 0.0F;
};

/// What the labels make of one sample.
struct Sample {
    float alpha;
    Colour colour;
    const LabelTable* owner = nullptr;  ///< whose surface it is; nullptr: the volume's
    Vec3 place{};                       ///< in the owner
    std::uint8_t value = 0;
};

/// False: the sample is not there.
bool apply(const Scene& scene, const Position& p, Sample& sample) noexcept {
    bool is_shown = !scene.has_masks;
    for (const LabelTable& labels : scene.labels) {
        const Vec3 place = labels.place(p);
        const std::uint8_t value = labels.at(place);
        const LabelStyle& style = labels.style(value);
        if (!style.is_shown) {
            return false;
        }
        is_shown = is_shown || (labels.is_mask() && value > 0);
        if (const float least = labels.opacity(value); least > sample.alpha) {
            sample.alpha = least;
            sample.owner = &labels;
            sample.place = place;
            sample.value = value;
        }
        sample.colour.red += (style.colour[0] * kMost - sample.colour.red) * style.tint;
        sample.colour.green += (style.colour[1] * kMost - sample.colour.green) * style.tint;
        sample.colour.blue += (style.colour[2] * kMost - sample.colour.blue) * style.tint;
    }
    return is_shown && sample.alpha > 0.0F;
}

/// Brightness of a surface by its gradient in voxels, and its gloss: as in plain volume rendering.
float lit(const Light& light, const std::array<float, 3>& g, const std::array<float, 3>& toward, float& gloss) {
    const auto& m = light.metric;
    const float square = ((m[0] * (g[0] * g[0]) + m[1] * (g[1] * g[1])) + m[2] * (g[2] * g[2])) +
                         ((m[3] * (g[0] * g[1]) + m[4] * (g[0] * g[2])) + m[5] * (g[1] * g[2]));
    const float along = (toward[0] * g[0] + toward[1] * g[1]) + toward[2] * g[2];
    const float ratio = std::abs(along) / std::sqrt(square);
    const float cosine = ratio < 1.0F ? ratio : (ratio >= 1.0F ? 1.0F : 0.0F);  // no gradient: no number
    gloss = light.gloss[static_cast<std::size_t>(cosine * (Light::kEntries - 1) + 0.5F)] * kMost;
    return light.ambient + light.diffuse * cosine;
}

template <typename T>
class Ray {
public:
    Ray(const Scene& scene, const Vec3& step) noexcept
        : scene_(scene),
          sampler_(scene.grid),
          toward_(scene.light != nullptr ? scene.light->toward(scene.grid, step) : std::array<float, 3>{}) {}

    void cast(const Track& track, std::span<const Block> blocks) noexcept {
        for (const Block& block : blocks) {
            const std::int64_t end = std::min(track.last, block.index * 8 + 8);
            for (std::int64_t k = std::max(track.first, block.index * 8); k < end; ++k) {
                see(track.at(k));
                if (transmittance_ < kLeastTransmittance) {
                    return;
                }
            }
        }
    }

    void write(const std::array<float, 3>& background, std::uint8_t* to) const noexcept {
        const float behind = transmittance_ * 255.0F;
        const std::array<float, 3> seen{seen_.red, seen_.green, seen_.blue};
        for (std::size_t i = 0; i < 3; ++i) {
            to[i] =
                static_cast<std::uint8_t>(std::min(seen[i] * (255.0F / kMost) + behind * background[i], 255.0F) + 0.5F);
        }
    }

private:
    void see(const Position& p) noexcept {
        const float place = scene_.table.place(static_cast<double>(sampler_.linear(p)));
        const float limited = std::min(place > 0.0F ? place : 0.0F, static_cast<float>(TransferTable::kEntries - 1));
        const auto entry = static_cast<std::size_t>(limited + 0.5F);
        if (!scene_.has_opacity && !(scene_.table.opacity[entry] > 0.0F)) {
            return;
        }
        const std::uint32_t packed = scene_.table.colour[entry];
        Sample sample{.alpha = scene_.table.opacity[entry],
                      .colour = {static_cast<float>(packed >> 20U), static_cast<float>((packed >> 10U) & 1023U),
                                 static_cast<float>(packed & 1023U)}};
        if (!apply(scene_, p, sample)) {
            return;
        }
        float bright = 1.0F;
        float gloss = 0.0F;
        if (scene_.light != nullptr) {
            bright = lit(*scene_.light, gradient(p, sample), toward_, gloss);
        }
        const float weight = transmittance_ * sample.alpha;
        seen_.red += weight * (sample.colour.red * bright + gloss);
        seen_.green += weight * (sample.colour.green * bright + gloss);
        seen_.blue += weight * (sample.colour.blue * bright + gloss);
        transmittance_ *= 1.0F - sample.alpha;
    }

    [[nodiscard]] std::array<float, 3> gradient(const Position& p, const Sample& sample) const noexcept {
        if (sample.owner != nullptr) {
            return sample.owner->gradient(sample.place, sample.value);
        }
        const auto g = sampler_.gradient(p);
        return {static_cast<float>(g[0]), static_cast<float>(g[1]), static_cast<float>(g[2])};
    }

    const Scene& scene_;
    Sampler<T> sampler_;
    std::array<float, 3> toward_;
    Colour seen_;
    float transmittance_ = 1.0F;
};

template <typename T>
void render(const Scene& scene, const Rays& rays, const TileMaker& maker, const std::vector<std::uint8_t>& active,
            const std::array<float, 3>& background, const Execution& execution, std::span<std::uint8_t> out) {
    parallel::for_each(maker.count(), execution.threads, [&](std::size_t index) {
        thread_local Tile tile;
        maker.make(index, tile, active);
        for (std::size_t i = 0; i < tile.tracks.size(); ++i) {
            Ray<T> ray(scene, tile.lines[i].step);
            ray.cast(tile.tracks[i], tile.blocks);
            const std::size_t row = tile.row + i / tile.columns;
            ray.write(background, &out[3 * (row * rays.columns + tile.column + i % tile.columns)]);
        }
    });
}

void check(ImageSize size, const std::array<float, 3>& background, std::size_t bytes) {
    const std::uint64_t pixels = std::uint64_t{size.rows} * size.columns;
    if (pixels > limits::kMaxRenderedPixels) {
        throw Error(Errc::limit_exceeded, "an image of more pixels than the limit");
    }
    if (bytes != pixels * 3) {
        throw Error(Errc::buffer_too_small, "the buffer is not as large as the image");
    }
    if (!std::ranges::all_of(background, [](float part) { return part >= 0.0F && part <= 1.0F; })) {
        throw Error(Errc::invalid_argument, "the background is no colour from 0 to 1");
    }
}

}  // namespace

void raycast_labelled(const volume::BrickView& view, const CellGrid& cells, const Camera& camera, ImageSize size,
                      const TransferFunction& transfer, const Shading& shading, const std::array<float, 3>& background,
                      std::span<const ClipPlane> clip, std::span<const Labels> labels, const Execution& execution,
                      std::span<std::uint8_t> out) {
    const DepthRange depth = depth_range(view, camera);
    check(size, background, out.size());
    const Grid grid(view);
    const TransferTable table(view, transfer, camera.step);
    std::optional<Light> light;
    if (shading.enabled) {
        light.emplace(grid, shading);
    }
    std::vector<LabelTable> tables;
    tables.reserve(labels.size());
    for (const Labels& one : labels) {
        tables.emplace_back(one, grid, camera.step, transfer.unit);
    }
    std::vector<std::uint8_t> active =
        execution.skip ? table.active(cells) : std::vector<std::uint8_t>(cells.least.size(), 1);
    for (const LabelTable& one : tables) {
        if (one.shows_itself()) {
            one.mark(cells, active);
        }
    }
    const CameraRays rays(grid, camera, size, depth);
    const Clip cut(grid, clip);
    const TileMaker maker(rays, grid, cut, cells);
    const Scene scene{grid,
                      table,
                      light ? &*light : nullptr,
                      tables,
                      std::ranges::any_of(tables, [](const LabelTable& one) { return one.is_mask(); }),
                      std::ranges::any_of(tables, [](const LabelTable& one) { return one.shows_itself(); })};
    with_sample_type(view.type,
                     [&]<typename T>(T) { render<T>(scene, rays, maker, active, background, execution, out); });
}

}  // namespace hilum::render
