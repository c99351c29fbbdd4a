// SPDX-License-Identifier: Apache-2.0
#include "reslice_kernels.hpp"

#if defined(__x86_64__)
#include "walk_avx2.hpp"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace hilum::render::avx2 {
namespace {

/// Rounded to nearest (even) and saturated, in order.
template <typename T>
__m128i to_stored_8(__m256 value) noexcept {
    const __m256i whole = _mm256_cvtps_epi32(value);
    const __m128i low = _mm256_castsi256_si128(whole);
    const __m128i high = _mm256_extracti128_si256(whole, 1);
    return std::is_unsigned_v<T> ? _mm_packus_epi32(low, high) : _mm_packs_epi32(low, high);
}

template <typename T>
[[gnu::always_inline]] inline void prefetch_row(const Sampler8<T>& sampler, const Track& track) noexcept {
    const Walker walker(track);
    for (std::int64_t k = track.first; k < track.last; k += 8) {
        sampler.prefetch(walker.place<false>(sampler, k));
    }
}

template <typename T>
void linear_row(const Grid& grid, const Track& track, const Track& later, std::byte* out) noexcept {
    const Sampler8<T> sampler(grid);
    if (grid.is_dense) {
        // Not a function of its own: GCC drops calls of those that do nothing else.
        prefetch_row(sampler, later);
    }
    const Walker walker(track);
    typename Sampler8<T>::Place places[8];
    __m256i wanted[8];
    __m256 values[8];
    for (std::int64_t begin = track.first; begin < track.last; begin += 64) {
        const std::int64_t end = std::min(begin + 64, track.last);
        std::size_t count = 0;
        for (std::int64_t k = begin; k < end; k += 8, ++count) {
            sampler.copy(walker.place<false>(sampler, k), places[count]);
            wanted[count] = _mm256_castps_si256(lanes_between(0, end - k));
        }
        sampler.template linear_many<false>(count, places, wanted, values);
        alignas(16) std::byte stored[8][16];
        for (std::size_t i = 0; i < count; ++i) {
            _mm_store_si128(reinterpret_cast<__m128i*>(stored[i]), to_stored_8<T>(values[i]));
        }
        std::memcpy(out + 2 * begin, stored, static_cast<std::size_t>(end - begin) * 2);
    }
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
void linear_row(const Grid& grid, const Track& track, [[maybe_unused]] const Track& later, std::byte* out) noexcept {
#if defined(__x86_64__)
    avx2::linear_row<T>(grid, track, later, out);
#else
    any_row<T>(grid, track, Interpolation::linear, out);
#endif
}

template void linear_row<std::int16_t>(const Grid&, const Track&, const Track&, std::byte*) noexcept;
template void linear_row<std::uint16_t>(const Grid&, const Track&, const Track&, std::byte*) noexcept;

}  // namespace hilum::render::kernels
