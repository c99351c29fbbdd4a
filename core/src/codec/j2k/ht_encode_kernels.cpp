// SPDX-License-Identifier: Apache-2.0
// Exponents and MagSgn of the HT encoder: scalar and AVX2.
#include <algorithm>
#include <bit>
#include <cstdlib>

#include "hilum/cpu.hpp"
#include "ht_encode.hpp"
#include "ht_streams.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hilum::codec::j2k::ht {
namespace {

namespace scalar {

std::uint8_t exponent_of(std::int32_t value) noexcept {
    const auto magnitude = static_cast<std::uint32_t>(std::abs(value));
    return static_cast<std::uint8_t>(magnitude == 0 ? 0 : std::bit_width(2 * magnitude - 1));
}

void classify(const std::int32_t* top, const std::int32_t* bottom, unsigned pairs, const std::uint8_t* above,
              std::uint8_t* below, QuadRow& out) noexcept {
    for (unsigned i = 0; i < 2 * pairs; ++i) {
        const std::array<std::uint8_t, 4> e{exponent_of(top[2 * i]), exponent_of(bottom[2 * i]),
                                            exponent_of(top[2 * i + 1]), exponent_of(bottom[2 * i + 1])};
        const unsigned most = *std::max_element(e.begin(), e.end());
        unsigned rho = 0;
        unsigned eps = 0;
        for (unsigned s = 0; s < 4; ++s) {
            rho |= (e[s] != 0 ? 1U : 0U) << s;
            eps |= (e[s] == most ? 1U : 0U) << s;
        }
        unsigned kappa = 1;
        if (above != nullptr && (rho & (rho - 1)) != 0) {
            kappa = std::max<unsigned>(2, *std::max_element(above + 2 * i, above + 2 * i + 4)) - 1;
        }
        const unsigned bound = std::max(most, kappa);
        out.info[i] = rho | (bound > kappa ? eps << 4U : 0U) | bound << 8U | (bound - kappa) << 16U;
        below[1 + 2 * i] = e[1];
        below[2 + 2 * i] = e[3];
    }
}

std::size_t magsgn(const std::int32_t* top, const std::int32_t* bottom, unsigned pairs, const QuadRow& row,
                   std::byte* to, std::size_t bits) noexcept {
    BitWriter writer(to, bits);
    for (unsigned i = 0; i < 2 * pairs; ++i) {
        const unsigned bound = row.info[i] >> 8U & 0xFFU;
        for (unsigned s = 0; s < 4; ++s) {
            if ((row.info[i] >> s & 1U) == 0) {
                continue;
            }
            const std::int32_t* const samples = s % 2 == 0 ? top : bottom;
            const std::int32_t value = samples[2 * i + s / 2];
            const unsigned count = bound - (row.known[i] >> s & 1U);
            const auto magnitude = static_cast<std::uint32_t>(std::abs(value));
            const std::uint32_t code = 2 * (magnitude - 1) + (value < 0 ? 1U : 0U);
            writer.add(code & ((1U << count) - 1), count);
        }
    }
    return writer.finish();
}

}  // namespace scalar

#if defined(__x86_64__)
HILUM_TARGET_BEGIN("avx2")
namespace avx2 {

/// Eight exponents; 0 of 0.
__m256i exponents(const std::int32_t* from) noexcept {
    const __m256i magnitude = _mm256_abs_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    __m256i v = _mm256_sub_epi32(_mm256_add_epi32(magnitude, magnitude), _mm256_set1_epi32(1));
    v = _mm256_max_epi32(v, _mm256_setzero_si256());
    v = _mm256_andnot_si256(_mm256_srli_epi32(v, 8), v);  // not rounded up to the next power of two
    v = _mm256_srli_epi32(_mm256_castps_si256(_mm256_cvtepi32_ps(v)), 23);
    return _mm256_max_epi32(_mm256_sub_epi32(v, _mm256_set1_epi32(126)), _mm256_setzero_si256());
}

/// One bit of each of the four bytes.
__m128i bits_of(__m128i bytes) noexcept {
    __m128i bits = _mm_and_si128(bytes, _mm_set1_epi32(0x08040201));
    bits = _mm_or_si128(bits, _mm_srli_epi32(bits, 16));
    bits = _mm_or_si128(bits, _mm_srli_epi32(bits, 8));
    return _mm_and_si128(bits, _mm_set1_epi32(15));
}

void classify(const std::int32_t* top, const std::int32_t* bottom, unsigned pairs, const std::uint8_t* above,
              std::uint8_t* below, QuadRow& out) noexcept {
    const __m128i one = _mm_set1_epi32(1);
    const __m128i first_byte = _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    for (unsigned x = 0; x < 4 * pairs; x += 8) {  // four quads
        const __m256i lower = exponents(bottom + x);
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(lower), _mm256_extracti128_si256(lower, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(below + 1 + x), _mm_packus_epi16(words, words));
        __m256i columns = _mm256_or_si256(exponents(top + x), _mm256_slli_epi32(lower, 8));
        columns = _mm256_or_si256(columns, _mm256_srli_epi64(columns, 16));
        columns = _mm256_permutevar8x32_epi32(columns, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
        const __m128i e = _mm256_castsi256_si128(columns);  // four bytes for each quad
        __m128i most = _mm_max_epu8(e, _mm_srli_epi32(e, 16));
        most = _mm_and_si128(_mm_max_epu8(most, _mm_srli_epi32(most, 8)), _mm_set1_epi32(0xFF));
        const __m128i rho = bits_of(_mm_cmpgt_epi8(e, _mm_setzero_si128()));
        const __m128i eps = bits_of(_mm_cmpeq_epi8(e, _mm_shuffle_epi8(most, first_byte)));
        __m128i kappa = one;
        if (above != nullptr) {
            const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(above + x));
            __m128i greatest = _mm_max_epu8(a, _mm_srli_si128(a, 1));
            greatest = _mm_max_epu8(greatest, _mm_srli_si128(greatest, 2));
            greatest = _mm_cvtepu16_epi32(_mm_and_si128(greatest, _mm_set1_epi16(0xFF)));
            const __m128i several = _mm_and_si128(rho, _mm_sub_epi32(rho, one));
            const __m128i alone = _mm_cmpeq_epi32(several, _mm_setzero_si128());
            kappa = _mm_max_epi32(one, _mm_andnot_si128(alone, _mm_sub_epi32(greatest, one)));
        }
        const __m128i bound = _mm_max_epi32(most, kappa);
        const __m128i u = _mm_sub_epi32(bound, kappa);
        const __m128i has_u = _mm_cmpgt_epi32(u, _mm_setzero_si128());
        __m128i info = _mm_or_si128(rho, _mm_slli_epi32(_mm_and_si128(eps, has_u), 4));
        info = _mm_or_si128(info, _mm_or_si128(_mm_slli_epi32(bound, 8), _mm_slli_epi32(u, 16)));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out.info.data() + x / 2), info);
    }
}

