// SPDX-License-Identifier: Apache-2.0
// Eight samples of a track at once, of 16-bit volumes. Equal to Sampler<T>, bit for bit. Include from x86-64 only.
#pragma once

#include <immintrin.h>

#include <bit>
#include <cstdint>
#include <span>
#include <type_traits>

#include "hilum/render/cell_grid.hpp"
#include "lanes_avx2.hpp"
#include "sample.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace hilum::render::avx2 {

template <typename T>
struct Sampler8 {
    static_assert(sizeof(T) == 2);

    explicit Sampler8(const Grid& source) noexcept
        : scalar(source),
          grid(source),
          shift(_mm_cvtsi32_si128(static_cast<int>(source.log2))),
          mask(_mm256_set1_epi32(source.mask)),
          fill(_mm256_set1_epi16(static_cast<short>(scalar.fill))),
          far{_mm256_set1_epi32(kBrick - kEdge), _mm256_set1_epi32(kBrick * source.stride[0] - kLayer),
              _mm256_set1_epi32(kBrick * (source.stride[1] - 1))},
          dense_base(source.base + 2 * std::size_t{source.first}) {}

    // Of bricks that are stored in order.
    static constexpr int kLog2 = volume::kBrickLog2;
    static constexpr std::int32_t kEdge = 1 << kLog2;
    static constexpr std::int32_t kLayer = kEdge * kEdge;
    static constexpr std::int32_t kBrick = kLayer * kEdge;

    struct Cells {
        __m256i voxel;
        __m256i rest;
    };

