// SPDX-License-Identifier: Apache-2.0
#include "hilum/render/fused.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <vector>

#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/parallel.hpp"
#include "rgb.hpp"

namespace hilum::render {
namespace {

constexpr std::size_t kBlock = 8;

/// A sample that has been classified: colour from 0 to kMostColour, not multiplied by its opacity.
struct Rgba {
    float red = 0.0F;
    float green = 0.0F;
    float blue = 0.0F;
    float alpha = 0.0F;
};
using Samples = std::array<Rgba, kBlock>;
using Entries = std::array<std::uint32_t, kBlock>;  ///< in a transfer table
constexpr std::uint32_t kAbsent = ~std::uint32_t{0};

struct Mask {
    Mask(const FusedMask& source, const Camera& camera, ImageSize size, const DepthRange& depth)
        : view(source.view), grid(view), rays(grid, camera, size, depth), excludes(source.excludes) {
        if (view.type != SampleType::u8) {
            throw Error(Errc::invalid_argument, "a mask is a volume of 8-bit unsigned samples");
        }
    }
    Mask(const Mask&) = delete;
    Mask& operator=(const Mask&) = delete;

    [[nodiscard]] Track track(std::uint32_t row, std::uint32_t column) const noexcept {
        const Line line = rays.line(row, column);
        return make_track(grid, line.start, Step(line.step), rays.samples);
    }
    [[nodiscard]] bool passes(const Track& track, std::int64_t k) const noexcept {
        const bool is_inside =
            k >= track.first && k < track.last && Sampler<std::uint8_t>(grid).nearest(track.at(k)) > 0;
        return is_inside != excludes;
    }

    volume::BrickView view;
    Grid grid;
    CameraRays rays;
    bool excludes;
};

/// One ray through a layer.
struct Ray {
    const Track& track;
    std::array<float, 3> toward;
    std::span<const Track> masks;
};

struct Layer {
    Layer(const FusedLayer& source, const Camera& camera, ImageSize size, const DepthRange& depth, bool skip)
        : view(source.view),
          grid(view),
          table(view, source.transfer, camera.step),
          rays(grid, camera, size, depth),
          clip(grid, source.clip),
          maker(rays, grid, clip, *source.cells),
          active(skip ? table.active(*source.cells) : std::vector<std::uint8_t>(source.cells->least.size(), 1)),
          stream(source.stream) {
        if (source.shading.enabled) {
            light.emplace(grid, source.shading);
        }
        for (const FusedMask& mask : source.masks) {
            masks.emplace_back(mask, camera, size, depth);
        }
        with_sample_type(view.type, [this]<typename T>(T) {
            look_at = &Layer::look<T>;
            shade_at = &Layer::shade<T>;
        });
    }
    Layer(const Layer&) = delete;
    Layer& operator=(const Layer&) = delete;

    /// Entries in the table of samples `block` * 8 and so on, kAbsent where none is. Returns bits of those with
    /// opacity.
    template <typename T>
    unsigned look(const Ray& ray, std::int64_t block, Entries& out) const noexcept {
        const Sampler<T> sampler(grid);
        const std::int64_t from = block * static_cast<std::int64_t>(kBlock);
        const std::int64_t end = std::min(ray.track.last, from + static_cast<std::int64_t>(kBlock));
        out.fill(kAbsent);
        unsigned seen = 0;
        for (std::int64_t k = std::max(ray.track.first, from); k < end; ++k) {
            const std::size_t entry = table.entry(static_cast<float>(sampler.linear(ray.track.at(k))));
            if (passes(ray.masks, k)) {
                out[static_cast<std::size_t>(k - from)] = static_cast<std::uint32_t>(entry);
                seen |= table.opacity[entry] > 0.0F ? 1U << (k - from) : 0U;
            }
        }
        return seen;
    }

    /// Colour of those samples that are in `wanted`.
    template <typename T>
    void shade(const Ray& ray, std::int64_t block, const Entries& entries, unsigned wanted,
               Samples& out) const noexcept {
        const Sampler<T> sampler(grid);
        out = {};
        for (std::size_t i = 0; i < kBlock; ++i) {
            if ((wanted >> i & 1U) == 0 || entries[i] == kAbsent) {
                continue;
            }
            float bright = 1.0F;
            float gloss = 0.0F;
            if (light) {
                const auto k = block * static_cast<std::int64_t>(kBlock) + static_cast<std::int64_t>(i);
                bright = kernels::lit(*light, kernels::gradient(sampler, ray.track.at(k)), ray.toward, gloss);
            }
            const std::uint32_t colour = table.colour[entries[i]];
            out[i] = {static_cast<float>(colour >> 20U) * bright + gloss,
                      static_cast<float>((colour >> 10U) & 1023U) * bright + gloss,
                      static_cast<float>(colour & 1023U) * bright + gloss, table.opacity[entries[i]]};
        }
    }

