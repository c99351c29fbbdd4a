// SPDX-License-Identifier: Apache-2.0
// What the vector kernels are made of: positions and voxels of eight lanes. Include from x86-64 only.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

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

/// Eight places as addresses: less work than gathering, and several distances can be read from each.
struct Addresses {
    Addresses(const std::byte* base, __m256i place) noexcept {
        const __m128i low = _mm256_castsi256_si128(place);
        const __m128i high = _mm256_extracti128_si256(place, 1);
        set(0, base, _mm_cvtsi128_si64(low));
        set(2, base, _mm_extract_epi64(low, 1));
        set(4, base, _mm_cvtsi128_si64(high));
        set(6, base, _mm_extract_epi64(high, 1));
    }

    [[nodiscard]] __m256i load(std::ptrdiff_t distance) const noexcept {
        __m128i low = _mm_cvtsi32_si128(pair(0, distance));
        __m128i high = _mm_cvtsi32_si128(pair(4, distance));
        low = _mm_insert_epi32(low, pair(1, distance), 1);
        high = _mm_insert_epi32(high, pair(5, distance), 1);
        low = _mm_insert_epi32(low, pair(2, distance), 2);
        high = _mm_insert_epi32(high, pair(6, distance), 2);
        low = _mm_insert_epi32(low, pair(3, distance), 3);
        high = _mm_insert_epi32(high, pair(7, distance), 3);
        return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }

    /// Four voxels from the one before each.
    [[nodiscard]] Axis fours(std::ptrdiff_t distance) const noexcept {
        return {_mm256_setr_epi64x(four(0, distance), four(1, distance), four(4, distance), four(5, distance)),
                _mm256_setr_epi64x(four(2, distance), four(3, distance), four(6, distance), four(7, distance))};
    }

private:
    void set(std::size_t lane, const std::byte* base, long long two) noexcept {
        at_[lane] = base + 2 * (static_cast<std::uint64_t>(two) & 0xFFFFFFFFU);
        at_[lane + 1] = base + 2 * (static_cast<std::uint64_t>(two) >> 32U);
    }
    [[nodiscard]] int pair(std::size_t lane, std::ptrdiff_t distance) const noexcept {
        int value = 0;
        std::memcpy(&value, at_[lane] + distance, sizeof(value));
        return value;
    }

    [[nodiscard]] long long four(std::size_t lane, std::ptrdiff_t distance) const noexcept {
        long long value = 0;
        std::memcpy(&value, at_[lane] + distance - 2, sizeof(value));
        return value;
    }

    const std::byte* at_[8];
};

}  // namespace hilum::render::avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
