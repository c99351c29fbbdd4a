// SPDX-License-Identifier: Apache-2.0
// Eight samples of a track at once, of 16-bit volumes. Equal to Sampler<T>, bit for bit. Include from x86-64 only.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <span>
#include <type_traits>

#include "sample.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace hilum::render::avx2 {

/// Eight positions on one axis: lanes 0, 1, 4, 5 and lanes 2, 3, 6, 7, so that one shuffle brings their halves in
/// order.
struct Axis {
    __m256i a;
    __m256i b;

    [[nodiscard]] __m256i voxel() const noexcept { return halves<0xDD>(); }
    [[nodiscard]] __m256i rest() const noexcept { return halves<0x88>(); }
    [[nodiscard]] Axis moved(std::int64_t by) const noexcept {
        const __m256i all = _mm256_set1_epi64x(by);
        return {_mm256_add_epi64(a, all), _mm256_add_epi64(b, all)};
    }

private:
    template <int Which>
    [[nodiscard]] __m256i halves() const noexcept {
        return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), Which));
    }
};

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

template <typename T>
struct Sampler8 {
    static_assert(sizeof(T) == 2);

    explicit Sampler8(const Grid& source) noexcept
        : scalar(source),
          grid(source),
          shift(_mm_cvtsi32_si128(static_cast<int>(source.log2))),
          mask(_mm256_set1_epi32(source.mask)),
          fill(_mm256_set1_epi16(static_cast<short>(scalar.fill))),
          edge(source.mask + 1) {}

    struct Cells {
        __m256i voxel;
        __m256i rest;
    };

    [[nodiscard]] Cells cells(const Axis& axis, std::size_t which) const noexcept {
        const __m256i voxel = axis.voxel();
        const __m256i last = _mm256_set1_epi32(grid.size[which] - 1);
        const __m256i zero = _mm256_setzero_si256();
        const __m256i inside = _mm256_andnot_si256(_mm256_cmpgt_epi32(zero, voxel), _mm256_cmpgt_epi32(last, voxel));
        return {_mm256_min_epi32(_mm256_max_epi32(voxel, zero), last), _mm256_and_si256(inside, axis.rest())};
    }