    /// `Inner`: all lanes are in the volume, and the next voxel too.
    template <bool Inner>
    [[nodiscard]] Cells cells(const Axis& axis, std::size_t which) const noexcept {
        const __m256i voxel = axis.voxel();
        if constexpr (Inner) {
            return {voxel, axis.rest()};
        }
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

    [[nodiscard]] __m256i starts(__m256i brick) const noexcept { return look_up(grid.near, brick); }

    [[nodiscard]] static __m256i gather(const std::byte* base, __m256i place) noexcept {
        return Addresses<>(base, place).load(0);
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

    /// Eight positions; those outside of the volume count as its border.
    struct Place {
        Cells x;
        Cells y;
        Cells z;
    };

    /// Vectors are copied one by one: compilers copy structures of them in halves, which wait for each other.
    static void copy(const Place& from, Place& to) noexcept {
        to.x.voxel = from.x.voxel;
        to.x.rest = from.x.rest;
        to.y.voxel = from.y.voxel;
        to.y.rest = from.y.rest;
        to.z.voxel = from.z.voxel;
        to.z.rest = from.z.rest;
    }

    template <bool Inner = false>
    [[nodiscard]] Place place(const Axis& px, const Axis& py, const Axis& pz) const noexcept {
        return {cells<Inner>(px, 0), cells<Inner>(py, 1), cells<Inner>(pz, 2)};
    }

    /// Any value in the lanes that are not `wanted`. `Inner` as it was for the place.
    template <bool Inner = false>
    [[gnu::always_inline]] [[nodiscard]] __m256 linear(const Place& p,
                                                       __m256i wanted = _mm256_set1_epi32(-1)) const noexcept {
        if (grid.is_dense) {
            const __m256i ends = Inner ? is_end(p) : is_last(p);
            if (_mm256_testz_si256(ends, wanted) != 0) {
                const __m256i at = dense_place(p.x.voxel, p.y.voxel, p.z.voxel);
                return interpolate(in_one_brick(Inner ? at : _mm256_and_si256(at, wanted)), Weights(p));
            }
        }
        return scattered(p, wanted);
    }

    /// linear() of up to eight samples, in passes over all of them: the processor looks ahead by some 250 operations,
    /// and so does not have to wait for one sample's voxels before it asks for those of the next.
    template <bool Inner>
    void linear_many(std::size_t count, const Place* places, const __m256i* wanted, __m256* values) const noexcept {
        alignas(32) std::uint32_t at[8][8];
        unsigned whole = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const Place& p = places[i];
            const __m256i ends = Inner ? is_end(p) : is_last(p);
            const __m256i place = _mm256_and_si256(dense_place(p.x.voxel, p.y.voxel, p.z.voxel), wanted[i]);
            _mm256_store_si256(reinterpret_cast<__m256i*>(at[i]), place);
            whole |= (_mm256_testz_si256(ends, wanted[i]) != 0 ? 1U : 0U) << i;
        }
        whole = grid.is_dense ? whole : 0;
        for (unsigned left = whole; left != 0; left &= left - 1) {
            const auto i = static_cast<std::size_t>(std::countr_zero(left));
            values[i] = interpolate(in_one_brick(View<>(dense_base, at[i])), Weights(places[i]));
        }
        for (unsigned left = ~whole & ((1U << count) - 1); left != 0; left &= left - 1) {
            const auto i = static_cast<std::size_t>(std::countr_zero(left));
            values[i] = scattered(places[i], wanted[i]);
        }
    }

    /// Asks for the voxels of linear() that are in one brick, where every brick is stored in order.
    [[gnu::always_inline]] void prefetch(const Place& p) const noexcept {
        alignas(32) std::uint32_t at[8];
        _mm256_store_si256(reinterpret_cast<__m256i*>(at), dense_place(p.x.voxel, p.y.voxel, p.z.voxel));
        for (const std::uint32_t place : at) {
            const auto* const voxel = reinterpret_cast<const char*>(dense_base) + 2 * std::size_t{place};
            for (const std::int32_t distance : {0, kEdge, kLayer, kLayer + kEdge}) {
                _mm_prefetch(voxel + 2 * std::ptrdiff_t{distance}, _MM_HINT_T0);
            }
        }
    }

    /// Some lanes are at the end of a brick, or bricks are missing.
    [[gnu::noinline]] [[nodiscard]] __m256 scattered(const Place& p, __m256i wanted) const noexcept {
        const Corners corners =
            grid.is_dense ? dense(p.x.voxel, p.y.voxel, p.z.voxel, wanted) : sparse(p.x.voxel, p.y.voxel, p.z.voxel);
        return interpolate(corners, Weights(p));
    }

    /// Which cell each position is in.
    [[nodiscard]] static __m256i cell_of(const Place& p, const CellShape& cells) noexcept {
        const auto log2 = static_cast<int>(cells.log2);
        const __m256i rows =
            _mm256_add_epi32(_mm256_mullo_epi32(_mm256_srli_epi32(p.z.voxel, log2), _mm256_set1_epi32(cells.shape[1])),
                             _mm256_srli_epi32(p.y.voxel, log2));
        return _mm256_add_epi32(_mm256_mullo_epi32(rows, _mm256_set1_epi32(cells.shape[0])),
                                _mm256_srli_epi32(p.x.voxel, log2));
    }

    /// The bounds of fine cells.
    [[nodiscard]] static __m256 bounds(const std::vector<std::uint16_t>& of, __m256i cell) noexcept {
        const __m256i bits =
            _mm256_slli_epi32(Addresses<>(reinterpret_cast<const std::byte*>(of.data()), cell).load(0), 16);
        return _mm256_cvtepi32_ps(std::is_unsigned_v<T> ? _mm256_srli_epi32(bits, 16) : _mm256_srai_epi32(bits, 16));
    }

    /// At the end of a brick, of kLog2.
    [[nodiscard]] static __m256i is_end(const Place& p) noexcept {
        const __m256i low = _mm256_set1_epi32(kEdge - 1);
        const __m256i most =
            _mm256_max_epi32(_mm256_max_epi32(_mm256_and_si256(p.x.voxel, low), _mm256_and_si256(p.y.voxel, low)),
                             _mm256_and_si256(p.z.voxel, low));
        return _mm256_cmpeq_epi32(most, low);
    }

    /// At the end of a brick or, but along x, where a weight of 0 is enough, of the volume.
    [[nodiscard]] __m256i is_last(const Place& p) const noexcept {
        return _mm256_or_si256(is_end(p),
                               _mm256_or_si256(_mm256_cmpeq_epi32(p.y.voxel, _mm256_set1_epi32(grid.size[1] - 1)),
                                               _mm256_cmpeq_epi32(p.z.voxel, _mm256_set1_epi32(grid.size[2] - 1))));
    }

    /// Where every brick is stored, in order, the place of a voxel is a sum of three.
    [[nodiscard]] __m256i dense_place(__m256i x, __m256i y, __m256i z) const noexcept {
        return _mm256_add_epi32(_mm256_add_epi32(x_part(x), y_part(y)), z_part(z));
    }

    [[nodiscard]] Corners in_one_brick(__m256i place) const noexcept {
        alignas(32) std::uint32_t at[8];
        _mm256_store_si256(reinterpret_cast<__m256i*>(at), place);
        return in_one_brick(View<>(dense_base, at));
    }

    [[nodiscard]] static Corners in_one_brick(const View<>& at) noexcept {
        return {{at.load(0), at.load(2 * kEdge), at.load(2 * kLayer), at.load(2 * (kLayer + kEdge))}};
    }

    [[nodiscard]] Corners dense(__m256i x, __m256i y, __m256i z, __m256i wanted) const noexcept {
        const __m256i low = _mm256_set1_epi32(kEdge - 1);
        const __m256i end = _mm256_and_si256(wanted, _mm256_cmpeq_epi32(_mm256_and_si256(x, low), low));
        const __m256i next_y = _mm256_sub_epi32(y_part(next(y, 1)), y_part(y));
        const __m256i next_z = _mm256_sub_epi32(z_part(next(z, 2)), z_part(z));
        const __m256i place = _mm256_and_si256(dense_place(x, y, z), wanted);
        const __m256i first = _mm256_add_epi32(place, end);  // at the end of a brick the pair before
        const __m256i upper = _mm256_add_epi32(first, next_z);
        const __m256i places[4] = {first, _mm256_add_epi32(first, next_y), upper, _mm256_add_epi32(upper, next_y)};
        Corners corners;
        for (std::size_t i = 0; i < 4; ++i) {
            corners.pair[i] = Addresses<>(dense_base, places[i]).load(0);
        }
        if (_mm256_testz_si256(end, end) == 0) {
            // There the second of a pair is the first. The other is elsewhere, and read as the second of a pair too, as
            // nothing may follow it.
            const __m256i far_x = _mm256_and_si256(end, _mm256_sub_epi32(x_part(next(x, 0)), x_part(x)));
            for (std::size_t i = 0; i < 4; ++i) {
                const __m256i other = Addresses<>(dense_base, _mm256_add_epi32(places[i], far_x)).load(0);
                const __m256i both = _mm256_blend_epi16(_mm256_srli_epi32(corners.pair[i], 16), other, 0xAA);
                corners.pair[i] = _mm256_blendv_epi8(corners.pair[i], both, end);
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
        const std::ptrdiff_t next_y = 2 * (std::ptrdiff_t{grid.mask} + 1);
        const std::ptrdiff_t next_z = next_y * (std::ptrdiff_t{grid.mask} + 1);
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

    struct Weights {
        explicit Weights(const Place& p) noexcept
            : x(pair_weights(p.x.rest)), y(weight(p.y.rest)), z(weight(p.z.rest)) {}
        __m256i x;
        __m256 y;
        __m256 z;
    };

    /// Central differences of the value at `p`; false unless all lanes of `wanted` have all neighbours in the volume,
    /// those along x in one brick.
    [[nodiscard]] bool gradient(const Place& p, __m256i wanted, __m256 (&to)[3]) const noexcept {
        const __m256i inner = _mm256_and_si256(_mm256_and_si256(is_inner(p.x, 0), is_inner(p.y, 1)), is_inner(p.z, 2));
        const __m256i low = _mm256_set1_epi32(kEdge - 1);
        const __m256i lx = _mm256_and_si256(p.x.voxel, low);
        const __m256i far_from_end = _mm256_and_si256(_mm256_cmpgt_epi32(lx, _mm256_setzero_si256()),
                                                      _mm256_cmpgt_epi32(_mm256_set1_epi32(kEdge - 2), lx));
        const __m256i usable = _mm256_and_si256(inner, far_from_end);
        if (!grid.is_dense || _mm256_testc_si256(usable, wanted) == 0) {
            return false;
        }
        // Other lanes read what can be read.
        const __m256i one = _mm256_set1_epi32(1);
        const __m256i x = _mm256_blendv_epi8(one, p.x.voxel, wanted);
        const __m256i y = _mm256_blendv_epi8(one, p.y.voxel, wanted);
        const __m256i z = _mm256_blendv_epi8(one, p.z.voxel, wanted);
        const Weights w(p);
        const __m256i ly = _mm256_and_si256(y, low);
        const __m256i lz = _mm256_and_si256(z, low);
        const __m256i ends = _mm256_or_si256(_mm256_or_si256(is_near_end(ly), is_near_end(lz)), is_near_end(lx));
        if (_mm256_testz_si256(ends, wanted) != 0) {
            // All in one brick.
            const Addresses<> at(dense_base, dense_place(x, y, z));
            const auto distance = [](std::ptrdiff_t row, std::ptrdiff_t layer) {
                return 2 * (row * kEdge + layer * kLayer);
            };
            differences(
                w, [&](std::ptrdiff_t row, std::ptrdiff_t layer) { return at.fours(distance(row, layer)); },
                [&](std::ptrdiff_t row, std::ptrdiff_t layer) { return at.load(distance(row, layer)); }, to);
            return true;
        }
        __m256i rows[4];
        __m256i layers[4];
        for (int i = 0; i < 4; ++i) {
            const __m256i by = _mm256_set1_epi32(i - 1);
            rows[i] = _mm256_add_epi32(x_part(x), y_part(_mm256_add_epi32(y, by)));
            layers[i] = z_part(_mm256_add_epi32(z, by));
        }
        const auto place = [&](std::ptrdiff_t row, std::ptrdiff_t layer) {
            return Addresses<>(dense_base, _mm256_add_epi32(rows[row + 1], layers[layer + 1]));
        };
        differences(
            w, [&](std::ptrdiff_t row, std::ptrdiff_t layer) { return place(row, layer).fours(0); },
            [&](std::ptrdiff_t row, std::ptrdiff_t layer) { return place(row, layer).load(0); }, to);
        return true;
    }

    /// `four(row, layer)`: voxels from x - 1 to x + 2 as an Axis; `pair`: x and x + 1.
    template <typename Four, typename Pair>
    static void differences(const Weights& w, Four&& four, Pair&& two, __m256 (&to)[3]) noexcept {
        // The four rows at x - 1, x, x + 1.
        __m256 before[4];
        __m256 here[4];
        __m256 after[4];
        for (std::size_t i = 0; i < 4; ++i) {
            const Axis all = four(static_cast<std::ptrdiff_t>(i & 1U), static_cast<std::ptrdiff_t>(i >> 1U));
            const Axis middle{_mm256_srli_epi64(all.a, 16), _mm256_srli_epi64(all.b, 16)};
            before[i] = along_x(all.rest(), w.x);
            here[i] = along_x(middle.rest(), w.x);
            after[i] = along_x(all.voxel(), w.x);
        }
        const auto pair = [&](std::ptrdiff_t row, std::ptrdiff_t layer) { return along_x(two(row, layer), w.x); };
        to[0] = _mm256_sub_ps(blend(after[0], after[1], after[2], after[3], w),
                              blend(before[0], before[1], before[2], before[3], w));
        to[1] = _mm256_sub_ps(blend(here[1], pair(2, 0), here[3], pair(2, 1), w),
                              blend(pair(-1, 0), here[0], pair(-1, 1), here[2], w));
        to[2] = _mm256_sub_ps(blend(here[2], here[3], pair(0, 2), pair(1, 2), w),
                              blend(pair(0, -1), pair(1, -1), here[0], here[1], w));
    }

    /// Voxels one before and two after are in the volume.
    [[nodiscard]] __m256i is_inner(const Cells& at, std::size_t axis) const noexcept {
        return _mm256_and_si256(_mm256_cmpgt_epi32(at.voxel, _mm256_setzero_si256()),
                                _mm256_cmpgt_epi32(_mm256_set1_epi32(grid.size[axis] - 2), at.voxel));
    }

    [[nodiscard]] __m256i x_part(__m256i x) const noexcept { return _mm256_add_epi32(x, brick_part(x, 0)); }
    [[nodiscard]] __m256i y_part(__m256i y) const noexcept {
        return _mm256_add_epi32(_mm256_slli_epi32(y, kLog2), brick_part(y, 1));
    }
    [[nodiscard]] __m256i z_part(__m256i z) const noexcept {
        return _mm256_add_epi32(_mm256_slli_epi32(z, 2 * kLog2), brick_part(z, 2));
    }
    [[nodiscard]] __m256i brick_part(__m256i voxel, std::size_t axis) const noexcept {
        return _mm256_mullo_epi32(_mm256_srli_epi32(voxel, kLog2), far[axis]);
    }

    /// In a brick, without one voxel before or two after.
    [[nodiscard]] __m256i is_near_end(__m256i local) const noexcept {
        return _mm256_or_si256(_mm256_cmpeq_epi32(local, _mm256_setzero_si256()),
                               _mm256_cmpgt_epi32(local, _mm256_set1_epi32(kEdge - 3)));
    }

    [[nodiscard]] static __m256 blend(__m256 a, __m256 b, __m256 c, __m256 d, const Weights& w) noexcept {
        // The scale of along_x, a power of two, is exact wherever it stands.
        const __m256 value =
            _mm256_mul_ps(lerp(lerp(a, b, w.y), lerp(c, d, w.y), w.z), _mm256_set1_ps(-1.0F / 32768.0F));
        return std::is_unsigned_v<T> ? _mm256_add_ps(value, _mm256_set1_ps(32768.0F)) : value;
    }

    [[nodiscard]] static __m256i pair_weights(__m256i rest) noexcept {
        const __m256i rounded = _mm256_avg_epu16(rest, _mm256_setzero_si256());  // high half: 15 bits of weight
        // low half: weight - 32768, high half: -weight
        return _mm256_blend_epi16(_mm256_xor_si256(_mm256_srli_epi32(rounded, 16), _mm256_set1_epi32(0x8000)),
                                  _mm256_sub_epi16(_mm256_setzero_si256(), rounded), 0xAA);
    }

    [[nodiscard]] static __m256 interpolate(const Corners& c, const Weights& w) noexcept {
        return blend(along_x(c.pair[0], w.x), along_x(c.pair[1], w.x), along_x(c.pair[2], w.x), along_x(c.pair[3], w.x),
                     w);
    }

    Sampler<T> scalar;
    const Grid& grid;
    __m128i shift;
    __m256i mask;
    __m256i fill;
    __m256i far[3];  ///< from the end of a brick to where the next one along an axis begins, less a step
    const std::byte* dense_base;
};

}  // namespace hilum::render::avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
