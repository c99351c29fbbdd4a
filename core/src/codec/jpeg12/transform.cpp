// SPDX-License-Identifier: Apache-2.0
// Inverse DCT of Loeffler, Ligtenberg and Moshovitz (ICASSP 1989) in integers, scaled as the IJG's library does for 12
// bits (13 bits of fraction, 1 kept between the passes), so that samples are the same.
#include <algorithm>
#include <cstdlib>
#include <type_traits>

#include "entropy.hpp"
#include "hilum/cpu.hpp"

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

/// One pass down eight columns. `Int` is 64 bits wide, or 32 bits unsigned, which may wrap: what comes out is right
/// when it fits, whatever the sums on the way did.
template <typename Int, int kShift>
[[gnu::always_inline]] inline void pass(const Int* __restrict in, Int* __restrict out) noexcept {
    using Signed = std::make_signed_t<Int>;
    constexpr auto k = [](std::int64_t constant) { return static_cast<Int>(constant); };
    constexpr auto down = [](Int value) {
        return static_cast<Int>(static_cast<Signed>(value + (Int{1} << (kShift - 1))) >> kShift);
    };
    for (std::size_t x = 0; x < 8; ++x) {
        const Int i0 = in[x], i1 = in[8 + x], i2 = in[16 + x], i3 = in[24 + x];
        const Int i4 = in[32 + x], i5 = in[40 + x], i6 = in[48 + x], i7 = in[56 + x];
        const Int even = (i2 + i6) * k(kC0541);
        const Int even2 = even - i6 * k(kC1847);
        const Int even3 = even + i2 * k(kC0765);
        const Int sum = (i0 + i4) * k(1 << kFraction);
        const Int difference = (i0 - i4) * k(1 << kFraction);
        const Int a0 = sum + even3, a3 = sum - even3, a1 = difference + even2, a2 = difference - even2;
        const Int z5 = (i7 + i3 + i5 + i1) * k(kC1175);
        const Int z1 = (i7 + i1) * k(kC0899);
        const Int z2 = (i5 + i3) * k(kC2562);
        const Int z3 = z5 - (i7 + i3) * k(kC1961);
        const Int z4 = z5 - (i5 + i1) * k(kC0390);
        const Int b0 = i7 * k(kC0298) - z1 + z3;
        const Int b1 = i5 * k(kC2053) - z2 + z4;
        const Int b2 = i3 * k(kC3072) - z2 + z3;
        const Int b3 = i1 * k(kC1501) - z1 + z4;
        out[x] = down(a0 + b3);
        out[56 + x] = down(a0 - b3);
        out[8 + x] = down(a1 + b2);
        out[48 + x] = down(a1 - b2);
        out[16 + x] = down(a2 + b1);
        out[40 + x] = down(a2 - b1);
        out[24 + x] = down(a3 + b0);
        out[32 + x] = down(a3 - b0);
    }
}

template <typename Int>
[[gnu::always_inline]] inline void transpose(const Int* __restrict in, Int* __restrict out) noexcept {
    for (std::size_t y = 0; y < 8; ++y) {
        for (std::size_t x = 0; x < 8; ++x) {
            out[8 * y + x] = in[8 * x + y];
        }
    }
}

/// Columns, then rows.
template <typename Int>
[[gnu::always_inline]] inline void both_passes(Int* v, std::uint16_t* samples) noexcept {
    std::array<Int, 64> w;
    pass<Int, kFraction - kKept>(v, w.data());
    transpose(w.data(), v);
    pass<Int, kFraction + kKept + 3>(v, w.data());
    transpose(w.data(), v);
    for (std::size_t i = 0; i < 64; ++i) {
        const auto value = static_cast<std::make_signed_t<Int>>(v[i]);
        samples[i] = static_cast<std::uint16_t>(std::clamp<std::make_signed_t<Int>>(value + 2048, 0, 4095));
    }
}

void narrow_passes(std::uint32_t* v, std::uint16_t* samples) noexcept {
    both_passes(v, samples);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void narrow_passes_avx2(std::uint32_t* v, std::uint16_t* samples) noexcept {
    both_passes(v, samples);
}
#endif

using Passes = void (*)(std::uint32_t*, std::uint16_t*) noexcept;

Passes choose() noexcept {
#if defined(__x86_64__)
    if (cpu::features().avx2) {
        return &narrow_passes_avx2;
    }
#endif
    return &narrow_passes;
}

/// Coefficients whose sizes add up to less cannot overflow 32 bits in what comes out of either pass.
constexpr std::int64_t kNarrow = 65536;

}  // namespace

void transform(const std::int16_t* block, const std::array<std::uint16_t, 64>& quantisation,
               std::array<std::uint16_t, 64>& samples) noexcept {
    static const Passes narrow = choose();
    std::array<std::int32_t, 64> v{};
    std::int64_t size = 0;
    for (std::size_t i = 0; i < 64; ++i) {
        const std::int32_t value = std::int32_t{block[i]} * quantisation[i];
        v[kZigzag[i]] = value;
        size += std::abs(value);
    }
    if (size == std::abs(v[0])) {  // what both passes make of a first coefficient alone
        const std::int64_t flat = (std::int64_t{v[0]} * (1 << kKept) + (1 << (kKept + 2))) >> (kKept + 3);
        samples.fill(static_cast<std::uint16_t>(std::clamp<std::int64_t>(flat + 2048, 0, 4095)));
    } else if (size < kNarrow) {
        std::array<std::uint32_t, 64> u;
        std::copy(v.begin(), v.end(), u.begin());
        narrow(u.data(), samples.data());
    } else {
        std::array<std::int64_t, 64> wide;
        std::copy(v.begin(), v.end(), wide.begin());
        both_passes(wide.data(), samples.data());
    }
}

}  // namespace hilum::codec::jpeg12
