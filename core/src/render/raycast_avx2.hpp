// SPDX-License-Identifier: Apache-2.0
// Rays, front to back, eight at once: what the kernels with and without labels share. Include from x86-64 only.
#pragma once

#include <array>
#include <bit>
#include <new>

#include "raycast_kernels.hpp"
#include "walk_avx2.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace hilum::render::avx2 {

inline __m256 times(float factor, __m256 v) noexcept {
    return _mm256_mul_ps(_mm256_set1_ps(factor), v);
}

/// Unit vectors to the viewer of eight rays.
struct Viewers {
    Viewers(const kernels::Scene& scene, std::span<const Line, kLanes> lines) noexcept {
        alignas(32) float parts[3][8] = {};
        for (std::size_t i = 0; scene.light != nullptr && i < kLanes; ++i) {
            const std::array<float, 3> one = scene.light->toward(scene.grid, lines[i].step);
            for (std::size_t axis = 0; axis < 3; ++axis) {
                parts[axis][i] = one[axis];
            }
        }
        for (std::size_t axis = 0; axis < 3; ++axis) {
            toward[axis] = _mm256_load_ps(parts[axis]);
        }
    }
    __m256 toward[3];
};

template <typename T>
__m256 difference(const Sampler8<T>& sampler, const Cursor& cursor, std::size_t axis, __m256i wanted) noexcept {
    Axis high[3] = {cursor.at[0], cursor.at[1], cursor.at[2]};
    Axis low[3] = {cursor.at[0], cursor.at[1], cursor.at[2]};
    high[axis] = high[axis].moved(std::int64_t{1} << 32);
    low[axis] = low[axis].moved(-(std::int64_t{1} << 32));
    return _mm256_sub_ps(sampler.linear(sampler.place(high[0], high[1], high[2]), wanted),
                         sampler.linear(sampler.place(low[0], low[1], low[2]), wanted));
}

/// Eight rays so far.
struct Colours {
    Colours() noexcept
        : red(_mm256_setzero_ps()),
          green(_mm256_setzero_ps()),
          blue(_mm256_setzero_ps()),
          transmittance(_mm256_set1_ps(1.0F)) {}

    __m256 red;
    __m256 green;
    __m256 blue;
    __m256 transmittance;

    void add(const __m256 (&colour)[3], __m256 alpha, __m256 bright, __m256 gloss) noexcept {
        const __m256 weight = _mm256_mul_ps(transmittance, alpha);
        __m256* to[3] = {&red, &green, &blue};
        for (std::size_t i = 0; i < 3; ++i) {
            const __m256 lit = _mm256_add_ps(_mm256_mul_ps(colour[i], bright), gloss);
            *to[i] = _mm256_add_ps(*to[i], _mm256_mul_ps(weight, lit));
        }
        transmittance = _mm256_mul_ps(transmittance, _mm256_sub_ps(_mm256_set1_ps(1.0F), alpha));
    }

    void store(std::span<kernels::Seen, kLanes> out) const noexcept {
        alignas(32) float parts[4][8];
        _mm256_store_ps(parts[0], red);
        _mm256_store_ps(parts[1], green);
        _mm256_store_ps(parts[2], blue);
        _mm256_store_ps(parts[3], transmittance);
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i] = {parts[0][i], parts[1][i], parts[2][i], parts[3][i]};
        }
    }
};

/// Red, green and blue of entries of the transfer function.
inline void colours_of(const TransferTable& table, __m256i entry, __m256 (&to)[3]) noexcept {
    const __m256i ten = _mm256_set1_epi32(1023);
    const __m256i packed = look_up(table.colour, entry);
    to[0] = _mm256_cvtepi32_ps(_mm256_srli_epi32(packed, 20));
    to[1] = _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(packed, 10), ten));
    to[2] = _mm256_cvtepi32_ps(_mm256_and_si256(packed, ten));
}

/// Eight rays of a tile and what they have seen.
struct BundleState {
    BundleState(const kernels::Scene& scene, std::span<const Track, kLanes> tracks,
                std::span<const Line, kLanes> lines) noexcept
        : rays(tracks),
          viewers(scene, lines),
          alive(_mm256_castsi256_ps(_mm256_cmpgt_epi32(rays.last, rays.first))),
          is_done(_mm256_movemask_ps(alive) == 0) {}

    /// Adds a sample; true when no ray sees any further.
    bool add(const __m256 (&colour)[3], __m256 alpha, __m256 bright, __m256 gloss) noexcept {
        colours.add(colour, alpha, bright, gloss);
        alive =
            _mm256_and_ps(alive, _mm256_cmp_ps(colours.transmittance, _mm256_set1_ps(kLeastTransmittance), _CMP_GE_OQ));
        is_done = _mm256_movemask_ps(alive) == 0;
        return is_done;
    }