    [[nodiscard]] bool passes(std::span<const Track> tracks, std::int64_t k) const noexcept {
        for (std::size_t i = 0; i < tracks.size(); ++i) {
            if (!masks[i].passes(tracks[i], k)) {
                return false;
            }
        }
        return true;
    }

    volume::BrickView view;
    Grid grid;
    TransferTable table;
    std::optional<Light> light;
    CameraRays rays;
    Clip clip;
    TileMaker maker;
    std::vector<std::uint8_t> active;
    std::deque<Mask> masks;
    std::uint32_t stream;
    unsigned (Layer::*look_at)(const Ray&, std::int64_t, Entries&) const noexcept = nullptr;
    void (Layer::*shade_at)(const Ray&, std::int64_t, const Entries&, unsigned, Samples&) const noexcept = nullptr;
};

/// B over A, of opacities that are not multiplied into the colours.
Rgba over(const Rgba& a, const Rgba& b) noexcept {
    if (!(a.alpha > 0.0F)) {
        return b;
    }
    if (!(b.alpha > 0.0F)) {
        return a;
    }
    const float behind = a.alpha * (1.0F - b.alpha);
    const float alpha = b.alpha + behind;
    const float f = 1.0F / alpha;
    return {(b.red * b.alpha + a.red * behind) * f, (b.green * b.alpha + a.green * behind) * f,
            (b.blue * b.alpha + a.blue * behind) * f, alpha};
}

std::size_t upper_bits(float alpha, std::uint32_t bits) noexcept {
    return static_cast<std::size_t>(static_cast<std::uint32_t>(alpha * 65535.0F + 0.5F) >> (16U - bits));
}

/// `before`: what stands for the opacity of `a` in the index.
Rgba weighted(const Rgba& a, const Rgba& b, float before, const FusedWeights& weights) noexcept {
    const std::size_t index = (upper_bits(before, weights.bits) << weights.bits) | upper_bits(b.alpha, weights.bits);
    const float first = weights.first[index];
    const float second = weights.second[index];
    const auto part = [&](float x, float y) { return std::min(x * first + y * second, kMostColour); };
    return {part(a.red, b.red), part(a.green, b.green), part(a.blue, b.blue),
            std::min(a.alpha * first + b.alpha * second, 1.0F)};
}

struct Fusion {
    std::deque<Layer> layers;
    std::span<const FusedWeights> weights;

    /// What of all layers is seen at sample `at` of a block.
    [[nodiscard]] Rgba at(std::span<const Samples> samples, std::size_t at) const noexcept {
        Rgba found;
        Rgba stream;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            stream = over(stream, samples[i][at]);
            if (i + 1 < layers.size() && layers[i + 1].stream == layers[i].stream) {
                continue;
            }
            const std::uint32_t number = layers[i].stream;
            if (number == 0) {
                found = stream;
            } else if (found.alpha > 0.0F || stream.alpha > 0.0F) {
                const float before = number == 1 ? found.alpha : 1.0F - stream.alpha;
                found = weighted(found, stream, before, weights[number - 1]);
            }
            stream = {};
        }
        return found;
    }
};

/// Blocks of a tile, and which layers may be seen there.
struct Shared {
    std::int64_t index;
    std::uint32_t layers;  ///< bits
};

/// What a thread needs for a tile.
struct Work {
    std::vector<Tile> tiles;     ///< of each layer
    std::vector<Shared> blocks;  ///< ascending
    std::vector<Samples> samples;
    std::vector<Entries> entries;
    std::vector<unsigned> visible;
    std::vector<std::vector<Track>> masks;  ///< of one ray, of each layer
    std::vector<Ray> rays;

    void make(const Fusion& fusion, std::size_t index) {
        tiles.resize(fusion.layers.size());
        samples.resize(fusion.layers.size());
        entries.resize(fusion.layers.size());
        visible.assign(fusion.layers.size(), 0);
        masks.resize(fusion.layers.size());
        blocks.clear();
        for (std::size_t i = 0; i < tiles.size(); ++i) {
            fusion.layers[i].maker.make(index, tiles[i], fusion.layers[i].active);
            for (const Block& block : tiles[i].blocks) {
                blocks.push_back({block.index, 1U << i});
            }
        }
        std::ranges::stable_sort(blocks, {}, &Shared::index);
        std::size_t kept = 0;
        for (const Shared& block : blocks) {
            if (kept > 0 && blocks[kept - 1].index == block.index) {
                blocks[kept - 1].layers |= block.layers;
            } else {
                blocks[kept++] = block;
            }
        }
        blocks.resize(kept);
    }

