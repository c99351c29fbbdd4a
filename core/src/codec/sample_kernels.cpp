// SPDX-License-Identifier: Apache-2.0
#include "sample_kernels.hpp"

#include <array>
#include <cstdint>
#include <cstring>

#include "hilum/cpu.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hilum::codec {
namespace scalar {
namespace {

template <std::size_t Size>
void interleave_3(const std::byte* first, const std::byte* second, const std::byte* third, std::size_t pixels,
                  std::byte* out) noexcept {
    for (std::size_t i = 0; i < pixels; ++i) {
        std::memcpy(out + 3 * i * Size, first + i * Size, Size);
        std::memcpy(out + (3 * i + 1) * Size, second + i * Size, Size);
        std::memcpy(out + (3 * i + 2) * Size, third + i * Size, Size);
    }
}

void expand_422(const std::byte* in, std::size_t pairs, std::byte* out) noexcept {
    for (std::size_t i = 0; i < pairs; ++i, in += 4, out += 6) {
        out[0] = in[0];
        out[3] = in[1];
        out[1] = out[4] = in[2];
        out[2] = out[5] = in[3];
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

template <typename Word>
void swap(const std::byte* in, std::size_t words, std::byte* out) noexcept {
    for (std::size_t i = 0; i < words; ++i) {
        Word word{};
        std::memcpy(&word, in + i * sizeof(Word), sizeof(Word));
        if constexpr (sizeof(Word) == 2) {
            word = __builtin_bswap16(word);
        } else {
            word = __builtin_bswap32(word);
        }
        std::memcpy(out + i * sizeof(Word), &word, sizeof(Word));
    }
}

void shift_16(std::byte* samples, std::size_t words, bool is_signed, unsigned left, unsigned right) noexcept {
    for (std::size_t i = 0; i < words; ++i) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, samples + 2 * i, 2);
        bits = static_cast<std::uint16_t>(bits << left);
        bits = static_cast<std::uint16_t>(is_signed ? static_cast<std::int16_t>(bits) >> right : bits >> right);
        std::memcpy(samples + 2 * i, &bits, 2);
    }
}

}  // namespace
}  // namespace scalar

const SampleKernels kScalarSamples{"scalar",
                                   &scalar::interleave_3<1>,
                                   &scalar::interleave_3<2>,
                                   &scalar::expand_422,
                                   &scalar::merge_2,
                                   &scalar::expand_bits,
                                   &scalar::expand_12,
                                   &scalar::swap<std::uint16_t>,
                                   &scalar::swap<std::uint32_t>,
                                   &scalar::shift_16};

#if defined(__x86_64__)
namespace {

/// Sixteen bytes of each of three planes go to three pieces of sixteen. A plane's bytes keep their places in a piece
/// after one shuffle, as 3 and 16 have no common divisor; `from` is its order, `is_of` the bytes of a plane in a piece.
template <std::size_t Size>
struct Interleaving {
    using Lane = std::array<char, 16>;
    std::array<Lane, 3> from{};                  ///< by plane
    std::array<std::array<Lane, 3>, 3> is_of{};  ///< by piece and plane; -1 where so

    constexpr Interleaving() noexcept {
        for (std::size_t piece = 0; piece < 3; ++piece) {
            for (std::size_t position = 0; position < 16; ++position) {
                const std::size_t sample = (16 * piece + position) / Size;
                from[sample % 3][position] = static_cast<char>(sample / 3 * Size + position % Size);
                is_of[piece][sample % 3][position] = -1;
            }
        }
    }
};

}  // namespace
#endif

#if defined(__x86_64__)
HILUM_TARGET_BEGIN("avx2")
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

__m256i twice(const std::array<char, 16>& lane) noexcept {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(lane.data())));
}

__m256i piece_of(__m256i a, __m256i b, __m256i c, const std::array<std::array<char, 16>, 3>& is_of) noexcept {
    return _mm256_blendv_epi8(_mm256_blendv_epi8(a, b, twice(is_of[1])), c, twice(is_of[2]));
}

