// SPDX-License-Identifier: Apache-2.0
#include "raycast_kernels.hpp"

#include <array>
#include <bit>

#if defined(__x86_64__)
#include "raycast_avx2.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace hilum::render::avx2 {
namespace {

/// In three passes over the samples of a block, so that no branch waits for a value that has just been asked for.
template <typename T, bool Shaded>
void see(const kernels::Scene& scene, const Sampler8<T>& sampler, const Block& block, const Near* near,
         BundleState& state) noexcept {
    Samples<T> samples;
    for (unsigned left = look_at_block(scene.table, sampler, block, near, state, samples, false); left != 0;
         left &= left - 1) {
        const auto i = static_cast<std::size_t>(std::countr_zero(left));
        __m256 colour[3];
        colours_of(scene.table, samples.entry[i], colour);
        __m256 bright = _mm256_set1_ps(1.0F);
        __m256 gloss = _mm256_setzero_ps();
        if constexpr (Shaded) {
            __m256 g[3];
            gradient_of(sampler, state, samples, i,
                        _mm256_and_si256(samples.wanted[i], _mm256_castps_si256(state.alive)), g);
            shade(*scene.light, state, g, bright, gloss);
        }
        if (state.add(colour, _mm256_and_ps(samples.alpha[i], state.alive), bright, gloss)) {
            return;
        }
    }
}

template <typename T, bool Shaded>
void rays(const kernels::Scene& scene, const Tile& tile, std::span<kernels::Seen, kTileRays> out) noexcept {
    const Sampler8<T> sampler(scene.grid);
    for_bundles(scene, tile, out, [&](const Block& block, const Near* near, BundleState& state) {
        see<T, Shaded>(scene, sampler, block, near, state);
    });
}

}  // namespace
}  // namespace hilum::render::avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

namespace hilum::render::kernels {

template <typename T>
void tile_8(const Scene& scene, const Tile& tile, std::span<Seen, kTileRays> out) noexcept {
#if defined(__x86_64__)
    scene.light != nullptr ? avx2::rays<T, true>(scene, tile, out) : avx2::rays<T, false>(scene, tile, out);
#else
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = ray<T>(scene, tile.tracks[i], tile.lines[i].step, tile.blocks);
    }
#endif
}

template void tile_8<std::int16_t>(const Scene&, const Tile&, std::span<Seen, kTileRays>) noexcept;
template void tile_8<std::uint16_t>(const Scene&, const Tile&, std::span<Seen, kTileRays>) noexcept;

}  // namespace hilum::render::kernels