    /// `ray` of the tile, and which pixel of the image that is.
    [[nodiscard]] kernels::Seen cast(const Fusion& fusion, std::size_t ray, std::uint32_t row, std::uint32_t column) {
        aim(fusion, ray, row, column);
        kernels::Seen seen;
        for (const Shared& block : blocks) {
            const unsigned wanted = classify(fusion, block);
            for (std::size_t at = 0; wanted >> at != 0; ++at) {
                const Rgba one = fusion.at(samples, at);
                const float weight = seen.transmittance * one.alpha;
                seen.red += weight * one.red;
                seen.green += weight * one.green;
                seen.blue += weight * one.blue;
                seen.transmittance *= 1.0F - one.alpha;
                if (seen.transmittance < kLeastTransmittance) {
                    return seen;
                }
            }
        }
        return seen;
    }

private:
    /// Fills `samples`, as far as any layer has an opacity; returns bits of those. Where streams are weighted, the
    /// colour of a sample without opacity counts as well.
    unsigned classify(const Fusion& fusion, const Shared& block) {
        unsigned any = 0;
        for (std::size_t i = 0; i < samples.size(); ++i) {
            entries[i].fill(kAbsent);
            visible[i] = 0;
            if ((block.layers >> i & 1U) != 0) {
                visible[i] = (fusion.layers[i].*fusion.layers[i].look_at)(rays[i], block.index, entries[i]);
                any |= visible[i];
            }
        }
        for (std::size_t i = 0; any != 0 && i < samples.size(); ++i) {
            const unsigned wanted = fusion.weights.empty() ? visible[i] : any;
            (fusion.layers[i].*fusion.layers[i].shade_at)(rays[i], block.index, entries[i], wanted, samples[i]);
        }
        return any;
    }

    void aim(const Fusion& fusion, std::size_t ray, std::uint32_t row, std::uint32_t column) {
        rays.clear();
        for (std::size_t i = 0; i < tiles.size(); ++i) {
            const Tile& tile = tiles[i];
            const Layer& layer = fusion.layers[i];
            masks[i].clear();
            for (const Mask& mask : layer.masks) {
                masks[i].push_back(mask.track(row, column));
            }
            std::array<float, 3> toward{};
            if (layer.light) {
                toward = layer.light->toward(layer.grid, tile.lines[ray].step);
            }
            rays.push_back({tile.tracks[ray], toward, masks[i]});
        }
    }
};

/// Samples that reach through all of the volumes.
DepthRange depth_of(std::span<const FusedLayer> layers, const Camera& camera) {
    double first = std::numeric_limits<double>::infinity();
    double last = -first;
    for (const FusedLayer& layer : layers) {
        const DepthRange one = depth_range(layer.view, camera);
        first = std::min(first, one.first);
        last = std::max(last, one.first + one.samples * camera.step);
    }
    const double samples = std::round((last - first) / camera.step);
    if (samples > static_cast<double>(limits::kMaxRaySamples)) {
        throw Error(Errc::limit_exceeded, "a ray through the volumes has more samples than the limit");
    }
    return {first, static_cast<std::uint32_t>(samples)};
}

void check(std::span<const FusedLayer> layers, std::span<const FusedWeights> weights) {
    if (layers.empty() || layers.size() > limits::kMaxFusedLayers) {
        throw Error(Errc::invalid_argument, "a view has at least one volume, at most 32");
    }
    std::uint32_t stream = 0;
    for (const FusedLayer& layer : layers) {
        if (layer.cells == nullptr || layer.stream < stream || layer.stream > stream + 1) {
            throw Error(Errc::invalid_argument, "the streams of volumes must ascend from 0");
        }
        stream = layer.stream;
    }
    if (layers.front().stream != 0 || weights.size() != stream) {
        throw Error(Errc::invalid_argument, "there must be weights for each stream but the first");
    }
    const auto are_weights = [](const std::vector<float>& values, std::uint32_t bits) {
        return values.size() == std::size_t{1} << 2 * bits &&
               std::ranges::all_of(values, [](float value) { return value >= 0.0F && value <= 1.0F; });
    };
    for (const FusedWeights& one : weights) {
        if (one.bits > 8 || !are_weights(one.first, one.bits) || !are_weights(one.second, one.bits)) {
            throw Error(Errc::invalid_argument, "weights are from 0 to 1, for every pair of opacities");
        }
    }
}

}  // namespace

void raycast_fused(std::span<const FusedLayer> layers, std::span<const FusedWeights> weights, const Camera& camera,
                   ImageSize size, const std::array<float, 3>& background, const Execution& execution,
                   std::span<std::uint8_t> out) {
    check(layers, weights);
    const DepthRange depth = depth_of(layers, camera);
    check_rgb(size, background, out.size());
    Fusion fusion;
    fusion.weights = weights;
    for (const FusedLayer& layer : layers) {
        fusion.layers.emplace_back(layer, camera, size, depth, execution.skip && weights.empty());
    }
    parallel::for_each(fusion.layers.front().maker.count(), execution.threads, [&](std::size_t index) {
        thread_local Work work;
        work.make(fusion, index);
        work.tiles.front().for_pixels(size.columns, [&](std::size_t ray, std::size_t pixel) {
            const auto row = static_cast<std::uint32_t>(pixel / size.columns);
            const auto column = static_cast<std::uint32_t>(pixel % size.columns);
            write_rgb(work.cast(fusion, ray, row, column), background, &out[3 * pixel]);
        });
    });
}

}  // namespace hilum::render
