// SPDX-License-Identifier: Apache-2.0
#include "samples.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#if defined(__SSE2__)
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
void store_as(const std::int32_t* row, std::size_t n, const Range& range, unsigned step, std::byte* out) noexcept {
    if (step == 1) {
        for (std::size_t i = 0; i < n; ++i) {
            const auto sample = static_cast<Sample>(clamped(row[i], range));
            std::memcpy(out + i * sizeof(Sample), &sample, sizeof(sample));
        }
        return;
    }
    for (std::size_t i = 0; i < n; ++i) {
        const auto sample = static_cast<Sample>(clamped(row[i], range));
        std::memcpy(out + i * step * sizeof(Sample), &sample, sizeof(sample));
    }
}

}  // namespace

void undo_rct(std::int32_t* y, std::int32_t* u, std::int32_t* v, std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {  // unsigned: damaged data wraps
        const auto luma = static_cast<std::uint32_t>(y[i]);
        const auto blue = static_cast<std::uint32_t>(u[i]);
        const auto red = static_cast<std::uint32_t>(v[i]);
        const std::uint32_t green = luma - static_cast<std::uint32_t>(static_cast<std::int32_t>(blue + red) >> 2);
        y[i] = static_cast<std::int32_t>(red + green);
        u[i] = static_cast<std::int32_t>(green);
        v[i] = static_cast<std::int32_t>(blue + green);
    }
}

void undo_ict(float* y, float* u, float* v, std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        const float luma = y[i];
        const float blue = u[i];
        const float red = v[i];
        y[i] = luma + red * 1.402F;
        u[i] = luma - blue * 0.34413F - red * 0.71414F;
        v[i] = luma + blue * 1.772F;
    }
}

void store_row(const std::int32_t* row, std::size_t n, const Component& component, unsigned container, unsigned step,
               std::byte* out) noexcept {
    const Range range = range_of(component);
    if (container == 1) {
        store_as<std::uint8_t>(row, n, range, step, out);
    } else if (container == 2) {
        store_as<std::uint16_t>(row, n, range, step, out);
    } else {
        store_as<std::uint32_t>(row, n, range, step, out);
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
