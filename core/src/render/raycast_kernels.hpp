// SPDX-License-Identifier: Apache-2.0
// Rays, front to back.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <span>

#include "occupancy.hpp"
#include "rays.hpp"
#include "sample.hpp"
#include "transfer.hpp"

namespace hilum::render::kernels {

/// What all rays of an image share.
struct Scene {
    const Grid& grid;
    const TransferTable& table;
    const Light* light = nullptr;          ///< nullptr: no shading
    const Occupancy* occupancy = nullptr;  ///< nullptr: nothing is left out
};

/// Colour so far (0 to 1023, as in the table) and what of the light behind it passes.
struct Seen {
    float red = 0.0F;
    float green = 0.0F;
    float blue = 0.0F;
    float transmittance = 1.0F;
};

/// Brightness of a surface whose gradient in voxels is `g`, and its gloss.
inline float lit(const Light& light, const std::array<float, 3>& g, const std::array<float, 3>& toward,
                 float& gloss) noexcept {
    const auto& m = light.metric;
    const float square = ((m[0] * (g[0] * g[0]) + m[1] * (g[1] * g[1])) + m[2] * (g[2] * g[2])) +
                         ((m[3] * (g[0] * g[1]) + m[4] * (g[0] * g[2])) + m[5] * (g[1] * g[2]));
    const float along = (toward[0] * g[0] + toward[1] * g[1]) + toward[2] * g[2];
    const float ratio = std::abs(along) / std::sqrt(square);
    const float cosine = ratio < 1.0F ? ratio : (ratio >= 1.0F ? 1.0F : 0.0F);  // no gradient: no number
    gloss = light.gloss[static_cast<std::size_t>(cosine * (Light::kEntries - 1) + 0.5F)] * kMostColour;
    return light.ambient + light.diffuse * cosine;
}

template <typename T>
[[nodiscard]] std::array<float, 3> gradient(const Sampler<T>& sampler, const Position& p) noexcept {
    const auto g = sampler.gradient(p);
    return {static_cast<float>(g[0]), static_cast<float>(g[1]), static_cast<float>(g[2])};
}

template <typename T>
Seen ray(const Scene& scene, const Track& track, const Vec3& step, std::span<const Block> blocks) noexcept {
    const Sampler<T> sampler(scene.grid);
    const TransferTable& table = scene.table;
    const std::array<float, 3> toward =
        scene.light != nullptr ? scene.light->toward(scene.grid, step) : std::array<float, 3>{};
    Seen seen;
    for (const Block& block : blocks) {
        const std::int64_t end = std::min(track.last, block.index * 8 + 8);
        for (std::int64_t k = std::max(track.first, block.index * 8); k < end; ++k) {
            const std::size_t entry = table.entry(static_cast<float>(sampler.linear(track.at(k))));
            const float alpha = table.opacity[entry];
            if (!(alpha > 0.0F)) {
                continue;
            }
            const std::uint32_t colour = table.colour[entry];
            float bright = 1.0F;
            float gloss = 0.0F;
            if (scene.light != nullptr) {
                bright = lit(*scene.light, gradient(sampler, track.at(k)), toward, gloss);
            }
            const float weight = seen.transmittance * alpha;
            seen.red += weight * (static_cast<float>(colour >> 20U) * bright + gloss);
            seen.green += weight * (static_cast<float>((colour >> 10U) & 1023U) * bright + gloss);
            seen.blue += weight * (static_cast<float>(colour & 1023U) * bright + gloss);
            seen.transmittance *= 1.0F - alpha;
            if (seen.transmittance < kLeastTransmittance) {
                return seen;
            }
        }
    }
    return seen;
}

/// The same for all rays of a tile, where uses_vectors() says so.
template <typename T>
void tile_8(const Scene& scene, const Tile& tile, std::span<Seen, kTileRays> out) noexcept;

}  // namespace hilum::render::kernels
