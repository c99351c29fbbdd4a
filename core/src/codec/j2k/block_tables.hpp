// SPDX-License-Identifier: Apache-2.0
// Contexts of ISO/IEC 15444-1 Tables D.1 to D.4, by the bits of a 3 x 3 neighbourhood (bit = 3 x row + column).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace hilum::codec::j2k {

inline constexpr unsigned kSignContext = 9;
inline constexpr unsigned kMagnitudeContext = 14;
inline constexpr unsigned kRunContext = 17;
inline constexpr unsigned kUniformContext = 18;

constexpr unsigned zero_context(unsigned orientation, unsigned neighbours) noexcept {
    const auto bit = [neighbours](unsigned n) { return neighbours >> n & 1U; };
    unsigned h = bit(3) + bit(5);
    unsigned v = bit(1) + bit(7);
    const unsigned d = bit(0) + bit(2) + bit(6) + bit(8);
    if (orientation == 3) {
        const unsigned hv = h + v;
        if (d >= 3) {
            return 8;
        }
        if (d == 2) {
            return hv >= 1 ? 7 : 6;
        }
        return d == 1 ? 3 + std::min(hv, 2U) : std::min(hv, 2U);
    }
    if (orientation == 1) {
        std::swap(h, v);
    }
    if (h == 2) {
        return 8;
    }
    if (h == 1) {
        return v >= 1 ? 7 : (d >= 1 ? 6 : 5);
    }
    return v == 2 ? 4 : (v == 1 ? 3 : std::min(d, 2U));
}

/// One table for LL and LH (0), HL (1) and HH (2).
inline constexpr std::array<std::array<std::uint8_t, 512>, 3> kZeroContexts = [] {
    std::array<std::array<std::uint8_t, 512>, 3> all{};
    constexpr unsigned orientations[3] = {0, 1, 3};
    for (unsigned o = 0; o < 3; ++o) {
        for (unsigned n = 0; n < 512; ++n) {
            all[o][n] = static_cast<std::uint8_t>(zero_context(orientations[o], n));
        }
    }
    return all;
}();

/// By significance in bits 1, 3, 5, 7 (above, left, right, below) and sign in the bit under each: context << 1 | flip.
inline constexpr std::array<std::uint8_t, 256> kSignContexts = [] {
    std::array<std::uint8_t, 256> all{};
    for (unsigned n = 0; n < 256; ++n) {
        const auto value = [n](unsigned at) { return (n >> at & 1U) == 0 ? 0 : ((n >> (at - 1) & 1U) != 0 ? -1 : 1); };
        const int h = std::clamp(value(3) + value(5), -1, 1);
        const int v = std::clamp(value(1) + value(7), -1, 1);
        const bool flip = h < 0 || (h == 0 && v < 0);
        const int context = h == 0 ? (v == 0 ? 0 : 1) : 3 + (flip ? -v : v);
        all[n] = static_cast<std::uint8_t>((kSignContext + static_cast<unsigned>(context)) << 1U | (flip ? 1U : 0U));
    }
    return all;
}();

}  // namespace hilum::codec::j2k
