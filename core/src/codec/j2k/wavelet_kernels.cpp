// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hilum/cpu.hpp"
#include "wavelet.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hilum::codec::j2k {
namespace {

// Damaged data may overflow: sums wrap.
constexpr std::uint32_t bits(std::int32_t value) noexcept {
    return static_cast<std::uint32_t>(value);
}
constexpr std::int32_t wrap(std::uint32_t value) noexcept {
    return static_cast<std::int32_t>(value);
}

namespace scalar {
#include "wavelet_kernels.inc"
}  // namespace scalar

constexpr WaveletKernels kScalar{&scalar::horizontal53, &scalar::horizontal97, &scalar::update53, &scalar::predict53,
                                 &scalar::lift97};

#if defined(__x86_64__)
// without fma: OpenJPEG rounds products, and so do we
HILUM_TARGET_BEGIN("avx2")
namespace avx2 {
#include "wavelet_kernels.inc"

__m256i load(const std::int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

/// Whole rows that begin with a low sample in one go: eight low ones, then the eight high ones before the last of them.
void horizontal53_even(const std::int32_t* low, const std::int32_t* high, std::int32_t* out, std::uint32_t n) {
    const std::uint32_t lows = (n + 1) / 2;
    const std::uint32_t highs = n / 2;
    const auto updated = [&](std::uint32_t i) {
        const std::uint32_t sides = bits(high[i - 1]) + bits(high[std::min(i, highs - 1)]) + 2U;
        return wrap(bits(low[i]) - bits(wrap(sides) >> 2));
    };
    const auto predicted = [&](std::uint32_t i, std::int32_t a, std::int32_t b) {
        return wrap(bits(high[i]) + bits(wrap(bits(a) + bits(b)) >> 1));
    };
    std::int32_t before = wrap(bits(low[0]) - bits(wrap(2U * bits(high[0]) + 2U) >> 2));
    std::uint32_t i = 1;
    __m256i last = _mm256_set1_epi32(before);
    const __m256i two = _mm256_set1_epi32(2);
    for (; i + 8 <= highs; i += 8) {
        const __m256i left = load(high + i - 1);
        const __m256i sides = _mm256_add_epi32(_mm256_add_epi32(left, load(high + i)), two);
        const __m256i own = _mm256_sub_epi32(load(low + i), _mm256_srai_epi32(sides, 2));
        const __m256i joint = _mm256_permute2x128_si256(last, own, 0x21);
        const __m256i shifted = _mm256_alignr_epi8(own, joint, 12);
        last = own;
        const __m256i odd = _mm256_add_epi32(left, _mm256_srai_epi32(_mm256_add_epi32(shifted, own), 1));
        const __m256i a = _mm256_unpacklo_epi32(shifted, odd);
        const __m256i b = _mm256_unpackhi_epi32(shifted, odd);
        auto* const to = reinterpret_cast<__m256i*>(out + std::size_t{2} * (i - 1));
        _mm256_storeu_si256(to, _mm256_permute2x128_si256(a, b, 0x20));
        _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(a, b, 0x31));
    }
    before = _mm256_extract_epi32(last, 7);
    for (; i < lows; ++i) {
        const std::int32_t own = updated(i);
        out[std::size_t{2} * i - 2] = before;
        out[std::size_t{2} * i - 1] = predicted(i - 1, before, own);
        before = own;
    }
    out[std::size_t{2} * lows - 2] = before;
    if (highs == lows) {
        out[n - 1] = predicted(highs - 1, before, before);
    }
}

void horizontal53_any(const std::int32_t* low, const std::int32_t* high, std::int32_t* out, std::int32_t* scratch,
                      std::uint32_t n, unsigned parity) {
    if (parity == 0 && n > 1) {
        horizontal53_even(low, high, out, n);
    } else {
        horizontal53(low, high, out, scratch, n, parity);
    }
}
}  // namespace avx2
HILUM_TARGET_END

constexpr WaveletKernels kAvx2{&avx2::horizontal53_any, &avx2::horizontal97, &avx2::update53, &avx2::predict53,
                               &avx2::lift97};
#endif

}  // namespace

const WaveletKernels& wavelet_kernels() noexcept {
#if defined(__x86_64__)
    if (cpu::features().avx2) {
        return kAvx2;
    }
#endif
    return kScalar;
}

}  // namespace hilum::codec::j2k
