// SPDX-License-Identifier: Apache-2.0
// Rays, front to back.
#pragma once

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

template <typename T>
float brightness(const Sampler<T>& sampler, const Position& p, const Light& light, const std::array<float, 3>& toward,
                 float& gloss) noexcept {
    const auto g = sampler.gradient(p);
    const auto x = static_cast<float>(g[0]);
    const auto y = static_cast<float>(g[1]);
    const auto z = static_cast<float>(g[2]);
    const auto& m = light.metric;
    const float square =
        ((m[0] * (x * x) + m[1] * (y * y)) + m[2] * (z * z)) + ((m[3] * (x * y) + m[4] * (x * z)) + m[5] * (y * z));
    const float along = (toward[0] * x + toward[1] * y) + toward[2] * z;
    const float ratio = std::abs(along) / std::sqrt(square);
    const float cosine = ratio < 1.0F ? ratio : (ratio >= 1.0F ? 1.0F : 0.0F);  // no gradient: no number
    gloss = light.gloss[static_cast<std::size_t>(cosine * (Light::kEntries - 1) + 0.5F)] * 1023.0F;
    return light.ambient + light.diffuse * cosine;
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
            const float place = table.place(static_cast<double>(sampler.linear(track.at(k))));
            const float limited =
                std::min(place > 0.0F ? place : 0.0F, static_cast<float>(TransferTable::kEntries - 1));
            const auto entry = static_cast<std::size_t>(limited + 0.5F);
            const float alpha = table.opacity[entry];
            if (!(alpha > 0.0F)) {
                continue;
            }
            const std::uint32_t colour = table.colour[entry];
            float bright = 1.0F;
            float gloss = 0.0F;
            if (scene.light != nullptr) {
                bright = brightness(sampler, track.at(k), *scene.light, toward, gloss);
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
void tile_8(const Scene& scene, const Tile& tile, std::span<Seen> out) noexcept;

}  // namespace hilum::render::kernels
