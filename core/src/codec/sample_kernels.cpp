// SPDX-License-Identifier: Apache-2.0
#include "sample_kernels.hpp"

#include <cstdint>
#include <cstring>

#include "hilum/cpu.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hilum::codec {
namespace scalar {
namespace {

void interleave_3(const std::byte* first, const std::byte* second, const std::byte* third, std::size_t pixels,
                  std::byte* out) noexcept {
    for (std::size_t i = 0; i < pixels; ++i) {
        out[3 * i] = first[i];
        out[3 * i + 1] = second[i];
        out[3 * i + 2] = third[i];
    }
}

void merge_2(const std::byte* high, const std::byte* low, std::size_t pixels, std::byte* out) noexcept {
    for (std::size_t i = 0; i < pixels; ++i) {
        out[2 * i] = low[i];
        out[2 * i + 1] = high[i];
    }
}

void expand_bits(const std::byte* packed, std::size_t bytes, std::byte* out) noexcept {
    for (std::size_t i = 0; i < bytes; ++i) {
        // Eight copies of the byte, one bit kept in each, moved down to bit 0.
        const std::uint64_t kept =
            (static_cast<std::uint64_t>(packed[i]) * 0x0101010101010101ULL) & 0x8040201008040201ULL;
        const std::uint64_t ones = ((kept + 0x7F7F7F7F7F7F7F7FULL) & 0x8080808080808080ULL) >> 7U;
        std::memcpy(out + 8 * i, &ones, 8);
    }
}

void expand_12(const std::byte* packed, std::size_t pairs, std::byte* out) noexcept {
    for (std::size_t i = 0; i < pairs; ++i) {
        const std::uint32_t bits = static_cast<std::uint32_t>(packed[3 * i]) |
                                   static_cast<std::uint32_t>(packed[3 * i + 1]) << 8U |
                                   static_cast<std::uint32_t>(packed[3 * i + 2]) << 16U;
        const std::uint32_t two = (bits & 0xFFFU) | (bits & 0xFFF000U) << 4U;
        std::memcpy(out + 4 * i, &two, 4);
    }
}

void swap_16(const std::byte* in, std::size_t words, std::byte* out) noexcept {
    for (std::size_t i = 0; i < words; ++i) {
        std::uint16_t word = 0;
        std::memcpy(&word, in + 2 * i, 2);
        word = __builtin_bswap16(word);
        std::memcpy(out + 2 * i, &word, 2);
    }
}

}  // namespace
}  // namespace scalar

const SampleKernels kScalarSamples{"scalar",           &scalar::interleave_3, &scalar::merge_2, &scalar::expand_bits,
                                   &scalar::expand_12, &scalar::swap_16};

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace avx2 {
namespace {

__m128i load(const std::byte* at) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}
__m256i load_32(const std::byte* at) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
void store(std::byte* at, __m128i value) noexcept {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(at), value);
}
void store_32(std::byte* at, __m256i value) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), value);
}

void interleave_3(const std::byte* first, const std::byte* second, const std::byte* third, std::size_t pixels,
                  std::byte* out) noexcept {
    // Where byte k of a 16-byte piece of the result comes from: plane k % 3, position k / 3; the pieces go on at
    // 16, 32.
    const __m128i a0 = _mm_setr_epi8(0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5);
    const __m128i b0 = _mm_setr_epi8(-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1);
    const __m128i c0 = _mm_setr_epi8(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1);
    const __m128i a1 = _mm_setr_epi8(-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1);
    const __m128i b1 = _mm_setr_epi8(5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10);
    const __m128i c1 = _mm_setr_epi8(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1);
    const __m128i a2 = _mm_setr_epi8(-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1);
    const __m128i b2 = _mm_setr_epi8(-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1);
    const __m128i c2 = _mm_setr_epi8(10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15);
    const auto join = [](__m128i x, __m128i y, __m128i z) { return _mm_or_si128(_mm_or_si128(x, y), z); };
    std::size_t i = 0;
    for (; i + 16 <= pixels; i += 16) {
        const __m128i a = load(first + i);
        const __m128i b = load(second + i);
        const __m128i c = load(third + i);
        store(out + 3 * i, join(_mm_shuffle_epi8(a, a0), _mm_shuffle_epi8(b, b0), _mm_shuffle_epi8(c, c0)));
        store(out + 3 * i + 16, join(_mm_shuffle_epi8(a, a1), _mm_shuffle_epi8(b, b1), _mm_shuffle_epi8(c, c1)));
        store(out + 3 * i + 32, join(_mm_shuffle_epi8(a, a2), _mm_shuffle_epi8(b, b2), _mm_shuffle_epi8(c, c2)));
    }
    scalar::interleave_3(first + i, second + i, third + i, pixels - i, out + 3 * i);
}