std::size_t magsgn(const std::int32_t* top, const std::int32_t* bottom, unsigned pairs, const QuadRow& row,
                   std::byte* to, std::size_t bits) noexcept {
    BitWriter writer(to, bits);
    const __m256i spread = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const __m256i own = _mm256_setr_epi32(1, 2, 4, 8, 1, 2, 4, 8);
    const __m256i ones = _mm256_set1_epi32(1);
    const __m256i low = _mm256_set1_epi64x(0xFFFFFFFF);
    const auto both = [&](const std::uint32_t* of) __attribute__((always_inline, target("avx2"))) {
        const __m128i two = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(of));
        return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(two), spread);
    };
    for (unsigned pair = 0; pair < pairs; ++pair) {
        const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(top + std::size_t{4} * pair));
        const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bottom + std::size_t{4} * pair));
        const __m256i value = _mm256_set_m128i(_mm_unpackhi_epi32(t, b), _mm_unpacklo_epi32(t, b));
        const __m256i info = both(row.info.data() + std::size_t{2} * pair);
        const __m256i known = both(row.known.data() + std::size_t{2} * pair);
        const __m256i significant = _mm256_cmpeq_epi32(_mm256_and_si256(info, own), own);
        const __m256i told = _mm256_cmpeq_epi32(_mm256_and_si256(known, own), own);
        const __m256i bound = _mm256_and_si256(_mm256_srli_epi32(info, 8), _mm256_set1_epi32(0xFF));
        const __m256i count = _mm256_and_si256(significant, _mm256_add_epi32(bound, told));
        const __m256i less = _mm256_sub_epi32(_mm256_abs_epi32(value), ones);
        __m256i code = _mm256_sub_epi32(_mm256_add_epi32(less, less), _mm256_srai_epi32(value, 31));
        code = _mm256_and_si256(code, _mm256_sub_epi32(_mm256_sllv_epi32(ones, count), ones));
        const __m256i first = _mm256_and_si256(count, low);
        const __m256i joined =
            _mm256_or_si256(_mm256_and_si256(code, low), _mm256_sllv_epi64(_mm256_srli_epi64(code, 32), first));
        const __m256i lengths = _mm256_add_epi64(first, _mm256_srli_epi64(count, 32));
        alignas(32) std::array<std::uint64_t, 4> words;
        alignas(32) std::array<std::uint64_t, 4> counts;
        _mm256_store_si256(reinterpret_cast<__m256i*>(words.data()), joined);
        _mm256_store_si256(reinterpret_cast<__m256i*>(counts.data()), lengths);
        for (unsigned i = 0; i < 4; ++i) {
            writer.add(words[i], static_cast<unsigned>(counts[i]));
        }
    }
    return writer.finish();
}

}  // namespace avx2
HILUM_TARGET_END

constexpr EncodeKernels kAvx2{&avx2::classify, &avx2::magsgn};
#endif

}  // namespace

const EncodeKernels kScalarEncodeKernels{&scalar::classify, &scalar::magsgn};

const EncodeKernels& encode_kernels() noexcept {
#if defined(__x86_64__)
    if (cpu::features().avx2) {
        return kAvx2;
    }
#endif
    return kScalarEncodeKernels;
}

}  // namespace hilum::codec::j2k::ht