template <std::size_t Size>
void interleave_3(const std::byte* first, const std::byte* second, const std::byte* third, std::size_t pixels,
                  std::byte* out) noexcept {
    static constexpr Interleaving<Size> kOrder;
    constexpr std::size_t kStep = 32 / Size;
    std::size_t i = 0;
    for (; i + kStep <= pixels; i += kStep) {
        const __m256i a = _mm256_shuffle_epi8(load_32(first + i * Size), twice(kOrder.from[0]));
        const __m256i b = _mm256_shuffle_epi8(load_32(second + i * Size), twice(kOrder.from[1]));
        const __m256i c = _mm256_shuffle_epi8(load_32(third + i * Size), twice(kOrder.from[2]));
        const __m256i begin = piece_of(a, b, c, kOrder.is_of[0]);
        const __m256i middle = piece_of(a, b, c, kOrder.is_of[1]);
        const __m256i end = piece_of(a, b, c, kOrder.is_of[2]);
        store_32(out + 3 * i * Size, _mm256_permute2x128_si256(begin, middle, 0x20));
        store_32(out + 3 * i * Size + 32, _mm256_permute2x128_si256(end, begin, 0x30));
        store_32(out + 3 * i * Size + 64, _mm256_permute2x128_si256(middle, end, 0x31));
    }
    scalar::interleave_3<Size>(first + i * Size, second + i * Size, third + i * Size, pixels - i, out + 3 * i * Size);
}

void expand_422(const std::byte* in, std::size_t pairs, std::byte* out) noexcept {
    const __m128i begin = _mm_setr_epi8(0, 2, 3, 1, 2, 3, 4, 6, 7, 5, 6, 7, 8, 10, 11, 9);
    const __m128i rest = _mm_setr_epi8(10, 11, 12, 14, 15, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1);
    std::size_t i = 0;
    for (; i + 4 <= pairs; i += 4) {
        const __m128i quads = load(in + 4 * i);
        store(out + 6 * i, _mm_shuffle_epi8(quads, begin));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 6 * i + 16), _mm_shuffle_epi8(quads, rest));
    }
    scalar::expand_422(in + 4 * i, pairs - i, out + 6 * i);
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

template <typename Word>
void swap(const std::byte* in, std::size_t words, std::byte* out) noexcept {
    const __m256i order = sizeof(Word) == 2 ? _mm256_setr_epi8(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14, 1,
                                                               0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
                                            : _mm256_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 3,
                                                               2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    constexpr std::size_t kStep = 32 / sizeof(Word);
    std::size_t i = 0;
    for (; i + kStep <= words; i += kStep) {
        store_32(out + i * sizeof(Word), _mm256_shuffle_epi8(load_32(in + i * sizeof(Word)), order));
    }
    scalar::swap<Word>(in + i * sizeof(Word), words - i, out + i * sizeof(Word));
}

void shift_16(std::byte* samples, std::size_t words, bool is_signed, unsigned left, unsigned right) noexcept {
    const __m128i up = _mm_cvtsi32_si128(static_cast<int>(left));
    const __m128i down = _mm_cvtsi32_si128(static_cast<int>(right));
    std::size_t i = 0;
    for (; i + 16 <= words; i += 16) {
        const __m256i bits = _mm256_sll_epi16(load_32(samples + 2 * i), up);
        store_32(samples + 2 * i, is_signed ? _mm256_sra_epi16(bits, down) : _mm256_srl_epi16(bits, down));
    }
    scalar::shift_16(samples + 2 * i, words - i, is_signed, left, right);
}

constexpr SampleKernels kKernels{"avx2",       &interleave_3<1>, &interleave_3<2>,     &expand_422,          &merge_2,
                                 &expand_bits, &expand_12,       &swap<std::uint16_t>, &swap<std::uint32_t>, &shift_16};

}  // namespace
}  // namespace avx2
HILUM_TARGET_END
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
