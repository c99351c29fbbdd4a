// SPDX-License-Identifier: Apache-2.0
#include "label_kernels.hpp"

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

/// Eight numbers, lanes 0 to 3 and 4 to 7.
struct Doubles {
    __m256d low;
    __m256d high;

    [[nodiscard]] static Doubles all(double value) noexcept { return {_mm256_set1_pd(value), _mm256_set1_pd(value)}; }
    [[nodiscard]] Doubles operator+(const Doubles& o) const noexcept {
        return {_mm256_add_pd(low, o.low), _mm256_add_pd(high, o.high)};
    }
    [[nodiscard]] Doubles operator-(const Doubles& o) const noexcept {
        return {_mm256_sub_pd(low, o.low), _mm256_sub_pd(high, o.high)};
    }
    [[nodiscard]] Doubles operator*(const Doubles& o) const noexcept {
        return {_mm256_mul_pd(low, o.low), _mm256_mul_pd(high, o.high)};
    }
    [[nodiscard]] Doubles floor() const noexcept { return {_mm256_floor_pd(low), _mm256_floor_pd(high)}; }
    /// Of whole numbers; the least integer for those that do not fit.
    [[nodiscard]] __m256i integers() const noexcept {
        return _mm256_set_m128i(_mm256_cvttpd_epi32(high), _mm256_cvttpd_epi32(low));
    }
    [[nodiscard]] __m256 floats() const noexcept {
        return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
    }
};

/// whole + rest / 2^32, rounded once.
__m256d number(__m128i whole, __m128i rest) noexcept {
    // 2^52 + rest as bits of a number.
    const __m256i bits = _mm256_or_si256(_mm256_cvtepu32_epi64(rest), _mm256_set1_epi64x(0x4330000000000000));
    const __m256d part = _mm256_sub_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(4503599627370496.0));
    return _mm256_add_pd(_mm256_cvtepi32_pd(whole), _mm256_mul_pd(part, _mm256_set1_pd(1.0 / 4294967296.0)));
}

/// Voxels of fixed-point positions: as if 64-bit integers were converted.
Doubles voxels(const Axis& axis) noexcept {
    const __m256i whole = axis.voxel();
    const __m256i rest = axis.rest();
    return {number(_mm256_castsi256_si128(whole), _mm256_castsi256_si128(rest)),
            number(_mm256_extracti128_si256(whole, 1), _mm256_extracti128_si256(rest, 1))};
}

struct Places {
    Doubles axis[3];
};

/// LabelTable::place of eight positions.
Places places_in(const LabelTable& labels, const Doubles (&at)[3]) noexcept {
    Places found;
    for (std::size_t i = 0; i < 3; ++i) {
        const Doubles x = Doubles::all(labels.turn[3 * i]) * at[0];
        const Doubles y = Doubles::all(labels.turn[3 * i + 1]) * at[1];
        const Doubles z = Doubles::all(labels.turn[3 * i + 2]) * at[2];
        found.axis[i] = Doubles::all(labels.shift[i]) + (x + y + z);
    }
    return found;
}

/// LabelTable::at of eight places; 0 in the lanes that are not `wanted`.
__m256i values_at(const LabelTable& labels, const Places& places, __m256i wanted) noexcept {
    alignas(32) std::int32_t voxel[3][8];
    __m256i inside = wanted;
    for (std::size_t i = 0; i < 3; ++i) {
        const __m256i at = (places.axis[i] + Doubles::all(0.5)).floor().integers();
        const __m256i fits = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_setzero_si256(), at),
                                                 _mm256_cmpgt_epi32(_mm256_set1_epi32(labels.grid.size[i]), at));
        inside = _mm256_and_si256(inside, fits);
        _mm256_store_si256(reinterpret_cast<__m256i*>(voxel[i]), at);
    }
    auto left = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(inside)));
    if (left == 0) {
        return _mm256_setzero_si256();
    }
    const Sampler<std::uint8_t> sampler(labels.grid);
    alignas(32) std::int32_t found[8] = {};
    for (; left != 0; left &= left - 1) {
        const auto lane = static_cast<std::size_t>(std::countr_zero(left));
        found[lane] = sampler.voxel(voxel[0][lane], voxel[1][lane], voxel[2][lane]);
    }
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(found));
}

