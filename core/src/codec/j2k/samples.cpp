// SPDX-License-Identifier: Apache-2.0
#include "samples.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "hilum/cpu.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace hilum::codec::j2k {
namespace {

struct Range {
    std::int32_t low, high, shift;
};

/// Precision of 1 to 31.
Range range_of(const Component& c) noexcept {
    const unsigned bits = c.precision;
    const auto half = static_cast<std::int32_t>(1U << (bits - 1));
    if (c.is_signed) {
        return {-half, half - 1, 0};
    }
    return {0, static_cast<std::int32_t>((std::uint64_t{1} << bits) - 1), half};
}

std::int32_t clamped(std::int32_t value, const Range& r) noexcept {
    // the shift is added to the limits instead: no overflow, and no wider type
    return std::clamp(value, r.low - r.shift, r.high - r.shift) + r.shift;
}

/// Rounds to even as lrintf() does; what does not fit is held at the ends, NaN at the low one.
void round_all(const float* from, std::size_t n, std::int32_t* to) noexcept {
    constexpr float kMost = 2147483520.0F;
    std::size_t i = 0;
#if defined(__SSE2__)
    for (; i + 4 <= n; i += 4) {
        const __m128 held = _mm_min_ps(_mm_max_ps(_mm_loadu_ps(from + i), _mm_set1_ps(-kMost)), _mm_set1_ps(kMost));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm_cvtps_epi32(held));
    }
#endif
    for (; i < n; ++i) {
        const float held = from[i] > -kMost ? (from[i] < kMost ? from[i] : kMost) : -kMost;
        to[i] = static_cast<std::int32_t>(std::lrintf(held));
    }
}

template <typename Sample>
void store_apart(const std::int32_t* row, std::size_t n, const Range& range, unsigned step, std::byte* out) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        const auto sample = static_cast<Sample>(clamped(row[i], range));
        std::memcpy(out + i * step * sizeof(Sample), &sample, sizeof(sample));
    }
}

namespace scalar {
#include "samples_kernels.inc"

void store_three(const std::array<const std::int32_t*, 3>& rows, std::size_t n, const Range& range,
                 std::byte* out) noexcept {
    for (unsigned c = 0; c < 3; ++c) {
        store_apart<std::uint8_t>(rows[c], n, range, 3, out + c);
    }
}
}  // namespace scalar

struct Kernels {
    void (*undo_rct)(const std::array<const std::int32_t*, 3>&, std::size_t, std::int32_t*);
    void (*undo_ict)(const std::array<const float*, 3>&, std::size_t, float*);
    void (*store_8)(const std::int32_t*, std::size_t, const Range&, std::byte*);
    void (*store_16)(const std::int32_t*, std::size_t, const Range&, std::byte*);
    void (*store_three)(const std::array<const std::int32_t*, 3>&, std::size_t, const Range&, std::byte*) noexcept;
};

constexpr Kernels kScalar{&scalar::undo_rct, &scalar::undo_ict, &scalar::store_dense<std::uint8_t>,
                          &scalar::store_dense<std::uint16_t>, &scalar::store_three};

#if defined(__x86_64__)
HILUM_TARGET_BEGIN("avx2")
namespace avx2 {
#include "samples_kernels.inc"

void store_three(const std::array<const std::int32_t*, 3>& rows, std::size_t n, const Range& range,
                 std::byte* out) noexcept {
    const __m256i low = _mm256_set1_epi32(range.low - range.shift);
    const __m256i high = _mm256_set1_epi32(range.high - range.shift);
    const __m256i shift = _mm256_set1_epi32(range.shift);
    const __m256i byte = _mm256_set1_epi32(255);
    const __m256i close =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    std::size_t i = 0;
    for (; i + 10 <= n; i += 8) {  // eight pixels, and the second store reaches into the tenth
        __m256i pixels = _mm256_setzero_si256();
        for (unsigned c = 3; c-- > 0;) {
            __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[c] + i));
            v = _mm256_add_epi32(_mm256_min_epi32(_mm256_max_epi32(v, low), high), shift);
            pixels = _mm256_or_si256(_mm256_slli_epi32(pixels, 8), _mm256_and_si256(v, byte));
        }
        pixels = _mm256_shuffle_epi8(pixels, close);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * i), _mm256_castsi256_si128(pixels));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * i + 12), _mm256_extracti128_si256(pixels, 1));
    }
    scalar::store_three({rows[0] + i, rows[1] + i, rows[2] + i}, n - i, range, out + 3 * i);
}
}  // namespace avx2
HILUM_TARGET_END

constexpr Kernels kAvx2{&avx2::undo_rct, &avx2::undo_ict, &avx2::store_dense<std::uint8_t>,
                        &avx2::store_dense<std::uint16_t>, &avx2::store_three};
#endif

const Kernels& kernels() noexcept {
#if defined(__x86_64__)
    if (cpu::features().avx2) {
        return kAvx2;
    }
#endif
    return kScalar;
}

}  // namespace

void undo_rct(const std::array<const std::int32_t*, 3>& rows, std::size_t n, std::int32_t* out) noexcept {
    kernels().undo_rct(rows, n, out);
}

void undo_ict(const std::array<const float*, 3>& rows, std::size_t n, float* out) noexcept {
    kernels().undo_ict(rows, n, out);
}

void store_pixels(const std::array<const std::int32_t*, 3>& rows, std::size_t n, const Component& component,
                  std::byte* out) noexcept {
    kernels().store_three(rows, n, range_of(component), out);
}

void store_row(const std::int32_t* row, std::size_t n, const Component& component, unsigned container, unsigned step,
               std::byte* out) noexcept {
    const Range range = range_of(component);
    if (container == 1) {
        step == 1 ? kernels().store_8(row, n, range, out) : store_apart<std::uint8_t>(row, n, range, step, out);
    } else if (container == 2) {
        step == 1 ? kernels().store_16(row, n, range, out) : store_apart<std::uint16_t>(row, n, range, step, out);
    } else {
        store_apart<std::uint32_t>(row, n, range, step, out);
    }
}

void store_row(const float* row, std::size_t n, const Component& component, unsigned container, unsigned step,
               std::byte* out) noexcept {
    std::array<std::int32_t, 512> whole;
    for (std::size_t at = 0; at < n; at += whole.size()) {
        const std::size_t count = std::min(n - at, whole.size());
        round_all(row + at, count, whole.data());
        store_row(whole.data(), count, component, container, step, out + at * step * container);
    }
}

}  // namespace hilum::codec::j2k
