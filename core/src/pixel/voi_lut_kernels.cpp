// SPDX-License-Identifier: Apache-2.0
// Scalar and AVX2 variants of the windowing kernels but for ramp_16 (ramp_kernels.cpp). Both do the same float
// operations in the same order, so that an image does not depend on the machine.
#include <algorithm>
#include <cstring>
#include <limits>

#include "hilum/cpu.hpp"
#include "hilum/pixel/voi_lut.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hilum::pixel::kernels {
namespace scalar {

template <bool Signed>
std::int32_t extract(std::uint16_t raw, Extraction e) noexcept {
    const auto shifted = static_cast<std::uint16_t>(raw << e.left);
    if constexpr (Signed) {
        return static_cast<std::int16_t>(shifted) >> e.right;
    } else {
        return shifted >> e.right;
    }
}

std::uint16_t load(const std::byte* in, std::size_t index) noexcept {
    std::uint16_t raw = 0;
    std::memcpy(&raw, in + 2 * index, sizeof(raw));
    return raw;
}

template <typename Out>
Out finish(float value, std::uint16_t flip) noexcept {
    constexpr std::int32_t kFull = std::numeric_limits<Out>::max();
    const float limited = value < static_cast<float>(kFull) ? value : static_cast<float>(kFull);
    const auto rounded = static_cast<std::int32_t>(limited + 0.5F);
    return static_cast<Out>(std::clamp(rounded, 0, kFull) ^ flip);
}

template <typename Out>
void ramp_float(const float* in, std::size_t count, const Ramp& ramp, Out* out) noexcept {
    const auto low = static_cast<float>(ramp.low);
    const auto high = static_cast<float>(ramp.high);
    for (std::size_t i = 0; i < count; ++i) {
        // As the vector instructions: a NaN becomes `low`.
        const float raised = in[i] > low ? in[i] : low;
        const float value = (raised < high ? raised : high) - low;
        out[i] = finish<Out>(value * ramp.scale + ramp.offset, ramp.flip);
    }
}

template <bool Signed>
void range_16(const std::byte* in, std::size_t count, Extraction e, std::int32_t& low, std::int32_t& high) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        const std::int32_t value = extract<Signed>(load(in, i), e);
        low = std::min(low, value);
        high = std::max(high, value);
    }
}

}  // namespace scalar

#if defined(__x86_64__)
HILUM_TARGET_BEGIN("avx2")
namespace avx2 {

template <bool Signed>
__m256i extract(__m256i raw, __m128i left, __m128i right) noexcept {
    const __m256i shifted = _mm256_sll_epi16(raw, left);
    return Signed ? _mm256_sra_epi16(shifted, right) : _mm256_srl_epi16(shifted, right);
}

std::size_t ramp_float(const float* in, std::size_t count, const Ramp& ramp, std::uint8_t* out) noexcept {
    const __m256 low = _mm256_set1_ps(static_cast<float>(ramp.low));
    const __m256 high = _mm256_set1_ps(static_cast<float>(ramp.high));
    const __m256 scale = _mm256_set1_ps(ramp.scale);
    const __m256 offset = _mm256_set1_ps(ramp.offset);
    std::size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256 value = _mm256_sub_ps(_mm256_min_ps(_mm256_max_ps(_mm256_loadu_ps(in + i), low), high), low);
        const __m256 scaled = _mm256_add_ps(_mm256_mul_ps(value, scale), offset);
        const __m256 limited = _mm256_min_ps(scaled, _mm256_set1_ps(255.0F));
        const __m256i rounded = _mm256_cvttps_epi32(_mm256_add_ps(limited, _mm256_set1_ps(0.5F)));
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
        const __m128i bytes =
            _mm_xor_si128(_mm_packus_epi16(words, words), _mm_set1_epi8(static_cast<char>(ramp.flip)));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i), bytes);
    }
    return i;
}

template <bool Signed>
std::size_t range_16(const std::byte* in, std::size_t count, Extraction e, std::int32_t& low,
                     std::int32_t& high) noexcept {
    if (count < 16) {
        return 0;
    }
    const __m128i left = _mm_cvtsi32_si128(e.left);
    const __m128i right = _mm_cvtsi32_si128(e.right);
    __m256i least = extract<Signed>(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in)), left, right);
    __m256i most = least;
    std::size_t i = 16;
    for (; i + 16 <= count; i += 16) {
        const __m256i v =
            extract<Signed>(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + 2 * i)), left, right);
        least = Signed ? _mm256_min_epi16(least, v) : _mm256_min_epu16(least, v);
        most = Signed ? _mm256_max_epi16(most, v) : _mm256_max_epu16(most, v);
    }
    alignas(32) std::uint16_t lows[16];
    alignas(32) std::uint16_t highs[16];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lows), least);
    _mm256_store_si256(reinterpret_cast<__m256i*>(highs), most);
    for (int k = 0; k < 16; ++k) {
        const std::int32_t l = Signed ? static_cast<std::int16_t>(lows[k]) : static_cast<std::int32_t>(lows[k]);
        const std::int32_t h = Signed ? static_cast<std::int16_t>(highs[k]) : static_cast<std::int32_t>(highs[k]);
        low = std::min(low, l);
        high = std::max(high, h);
    }
    return i;
}

}  // namespace avx2
HILUM_TARGET_END
#endif

namespace {

bool use_avx2() noexcept {
    return cpu::features().avx2;
}

template <bool Signed>
void run_range_16(const std::byte* in, std::size_t count, Extraction e, std::int32_t& low,
                  std::int32_t& high) noexcept {
    std::size_t done = 0;
#if defined(__x86_64__)
    if (use_avx2()) {
        done = avx2::range_16<Signed>(in, count, e, low, high);
    }
#endif
    scalar::range_16<Signed>(in + 2 * done, count - done, e, low, high);
}

template <typename Out>
void look_up(const std::byte* in, std::size_t count, Extraction extraction, const Out* table, Out* out) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        const auto shifted = static_cast<std::uint16_t>(scalar::load(in, i) << extraction.left);
        out[i] = table[shifted >> extraction.right];
    }
}

}  // namespace

void table_16(const std::byte* in, std::size_t count, Extraction extraction, const std::uint8_t* table,
              std::uint8_t* out) noexcept {
    look_up(in, count, extraction, table, out);
}

void table_16(const std::byte* in, std::size_t count, Extraction extraction, const std::uint16_t* table,
              std::uint16_t* out) noexcept {
    look_up(in, count, extraction, table, out);
}

void ramp_float(const float* in, std::size_t count, const Ramp& ramp, std::uint8_t* out) noexcept {
    std::size_t done = 0;
#if defined(__x86_64__)
    if (use_avx2()) {
        done = avx2::ramp_float(in, count, ramp, out);
    }
#endif
    scalar::ramp_float(in + done, count - done, ramp, out + done);
}

void ramp_float(const float* in, std::size_t count, const Ramp& ramp, std::uint16_t* out) noexcept {
    scalar::ramp_float(in, count, ramp, out);
}

void range_16(const std::byte* in, std::size_t count, Extraction extraction, std::int32_t& low,
              std::int32_t& high) noexcept {
    extraction.is_signed ? run_range_16<true>(in, count, extraction, low, high)
                         : run_range_16<false>(in, count, extraction, low, high);
}

}  // namespace hilum::pixel::kernels