    /// Two neighbours along x in each lane, interpolated, times -32768; without the bias of unsigned samples.
    [[nodiscard]] static __m256 along_x(__m256i pairs, __m256i weights) noexcept {
        if constexpr (std::is_unsigned_v<T>) {
            pairs = _mm256_xor_si256(pairs, _mm256_set1_epi16(static_cast<short>(0x8000)));
        }
        // Both weights are negative, so that 32768 fits.
        return _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, weights));
    }

    [[nodiscard]] static __m256 weight(__m256i rest) noexcept {
        return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(rest, 8)), _mm256_set1_ps(1.0F / 16777216.0F));
    }

    [[nodiscard]] static __m256 lerp(__m256 a, __m256 b, __m256 w) noexcept {
        return _mm256_add_ps(a, _mm256_mul_ps(_mm256_sub_ps(b, a), w));
    }

    [[nodiscard]] __m256i starts(__m256i brick) const noexcept {
        return _mm256_i32gather_epi32(grid.near.data(), brick, 4);
    }

    [[nodiscard]] static __m256i gather(const std::byte* base, __m256i place) noexcept {
        return _mm256_i32gather_epi32(reinterpret_cast<const int*>(base), place, 2);
    }

    /// Pairs from `index`, a place within the brick that starts at `start`; fill where that is missing.
    [[nodiscard]] __m256i pairs(__m256i start, __m256i index) const noexcept {
        const __m256i missing = _mm256_srai_epi32(start, 31);
        const __m256i place = _mm256_andnot_si256(missing, _mm256_add_epi32(start, index));
        return _mm256_blendv_epi8(gather(grid.base, place), fill, missing);
    }

    /// The four pairs around each position.
    struct Corners {
        __m256i pair[4];
    };

    /// Positions outside of the volume count as its border.
    [[nodiscard]] __m256 linear(const Axis& px, const Axis& py, const Axis& pz) const noexcept {
        const Cells x = cells(px, 0);
        const Cells y = cells(py, 1);
        const Cells z = cells(pz, 2);
        const Corners corners = grid.is_dense ? dense(x.voxel, y.voxel, z.voxel) : sparse(x.voxel, y.voxel, z.voxel);
        return interpolate(corners, x.rest, y.rest, z.rest);
    }

    /// Places of the next voxel along an axis, relative: `near` within a brick, `far` more at its end, 0 at the
    /// volume's.
    [[nodiscard]] __m256i step(__m256i voxel, std::size_t axis, std::int32_t near, std::int32_t far) const noexcept {
        const __m256i at_end = _mm256_cmpeq_epi32(_mm256_and_si256(voxel, mask), mask);
        const __m256i inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(grid.size[axis] - 1), voxel);
        return _mm256_and_si256(
            inside, _mm256_add_epi32(_mm256_set1_epi32(near), _mm256_and_si256(at_end, _mm256_set1_epi32(far))));
    }

    [[nodiscard]] __m256i brick_part(__m256i voxel, std::int32_t far) const noexcept {
        return _mm256_mullo_epi32(_mm256_srl_epi32(voxel, shift), _mm256_set1_epi32(far));
    }

    /// Where every brick is stored, in order, the place of a voxel is a sum of three.
    [[nodiscard]] Corners dense(__m256i x, __m256i y, __m256i z) const noexcept {
        const std::int32_t square = edge * edge;
        const std::int32_t far_x = square * edge - edge;
        const std::int32_t far_y = square * edge * grid.stride[0] - square;
        const std::int32_t far_z = square * edge * (grid.stride[1] - 1);
        const __m256i rows = _mm256_add_epi32(y, _mm256_sll_epi32(z, shift));
        const __m256i bricks =
            _mm256_add_epi32(_mm256_add_epi32(brick_part(x, far_x), brick_part(y, far_y)), brick_part(z, far_z));
        __m256i place = _mm256_add_epi32(_mm256_add_epi32(x, _mm256_sll_epi32(rows, shift)), bricks);
        const __m256i end = _mm256_cmpeq_epi32(_mm256_and_si256(x, mask), mask);
        place = _mm256_add_epi32(place, end);  // at the end of a brick the pair before
        const __m256i next_y = step(y, 1, edge, far_y);
        const __m256i upper = _mm256_add_epi32(place, step(z, 2, square, far_z));
        const __m256i places[4] = {place, _mm256_add_epi32(place, next_y), upper, _mm256_add_epi32(upper, next_y)};
        const std::byte* base = grid.base + 2 * std::size_t{grid.first};
        Corners corners;
        for (std::size_t i = 0; i < 4; ++i) {
            corners.pair[i] = gather(base, places[i]);
        }
        if (_mm256_testz_si256(end, end) == 0) {
            const __m256i next_x = _mm256_add_epi32(step(x, 0, 1, far_x), _mm256_and_si256(end, _mm256_set1_epi32(1)));
            for (std::size_t i = 0; i < 4; ++i) {
                const __m256i next = gather(base, _mm256_add_epi32(places[i], _mm256_and_si256(end, next_x)));
                const __m256i pair =
                    _mm256_blend_epi16(_mm256_srli_epi32(corners.pair[i], 16), _mm256_slli_epi32(next, 16), 0xAA);
                corners.pair[i] = _mm256_blendv_epi8(corners.pair[i], pair, end);
            }
        }
        return corners;
    }

    [[nodiscard]] Corners sparse(__m256i x, __m256i y, __m256i z) const noexcept {
        const __m256i lx = _mm256_and_si256(x, mask);
        const __m256i ly = _mm256_and_si256(y, mask);
        const __m256i lz = _mm256_and_si256(z, mask);
        const __m256i border = _mm256_or_si256(
            _mm256_or_si256(_mm256_cmpeq_epi32(lx, mask), _mm256_cmpeq_epi32(ly, mask)), _mm256_cmpeq_epi32(lz, mask));
        if (_mm256_testz_si256(border, border) == 0) {
            return across(x, y, z, lx);
        }
        const __m256i start = starts(brick_of(x, y, z));
        const __m256i missing = _mm256_srai_epi32(start, 31);
        const __m256i place = _mm256_andnot_si256(missing, _mm256_add_epi32(start, inner(lx, ly, lz)));
        const std::ptrdiff_t next_y = 2 * std::ptrdiff_t{edge};
        const std::ptrdiff_t next_z = next_y * edge;
        Corners corners{{gather(grid.base, place), gather(grid.base + next_y, place), gather(grid.base + next_z, place),
                         gather(grid.base + next_z + next_y, place)}};
        if (_mm256_testz_si256(missing, missing) == 0) {
            for (__m256i& pair : corners.pair) {
                pair = _mm256_blendv_epi8(pair, fill, missing);
            }
        }
        return corners;
    }

    [[nodiscard]] __m256i brick_of(__m256i x, __m256i y, __m256i z) const noexcept {
        return _mm256_add_epi32(
            _mm256_add_epi32(_mm256_mullo_epi32(_mm256_srl_epi32(z, shift), _mm256_set1_epi32(grid.stride[1])),
                             _mm256_mullo_epi32(_mm256_srl_epi32(y, shift), _mm256_set1_epi32(grid.stride[0]))),
            _mm256_srl_epi32(x, shift));
    }

    /// Place of a voxel within its brick.
    [[nodiscard]] __m256i inner(__m256i lx, __m256i ly, __m256i lz) const noexcept {
        return _mm256_or_si256(_mm256_sll_epi32(_mm256_or_si256(_mm256_sll_epi32(lz, shift), ly), shift), lx);
    }

    [[nodiscard]] __m256i voxels(__m256i x, __m256i y, __m256i z, __m256i lx) const noexcept {
        // The second of a pair is read, but not used: at the end of a brick the pair before is read instead.
        const __m256i odd = _mm256_and_si256(lx, _mm256_set1_epi32(1));
        const __m256i even = _mm256_sub_epi32(lx, odd);
        const __m256i pair =
            pairs(starts(brick_of(x, y, z)), inner(even, _mm256_and_si256(y, mask), _mm256_and_si256(z, mask)));
        return _mm256_srlv_epi32(pair, _mm256_slli_epi32(odd, 4));
    }

    [[nodiscard]] __m256i next(__m256i voxel, std::size_t axis) const noexcept {
        return _mm256_min_epi32(_mm256_add_epi32(voxel, _mm256_set1_epi32(1)), _mm256_set1_epi32(grid.size[axis] - 1));
    }

    /// Some neighbours are in other bricks: each voxel by itself.
    [[nodiscard]] Corners across(__m256i x, __m256i y, __m256i z, __m256i lx) const noexcept {
        const __m256i x1 = next(x, 0);
        const __m256i lx1 = _mm256_and_si256(x1, mask);
        const __m256i ys[2] = {y, next(y, 1)};
        const __m256i zs[2] = {z, next(z, 2)};
        Corners corners;
        for (std::size_t i = 0; i < 4; ++i) {
            const __m256i low = voxels(x, ys[i & 1U], zs[i >> 1U], lx);
            const __m256i high = voxels(x1, ys[i & 1U], zs[i >> 1U], lx1);
            corners.pair[i] = _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xAA);
        }
        return corners;
    }

    [[nodiscard]] static __m256 interpolate(const Corners& corners, __m256i rest_x, __m256i rest_y,
                                            __m256i rest_z) noexcept {
        const __m256i half =
            _mm256_srli_epi32(_mm256_add_epi32(_mm256_srli_epi32(rest_x, 1), _mm256_set1_epi32(0x8000)), 16);
        // low half: weight - 32768, high half: -weight
        const __m256i weights =
            _mm256_blend_epi16(_mm256_sub_epi32(half, _mm256_set1_epi32(32768)),
                               _mm256_slli_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), half), 16), 0xAA);
        const __m256 wy = weight(rest_y);
        const __m256 low = lerp(along_x(corners.pair[0], weights), along_x(corners.pair[1], weights), wy);
        const __m256 high = lerp(along_x(corners.pair[2], weights), along_x(corners.pair[3], weights), wy);
        // The scale of along_x, a power of two, is exact wherever it stands.
        const __m256 value = _mm256_mul_ps(lerp(low, high, weight(rest_z)), _mm256_set1_ps(-1.0F / 32768.0F));
        return std::is_unsigned_v<T> ? _mm256_add_ps(value, _mm256_set1_ps(32768.0F)) : value;
    }

    Sampler<T> scalar;
    const Grid& grid;
    __m128i shift;
    __m256i mask;
    __m256i fill;
    std::int32_t edge;
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
    Cursor(const Bundle& source, std::int64_t k) noexcept : bundle(source) {
        const __m256i many = _mm256_set1_epi64x(k);
        for (std::size_t axis = 0; axis < 3; ++axis) {
            at[axis] = {_mm256_add_epi64(source.start[axis].a, times(source.step[axis].a, many)),
                        _mm256_add_epi64(source.start[axis].b, times(source.step[axis].b, many))};
        }
    }

    void advance() noexcept {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            at[axis] = {_mm256_add_epi64(at[axis].a, bundle.step[axis].a),
                        _mm256_add_epi64(at[axis].b, bundle.step[axis].b)};
        }
    }

    /// Modulo 2^64; `many` is less than 2^32.
    [[nodiscard]] static __m256i times(__m256i value, __m256i many) noexcept {
        const __m256i upper = _mm256_mul_epu32(_mm256_srli_epi64(value, 32), many);
        return _mm256_add_epi64(_mm256_mul_epu32(value, many), _mm256_slli_epi64(upper, 32));
    }

    template <typename T>
    [[nodiscard]] __m256 linear(const Sampler8<T>& sampler) const noexcept {
        return sampler.linear(at[0], at[1], at[2]);
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

    template <typename T>
    [[nodiscard]] __m256 linear(const Sampler8<T>& sampler, std::int64_t k) const noexcept {
        return sampler.linear(axis(0, k), axis(1, k), axis(2, k));
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
