// SPDX-License-Identifier: Apache-2.0
// Rays with labels, front to back.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "label_table.hpp"
#include "raycast_kernels.hpp"

namespace hilum::render::kernels {

struct LabelledScene : Scene {
    std::span<const LabelTable> labels;
    bool has_masks = false;
    bool has_opacity = false;  ///< segments may be seen where the volume is transparent
};

/// What the labels make of one sample.
struct LabelledSample {
    float alpha = 0.0F;
    std::array<float, 3> colour{};
    const LabelTable* owner = nullptr;  ///< whose surface it is; nullptr: the volume's
    Vec3 place{};                       ///< in the owner
    std::uint8_t value = 0;
};

/// False: the sample is not there.
inline bool apply(const LabelledScene& scene, const Position& p, LabelledSample& sample) noexcept {
    bool is_shown = !scene.has_masks;
    for (const LabelTable& labels : scene.labels) {
        const Vec3 place = labels.place(p);
        const std::uint8_t value = labels.at(place);
        if (labels.is_hidden[value] != 0) {
            return false;
        }
        is_shown = is_shown || (labels.is_mask && value > 0);
        if (const float least = labels.opacity[value]; least > sample.alpha) {
            sample.alpha = least;
            sample.owner = &labels;
            sample.place = place;
            sample.value = value;
        }
        for (std::size_t i = 0; i < 3; ++i) {
            sample.colour[i] += (labels.colour[i][value] - sample.colour[i]) * labels.tint[value];
        }
    }
    return is_shown && sample.alpha > 0.0F;
}

/// The scalar twin of labelled_tile_8.
template <typename T>
class LabelledRay {
public:
    LabelledRay(const LabelledScene& scene, const Vec3& step) noexcept
        : scene_(scene),
          sampler_(scene.grid),
          toward_(scene.light != nullptr ? scene.light->toward(scene.grid, step) : std::array<float, 3>{}) {}

    Seen cast(const Track& track, std::span<const Block> blocks) noexcept {
        for (const Block& block : blocks) {
            const std::int64_t end = std::min(track.last, block.index * 8 + 8);
            for (std::int64_t k = std::max(track.first, block.index * 8); k < end; ++k) {
                see(track.at(k));
                if (seen_.transmittance < kLeastTransmittance) {
                    return seen_;
                }
            }
        }
        return seen_;
    }

private:
    void see(const Position& p) noexcept {
        const std::size_t entry = scene_.table.entry(static_cast<float>(sampler_.linear(p)));
        if (!scene_.has_opacity && !(scene_.table.opacity[entry] > 0.0F)) {
            return;
        }
        const std::uint32_t packed = scene_.table.colour[entry];
        LabelledSample sample{.alpha = scene_.table.opacity[entry],
                              .colour = {static_cast<float>(packed >> 20U), static_cast<float>((packed >> 10U) & 1023U),
                                         static_cast<float>(packed & 1023U)}};
        if (!apply(scene_, p, sample)) {
            return;
        }
        float bright = 1.0F;
        float gloss = 0.0F;
        if (scene_.light != nullptr) {
            bright = lit(
                *scene_.light,
                sample.owner != nullptr ? sample.owner->gradient(sample.place, sample.value) : gradient(sampler_, p),
                toward_, gloss);
        }
        const float weight = seen_.transmittance * sample.alpha;
        seen_.red += weight * (sample.colour[0] * bright + gloss);
        seen_.green += weight * (sample.colour[1] * bright + gloss);
        seen_.blue += weight * (sample.colour[2] * bright + gloss);
        seen_.transmittance *= 1.0F - sample.alpha;
    }

    const LabelledScene& scene_;
    Sampler<T> sampler_;
    std::array<float, 3> toward_;
    Seen seen_;
};

/// The same for all rays of a tile, where uses_vectors() says so.
template <typename T>
void labelled_tile_8(const LabelledScene& scene, const Tile& tile, std::span<Seen, kTileRays> out) noexcept;

}  // namespace hilum::render::kernels