    Bundle rays;
    Viewers viewers;
    Colours colours;
    __m256 alive;
    bool is_done;
};

/// Up to eight samples of each ray of a bundle.
template <typename T>
struct Samples {
    typename Sampler8<T>::Place place[8];
    std::int64_t k[8];
    __m256i wanted[8];  ///< rays that may see it; after look() those that do
    __m256i entry[8];   ///< of the transfer function
    __m256 alpha[8];
    unsigned count = 0;
};

/// Central differences of the values around a sample, in the lanes that are `wanted`.
template <typename T>
void gradient_of(const Sampler8<T>& sampler, const BundleState& state, const Samples<T>& samples, std::size_t which,
                 __m256i wanted, __m256 (&g)[3]) noexcept {
    if (!sampler.gradient(samples.place[which], wanted, g)) {
        const Cursor cursor(state.rays, samples.k[which]);
        for (std::size_t axis = 0; axis < 3; ++axis) {
            g[axis] = difference(sampler, cursor, axis, wanted);
        }
    }
}

inline void shade(const Light& light, const BundleState& state, const __m256 (&g)[3], __m256& bright,
                  __m256& gloss) noexcept {
    const __m256 x = g[0];
    const __m256 y = g[1];
    const __m256 z = g[2];
    const auto& m = light.metric;
    const __m256 straight =
        _mm256_add_ps(_mm256_add_ps(times(m[0], _mm256_mul_ps(x, x)), times(m[1], _mm256_mul_ps(y, y))),
                      times(m[2], _mm256_mul_ps(z, z)));
    const __m256 mixed =
        _mm256_add_ps(_mm256_add_ps(times(m[3], _mm256_mul_ps(x, y)), times(m[4], _mm256_mul_ps(x, z))),
                      times(m[5], _mm256_mul_ps(y, z)));
    const __m256 along = _mm256_add_ps(
        _mm256_add_ps(_mm256_mul_ps(state.viewers.toward[0], x), _mm256_mul_ps(state.viewers.toward[1], y)),
        _mm256_mul_ps(state.viewers.toward[2], z));
    const __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0F), along);
    const __m256 ratio = _mm256_div_ps(size, _mm256_sqrt_ps(_mm256_add_ps(straight, mixed)));
    // No gradient: no number, which becomes 0.
    const __m256 number = _mm256_and_ps(ratio, _mm256_cmp_ps(ratio, ratio, _CMP_ORD_Q));
    const __m256 cosine = _mm256_min_ps(number, _mm256_set1_ps(1.0F));
    const __m256 place =
        _mm256_add_ps(_mm256_mul_ps(cosine, _mm256_set1_ps(Light::kEntries - 1)), _mm256_set1_ps(0.5F));
    const Addresses<4> at(reinterpret_cast<const std::byte*>(light.gloss.data()), _mm256_cvttps_epi32(place));
    gloss = _mm256_mul_ps(_mm256_castsi256_ps(at.load(0)), _mm256_set1_ps(1023.0F));
    bright = _mm256_add_ps(_mm256_set1_ps(light.ambient), times(light.diffuse, cosine));
}

/// NearCells in one vector.
struct Near {
    explicit Near(const NearCells& cells) noexcept
        : words(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(cells.words.data()))),
          log2(_mm_cvtsi32_si128(static_cast<int>(cells.log2))),
          across(_mm256_set1_epi32(cells.across)),
          low_x(_mm256_set1_epi32(cells.low[0])),
          low_y(_mm256_set1_epi32(cells.low[1])),
          low_z(_mm256_set1_epi32(cells.low[2])) {}

    /// Which lanes may be visible, all of them in the box.
    [[nodiscard]] __m256i shows(__m256i x, __m256i y, __m256i z) const noexcept {
        const __m256i row = _mm256_sub_epi32(_mm256_srl_epi32(y, log2), low_y);
        const __m256i column = _mm256_sub_epi32(_mm256_srl_epi32(x, log2), low_x);
        const __m256i word = _mm256_permutevar8x32_epi32(words, _mm256_sub_epi32(_mm256_srl_epi32(z, log2), low_z));
        const __m256i bit = _mm256_add_epi32(_mm256_madd_epi16(row, across), column);
        return _mm256_srai_epi32(_mm256_sllv_epi32(word, bit), 31);
    }

    __m256i words;
    __m128i log2;
    __m256i across;
    __m256i low_x;
    __m256i low_y;
    __m256i low_z;
};

