// SPDX-License-Identifier: Apache-2.0
// What the vector kernels are made of: positions and voxels of eight lanes. Include from x86-64 only.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

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

/// Eight places, of `Bytes` each, as addresses: less work than gathering, and several distances can be read from each.
template <int Bytes = 2>
struct View {
    using Lane [[gnu::may_alias]] = std::uint32_t;
    View(const std::byte* start, const Lane* places) noexcept : base(start), at(places) {}
    /// Entries of a table that are in memory.
    template <typename Value>
    View(const std::vector<Value>& table, const __m256i& entries) noexcept
        : View(reinterpret_cast<const std::byte*>(table.data()), reinterpret_cast<const Lane*>(&entries)) {
        static_assert(sizeof(Value) == Bytes);
    }

    [[nodiscard]] __m256i load(std::ptrdiff_t distance) const noexcept {
        __m128i low = _mm_cvtsi32_si128(read<int>(0, distance));
        __m128i high = _mm_cvtsi32_si128(read<int>(4, distance));
        low = _mm_insert_epi32(low, read<int>(1, distance), 1);
        high = _mm_insert_epi32(high, read<int>(5, distance), 1);
        low = _mm_insert_epi32(low, read<int>(2, distance), 2);
        high = _mm_insert_epi32(high, read<int>(6, distance), 2);
        low = _mm_insert_epi32(low, read<int>(3, distance), 3);
        high = _mm_insert_epi32(high, read<int>(7, distance), 3);
        return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
    }

    /// Four samples of 16 bits from the one before each.
    [[nodiscard]] Axis fours(std::ptrdiff_t distance) const noexcept {
        return {_mm256_setr_epi64x(four(0, distance), four(1, distance), four(4, distance), four(5, distance)),
                _mm256_setr_epi64x(four(2, distance), four(3, distance), four(6, distance), four(7, distance))};
    }

private:
    template <typename Integer>
    [[nodiscard]] Integer read(std::size_t lane, std::ptrdiff_t distance) const noexcept {
        Integer value = 0;
        std::memcpy(&value, base + std::size_t{Bytes} * at[lane] + distance, sizeof(value));
        return value;
    }
    [[nodiscard]] long long four(std::size_t lane, std::ptrdiff_t distance) const noexcept {
        return read<long long>(lane, distance - 2);
    }

    const std::byte* base;
    const Lane* at;
};

template <int Bytes = 2>
struct Addresses : View<Bytes> {
    Addresses(const std::byte* start, __m256i place) noexcept : View<Bytes>(start, places) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(places), place);
    }
    alignas(32) std::uint32_t places[8];
};

/// Entries of a table of 32-bit values.
template <typename Value>
[[nodiscard]] __m256i look_up(const std::vector<Value>& table, __m256i entry) noexcept {
    static_assert(sizeof(Value) == 4);
    return Addresses<4>(reinterpret_cast<const std::byte*>(table.data()), entry).load(0);
}

}  // namespace hilum::render::avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