void merge_2(const std::byte* high, const std::byte* low, std::size_t pixels, std::byte* out) noexcept {
    std::size_t i = 0;
    for (; i + 32 <= pixels; i += 32) {
        const __m256i h = load_32(high + i);
        const __m256i l = load_32(low + i);
        const __m256i even = _mm256_unpacklo_epi8(l, h);
        const __m256i odd = _mm256_unpackhi_epi8(l, h);
        store_32(out + 2 * i, _mm256_permute2x128_si256(even, odd, 0x20));
        store_32(out + 2 * i + 32, _mm256_permute2x128_si256(even, odd, 0x31));
    }
    scalar::merge_2(high + i, low + i, pixels - i, out + 2 * i);
}

void expand_bits(const std::byte* packed, std::size_t bytes, std::byte* out) noexcept {
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3,
                                            3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
    std::size_t i = 0;
    for (; i + 4 <= bytes; i += 4) {
        std::int32_t four = 0;
        std::memcpy(&four, packed + i, 4);
        const __m256i kept = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(four), spread), bit);
        store_32(out + 8 * i, _mm256_and_si256(_mm256_cmpeq_epi8(kept, bit), _mm256_set1_epi8(1)));
    }
    scalar::expand_bits(packed + i, bytes - i, out + 8 * i);
}

void expand_12(const std::byte* packed, std::size_t pairs, std::byte* out) noexcept {
    const __m256i spread = _mm256_setr_epi8(0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11, 4, 5, 5, 6, 7, 8, 8, 9,
                                            10, 11, 11, 12, 13, 14, 14, 15);
    std::size_t i = 0;
    // 24 bytes for 16 samples: the upper lane begins at byte 8, so that nothing after them is read.
    for (; i + 8 <= pairs; i += 8) {
        const __m256i bytes = _mm256_set_m128i(load(packed + 3 * i + 8), load(packed + 3 * i));
        const __m256i words = _mm256_shuffle_epi8(bytes, spread);
        const __m256i low = _mm256_and_si256(words, _mm256_set1_epi16(0x0FFF));
        const __m256i high = _mm256_srli_epi16(words, 4);
        store_32(out + 4 * i, _mm256_blend_epi16(low, high, 0xAA));
    }
    scalar::expand_12(packed + 3 * i, pairs - i, out + 4 * i);
}

void swap_16(const std::byte* in, std::size_t words, std::byte* out) noexcept {
    const __m256i order = _mm256_setr_epi8(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14, 1, 0, 3, 2, 5, 4, 7, 6,
                                           9, 8, 11, 10, 13, 12, 15, 14);
    std::size_t i = 0;
    for (; i + 16 <= words; i += 16) {
        store_32(out + 2 * i, _mm256_shuffle_epi8(load_32(in + 2 * i), order));
    }
    scalar::swap_16(in + 2 * i, words - i, out + 2 * i);
}

constexpr SampleKernels kKernels{"avx2", &interleave_3, &merge_2, &expand_bits, &expand_12, &swap_16};

}  // namespace
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

const SampleKernels& sample_kernels() noexcept {
#if defined(__x86_64__)
    if (cpu::features().avx2) {
        return avx2::kKernels;
    }
#endif
    return kScalarSamples;
}

}  // namespace hilum::codec