/// LabelTable::share of eight places; any value in the lanes that are not `wanted`.
__m256 shares(const LabelTable& labels, const Places& places, std::span<const std::int32_t, 8> values,
              __m256i wanted) noexcept {
    alignas(32) std::int32_t voxel[3][8];
    Doubles weight[3][2];  // of the lower and the upper voxel
    for (std::size_t i = 0; i < 3; ++i) {
        const Doubles low = places.axis[i].floor();
        weight[i][1] = places.axis[i] - low;
        weight[i][0] = Doubles::all(1.0) - weight[i][1];
        _mm256_store_si256(reinterpret_cast<__m256i*>(voxel[i]), low.integers());
    }
    alignas(32) std::uint32_t equal[8] = {};
    for (auto left = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(wanted))); left != 0;
         left &= left - 1) {
        const auto lane = static_cast<std::size_t>(std::countr_zero(left));
        equal[lane] =
            labels.corners(voxel[0][lane], voxel[1][lane], voxel[2][lane], static_cast<std::uint8_t>(values[lane]));
    }
    const __m256i corners = _mm256_load_si256(reinterpret_cast<const __m256i*>(equal));
    __m256 sum = _mm256_setzero_ps();
    for (unsigned corner = 0; corner < 8; ++corner) {
        const Doubles part = weight[0][corner & 1U] * weight[1][corner >> 1U & 1U] * weight[2][corner >> 2U];
        const __m256i bit = _mm256_set1_epi32(1 << corner);
        const __m256i is_value = _mm256_cmpeq_epi32(_mm256_and_si256(corners, bit), bit);
        sum = _mm256_add_ps(sum, _mm256_and_ps(part.floats(), _mm256_castsi256_ps(is_value)));
    }
    return sum;
}

/// LabelTable::gradient of the lanes that are `wanted`; the others stay as they are.
void gradient_of(const LabelTable& labels, const Places& places, __m256i values, __m256 wanted,
                 __m256 (&g)[3]) noexcept {
    alignas(32) std::int32_t value[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(value), values);
    const __m256i lanes = _mm256_castps_si256(wanted);
    for (std::size_t axis = 0; axis < 3; ++axis) {
        Places high;
        Places low;
        for (std::size_t i = 0; i < 3; ++i) {
            const Doubles along = Doubles::all(labels.turn[3 * i + axis]);
            high.axis[i] = places.axis[i] + along;
            low.axis[i] = places.axis[i] - along;
        }
        const __m256 difference = _mm256_sub_ps(shares(labels, high, value, lanes), shares(labels, low, value, lanes));
        g[axis] = _mm256_blendv_ps(g[axis], difference, wanted);
    }
}

/// What the labels make of one sample of eight rays: kernels::apply.
struct Labelled {
    template <typename T>
    Labelled(const kernels::LabelledScene& scene, const BundleState& state, const Samples<T>& samples,
             std::size_t which) noexcept
        : alpha(samples.alpha[which]), owner(_mm256_set1_epi32(-1)), value(_mm256_setzero_si256()) {
        colours_of(scene.table, samples.entry[which], colour);
        const Cursor cursor(state.rays, samples.k[which]);
        for (std::size_t i = 0; i < 3; ++i) {
            at[i] = voxels(cursor.at[i]);
        }
        wanted = _mm256_and_ps(_mm256_castsi256_ps(samples.wanted[which]), state.alive);
        const __m256 all = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
        __m256 is_shown = scene.has_masks ? _mm256_setzero_ps() : all;
        for (std::size_t i = 0; i < scene.labels.size(); ++i) {
            add(scene.labels[i], static_cast<int>(i), is_shown);
        }
        const __m256 is_seen = _mm256_cmp_ps(alpha, _mm256_setzero_ps(), _CMP_GT_OQ);
        wanted = _mm256_and_ps(_mm256_and_ps(wanted, is_shown), is_seen);
    }

