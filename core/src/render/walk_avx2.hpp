// SPDX-License-Identifier: Apache-2.0
// Tracks, eight samples at once: of one track, or one of each of eight. Include from x86-64 only.
#pragma once

#include "sample_avx2.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace hilum::render::avx2 {

/// The steps of eight lanes, made once for a track.
struct Fan {
    explicit Fan(const Track& track) noexcept {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const std::int64_t s = track.step[axis];
            lanes[axis] = {_mm256_setr_epi64x(0, s, 4 * s, 5 * s), _mm256_setr_epi64x(2 * s, 3 * s, 6 * s, 7 * s)};
        }
    }
    Axis lanes[3];
};

/// All bits set in the lanes from `first` to, not including, `last`, as a mask of floats.
[[nodiscard]] inline __m256 lanes_between(std::int64_t first, std::int64_t last) noexcept {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const auto low = static_cast<std::int32_t>(std::clamp<std::int64_t>(first, 0, 8));
    const auto high = static_cast<std::int32_t>(std::clamp<std::int64_t>(last, 0, 8));
    return _mm256_castsi256_ps(_mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(low), lane),
                                                   _mm256_cmpgt_epi32(_mm256_set1_epi32(high), lane)));
}

/// Eight neighbouring tracks, one in each lane.
struct Bundle {
    /// Up to eight; the lanes of those that are not there are empty.
    explicit Bundle(std::span<const Track> tracks) noexcept {
        alignas(32) std::int64_t starts[3][8] = {};
        alignas(32) std::int64_t steps[3][8] = {};
        alignas(32) std::int32_t range[2][8] = {};
        constexpr std::uint8_t kPlace[8] = {0, 1, 4, 5, 2, 3, 6, 7};
        for (std::size_t lane = 0; lane < tracks.size(); ++lane) {
            const Track& t = tracks[lane];
            for (std::size_t axis = 0; axis < 3; ++axis) {
                // Of sample 0, modulo 2^64: right again where the samples are.
                const auto back = static_cast<std::uint64_t>(t.base) * static_cast<std::uint64_t>(t.step[axis]);
                starts[axis][kPlace[lane]] =
                    static_cast<std::int64_t>(static_cast<std::uint64_t>(t.start[axis]) - back);
                steps[axis][kPlace[lane]] = t.step[axis];
            }
            if (t.first < t.last) {
                range[0][lane] = static_cast<std::int32_t>(t.first);
                range[1][lane] = static_cast<std::int32_t>(t.last);
                begin = std::min(begin, t.first);
                end = std::max(end, t.last);
            }
        }
        for (std::size_t axis = 0; axis < 3; ++axis) {
            start[axis] = {load(starts[axis]), load(starts[axis] + 4)};
            step[axis] = {load(steps[axis]), load(steps[axis] + 4)};
        }
        first = load(range[0]);
        last = load(range[1]);
    }

    template <typename Integer>
    [[nodiscard]] static __m256i load(const Integer* from) noexcept {
        return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
    }

    /// Lanes whose sample k is one.
    [[nodiscard]] __m256i inside(std::int64_t k) const noexcept {
        const __m256i at = _mm256_set1_epi32(static_cast<int>(k));
        return _mm256_andnot_si256(_mm256_cmpgt_epi32(first, at), _mm256_cmpgt_epi32(last, at));
    }

    Axis start[3];
    Axis step[3];
    __m256i first;
    __m256i last;
    std::int64_t begin = std::int64_t{1} << 30;  ///< of all samples
    std::int64_t end = 0;
};

/// Sample after sample of a bundle.
struct Cursor {
    Cursor(const Bundle& source, std::int64_t k) noexcept
        : bundle(source), at{source.start[0], source.start[1], source.start[2]} {
        advance(k);
    }

    void advance() noexcept {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            at[axis] = {_mm256_add_epi64(at[axis].a, bundle.step[axis].a),
                        _mm256_add_epi64(at[axis].b, bundle.step[axis].b)};
        }
    }

    void advance(std::int64_t count) noexcept {
        const __m256i many = _mm256_set1_epi64x(count);
        for (std::size_t axis = 0; axis < 3; ++axis) {
            at[axis] = {_mm256_add_epi64(at[axis].a, times(bundle.step[axis].a, many)),
                        _mm256_add_epi64(at[axis].b, times(bundle.step[axis].b, many))};
        }
    }

    /// Modulo 2^64; `many` is less than 2^32.
    [[nodiscard]] static __m256i times(__m256i value, __m256i many) noexcept {
        const __m256i upper = _mm256_mul_epu32(_mm256_srli_epi64(value, 32), many);
        return _mm256_add_epi64(_mm256_mul_epu32(value, many), _mm256_slli_epi64(upper, 32));
    }

    template <bool Inner, typename T>
    [[nodiscard]] typename Sampler8<T>::Place place(const Sampler8<T>& sampler) const noexcept {
        return sampler.template place<Inner>(at[0], at[1], at[2]);
    }

    const Bundle& bundle;
    Axis at[3];
};

/// Eight consecutive samples of one track.
struct Walker {
    explicit Walker(const Track& source) noexcept : track(source), fan(source) {}

    [[nodiscard]] Axis axis(std::size_t which, std::int64_t k) const noexcept {
        return fan.lanes[which].moved(track.start[which] + (k - track.base) * track.step[which]);
    }

    template <bool Inner, typename T>
    [[nodiscard]] typename Sampler8<T>::Place place(const Sampler8<T>& sampler, std::int64_t k) const noexcept {
        return sampler.template place<Inner>(axis(0, k), axis(1, k), axis(2, k));
    }

    const Track& track;
    Fan fan;
};

}  // namespace hilum::render::avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
