// SPDX-License-Identifier: Apache-2.0
// Inverse DCT of Loeffler, Ligtenberg and Moshovitz (ICASSP 1989) in integers, scaled as the IJG's library does for 12
// bits (13 bits of fraction, 1 kept between the passes), so that samples are the same.
#include <algorithm>

#include "entropy.hpp"

namespace hilum::codec::jpeg12 {
namespace {

constexpr int kFraction = 13;
constexpr int kKept = 1;
constexpr std::int64_t kC0298 = 2446, kC0390 = 3196, kC0541 = 4433, kC0765 = 6270, kC0899 = 7373, kC1175 = 9633,
                       kC1501 = 12299, kC1847 = 15137, kC1961 = 16069, kC2053 = 16819, kC2562 = 20995, kC3072 = 25172;

constexpr std::array<std::uint8_t, 64> kZigzag{0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                               12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                               35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                               58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

/// Eight values `step` apart, rounded down by `shift` bits.
void pass(std::int64_t* v, std::size_t step, int shift) noexcept {
    const auto in = [&](std::size_t i) { return v[i * step]; };
    const std::int64_t even = (in(2) + in(6)) * kC0541;
    const std::int64_t even2 = even - in(6) * kC1847;
    const std::int64_t even3 = even + in(2) * kC0765;
    const std::int64_t sum = (in(0) + in(4)) * (1 << kFraction);
    const std::int64_t difference = (in(0) - in(4)) * (1 << kFraction);
    const std::int64_t a0 = sum + even3;
    const std::int64_t a3 = sum - even3;
    const std::int64_t a1 = difference + even2;
    const std::int64_t a2 = difference - even2;
    const std::int64_t z5 = (in(7) + in(3) + in(5) + in(1)) * kC1175;
    const std::int64_t z1 = -(in(7) + in(1)) * kC0899;
    const std::int64_t z2 = -(in(5) + in(3)) * kC2562;
    const std::int64_t z3 = -(in(7) + in(3)) * kC1961 + z5;
    const std::int64_t z4 = -(in(5) + in(1)) * kC0390 + z5;
    const std::int64_t b0 = in(7) * kC0298 + z1 + z3;
    const std::int64_t b1 = in(5) * kC2053 + z2 + z4;
    const std::int64_t b2 = in(3) * kC3072 + z2 + z3;
    const std::int64_t b3 = in(1) * kC1501 + z1 + z4;
    const std::int64_t half = std::int64_t{1} << (shift - 1);
    v[0] = (a0 + b3 + half) >> shift;
    v[7 * step] = (a0 - b3 + half) >> shift;
    v[step] = (a1 + b2 + half) >> shift;
    v[6 * step] = (a1 - b2 + half) >> shift;
    v[2 * step] = (a2 + b1 + half) >> shift;
    v[5 * step] = (a2 - b1 + half) >> shift;
    v[3 * step] = (a3 + b0 + half) >> shift;
    v[4 * step] = (a3 - b0 + half) >> shift;
}

}  // namespace

void transform(const std::int16_t* block, const std::array<std::uint16_t, 64>& quantisation,
               std::array<std::uint16_t, 64>& samples) noexcept {
    std::array<std::int64_t, 64> v;
    for (std::size_t i = 0; i < 64; ++i) {
        v[kZigzag[i]] = std::int64_t{block[i]} * quantisation[i];
    }
    for (std::size_t x = 0; x < 8; ++x) {
        pass(v.data() + x, 8, kFraction - kKept);
    }
    for (std::size_t y = 0; y < 8; ++y) {
        pass(v.data() + 8 * y, 1, kFraction + kKept + 3);
    }
    for (std::size_t i = 0; i < 64; ++i) {
        samples[i] = static_cast<std::uint16_t>(std::clamp<std::int64_t>(v[i] + 2048, 0, 4095));
    }
}

}  // namespace hilum::codec::jpeg12