    void add(const LabelTable& labels, int index, __m256& is_shown) noexcept {
        const __m256i found = values_at(labels, places_in(labels, at), _mm256_castps_si256(wanted));
        const __m256i is_none = _mm256_cmpeq_epi32(found, _mm256_setzero_si256());
        if (labels.is_plain && _mm256_movemask_ps(_mm256_castsi256_ps(is_none)) == 0xFF) {
            return;
        }
        wanted = _mm256_andnot_ps(_mm256_castsi256_ps(look_up(labels.is_hidden, found)), wanted);
        if (labels.is_mask) {
            const __m256 all = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
            is_shown = _mm256_or_ps(is_shown, _mm256_andnot_ps(_mm256_castsi256_ps(is_none), all));
        }
        const __m256 least = _mm256_castsi256_ps(look_up(labels.opacity, found));
        const __m256 is_more = _mm256_cmp_ps(least, alpha, _CMP_GT_OQ);
        alpha = _mm256_blendv_ps(alpha, least, is_more);
        owner = _mm256_blendv_epi8(owner, _mm256_set1_epi32(index), _mm256_castps_si256(is_more));
        value = _mm256_blendv_epi8(value, found, _mm256_castps_si256(is_more));
        const __m256 tint = _mm256_castsi256_ps(look_up(labels.tint, found));
        for (std::size_t i = 0; i < 3; ++i) {
            const __m256 wish = _mm256_castsi256_ps(look_up(labels.colour[i], found));
            colour[i] = _mm256_add_ps(colour[i], _mm256_mul_ps(_mm256_sub_ps(wish, colour[i]), tint));
        }
    }

    __m256 alpha;
    __m256 colour[3];
    __m256 wanted;
    __m256i owner;  ///< whose surface it is: index of the labels, -1: the volume's
    __m256i value;  ///< of the owner
    Doubles at[3];  ///< in voxels of the volume
};

template <typename T>
void gradient_of(const kernels::LabelledScene& scene, const Sampler8<T>& sampler, const BundleState& state,
                 const Samples<T>& samples, std::size_t which, const Labelled& labelled, __m256 (&g)[3]) noexcept {
    const auto owned_by = [&](int index) {
        const __m256i is_owner = _mm256_cmpeq_epi32(labelled.owner, _mm256_set1_epi32(index));
        return _mm256_and_ps(labelled.wanted, _mm256_castsi256_ps(is_owner));
    };
    g[0] = g[1] = g[2] = _mm256_setzero_ps();
    if (const __m256 own = owned_by(-1); _mm256_movemask_ps(own) != 0) {
        gradient_of(sampler, state, samples, which, _mm256_castps_si256(own), g);
    }
    for (std::size_t i = 0; i < scene.labels.size(); ++i) {
        const LabelTable& labels = scene.labels[i];
        if (const __m256 its = owned_by(static_cast<int>(i)); _mm256_movemask_ps(its) != 0) {
            gradient_of(labels, places_in(labels, labelled.at), labelled.value, its, g);
        }
    }
}

template <typename T>
void see_labelled(const kernels::LabelledScene& scene, const Sampler8<T>& sampler, const Block& block, const Near* near,
                  BundleState& state) noexcept {
    Samples<T> samples;
    for (unsigned left = look_at_block(scene.table, sampler, block, near, state, samples, scene.has_opacity); left != 0;
         left &= left - 1) {
        const auto i = static_cast<std::size_t>(std::countr_zero(left));
        const Labelled labelled(scene, state, samples, i);
        if (_mm256_movemask_ps(labelled.wanted) == 0) {
            continue;
        }
        __m256 bright = _mm256_set1_ps(1.0F);
        __m256 gloss = _mm256_setzero_ps();
        if (scene.light != nullptr) {
            __m256 g[3];
            gradient_of(scene, sampler, state, samples, i, labelled, g);
            shade(*scene.light, state, g, bright, gloss);
        }
        if (state.add(labelled.colour, _mm256_and_ps(labelled.alpha, labelled.wanted), bright, gloss)) {
            return;
        }
    }
}

template <typename T>
void labelled_rays(const kernels::LabelledScene& scene, const Tile& tile,
                   std::span<kernels::Seen, kTileRays> out) noexcept {
    const Sampler8<T> sampler(scene.grid);
    for_bundles(scene, tile, out, [&](const Block& block, const Near* near, BundleState& state) {
        see_labelled<T>(scene, sampler, block, near, state);
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
void labelled_tile_8(const LabelledScene& scene, const Tile& tile, std::span<Seen, kTileRays> out) noexcept {
#if defined(__x86_64__)
    avx2::labelled_rays<T>(scene, tile, out);
#else
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = LabelledRay<T>(scene, tile.lines[i].step).cast(tile.tracks[i], tile.blocks);
    }
#endif
}

template void labelled_tile_8<std::int16_t>(const LabelledScene&, const Tile&, std::span<Seen, kTileRays>) noexcept;
template void labelled_tile_8<std::uint16_t>(const LabelledScene&, const Tile&, std::span<Seen, kTileRays>) noexcept;

}  // namespace hilum::render::kernels