/// The samples of a block that may be visible to a ray that is not done.
template <bool Inner, typename T>
void find(const Sampler8<T>& sampler, const Block& block, const Near* near, const BundleState& state,
          Samples<T>& to) noexcept {
    const std::int64_t end = std::min(state.rays.end, block.index * 8 + 8);
    const std::int64_t begin = std::max(state.rays.begin, block.index * 8);
    const __m256i alive = _mm256_castps_si256(state.alive);
    Cursor cursor(state.rays, begin);
    for (std::int64_t k = begin; k < end; ++k, cursor.advance()) {
        const auto place = cursor.place<Inner>(sampler);
        __m256i wanted = _mm256_and_si256(alive, state.rays.inside(k));
        if (near != nullptr) {
            wanted = _mm256_and_si256(wanted, near->shows(place.x.voxel, place.y.voxel, place.z.voxel));
        }
        sampler.copy(place, to.place[to.count]);
        to.k[to.count] = k;
        to.wanted[to.count] = wanted;
        to.count += _mm256_testz_si256(wanted, wanted) == 0 ? 1U : 0U;
    }
}

/// The opacity of those samples, and which of them are visible, bit by bit: `all` of them, or those that have one.
template <bool Inner, typename T>
unsigned look(const TransferTable& table, const Sampler8<T>& sampler, Samples<T>& samples, bool all) noexcept {
    const __m256 zero = _mm256_setzero_ps();
    sampler.template linear_many<Inner>(samples.count, samples.place, samples.wanted, samples.alpha);
    for (std::size_t i = 0; i < samples.count; ++i) {
        const __m256 scaled =
            _mm256_add_ps(_mm256_mul_ps(samples.alpha[i], _mm256_set1_ps(table.scale)), _mm256_set1_ps(table.offset));
        const __m256 place = _mm256_min_ps(_mm256_max_ps(scaled, zero), _mm256_set1_ps(TransferTable::kEntries - 1));
        samples.entry[i] = _mm256_cvttps_epi32(_mm256_add_ps(place, _mm256_set1_ps(0.5F)));
    }
    unsigned visible = 0;
    for (std::size_t i = 0; i < samples.count; ++i) {
        const __m256i opacity = View<4>(table.opacity, samples.entry[i]).load(0);
        samples.alpha[i] = _mm256_castsi256_ps(_mm256_and_si256(samples.wanted[i], opacity));
        if (!all) {
            samples.wanted[i] = _mm256_castps_si256(_mm256_cmp_ps(samples.alpha[i], zero, _CMP_GT_OQ));
        }
        visible |= (_mm256_testz_si256(samples.wanted[i], samples.wanted[i]) == 0 ? 1U : 0U) << i;
    }
    return visible;
}

/// find() and look().
template <typename T>
unsigned look_at_block(const TransferTable& table, const Sampler8<T>& sampler, const Block& block, const Near* near,
                       const BundleState& state, Samples<T>& samples, bool all) noexcept {
    if (block.is_inner) {
        find<true>(sampler, block, near, state, samples);
        return look<true>(table, sampler, samples, all);
    }
    find<false>(sampler, block, near, state, samples);
    return look<false>(table, sampler, samples, all);
}

/// Block by block, so that all bundles of the tile read what the first has brought into the cache.
/// `see(block, near, bundle)` adds the samples of one bundle.
template <typename See>
void for_bundles(const kernels::Scene& scene, const Tile& tile, std::span<kernels::Seen, kTileRays> out,
                 See&& see) noexcept {
    alignas(BundleState) std::byte memory[kBundles * sizeof(BundleState)];
    auto* const bundles = reinterpret_cast<BundleState*>(memory);
    for (std::size_t i = 0; i < kBundles; ++i) {
        new (bundles + i) BundleState(scene, bundle_of(tile.tracks, i), bundle_of(tile.lines, i));
    }
    for (const Block& block : tile.blocks) {
        const std::optional<NearCells> cells =
            scene.occupancy != nullptr ? scene.occupancy->near(block.box) : std::nullopt;
        if (cells && cells->is_empty()) {
            continue;
        }
        const std::optional<Near> near = cells ? std::optional<Near>(*cells) : std::nullopt;
        bool is_done = true;
        for (std::size_t i = 0; i < kBundles; ++i) {
            if (!bundles[i].is_done) {
                see(block, near ? &*near : nullptr, bundles[i]);
                is_done = is_done && bundles[i].is_done;
            }
        }
        if (is_done) {
            break;
        }
    }
    for (std::size_t i = 0; i < kBundles; ++i) {
        bundles[i].colours.store(bundle_of(out, i));
    }
}

}  // namespace hilum::render::avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
