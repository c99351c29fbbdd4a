// SPDX-License-Identifier: Apache-2.0
// What coder and decoder of JPEG-LS share (ISO/IEC 14495-1 annex A): parameters of a scan, contexts and how they
// learn, prediction, and the part of a context that the line above decides, which is done ahead for a whole line.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "scan.hpp"

namespace hilum::codec::jpeg_ls {

inline constexpr std::array<unsigned char, 32> kRunBits{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,  2,  3,  3,  3,  3,
                                                        4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15};  // J

/// The modes differ in arithmetic only: `kWhole` is lossless with a range that is a power of two.
enum class Mode : std::uint8_t { whole, general };

struct Context {
    std::uint32_t a = 0;
    std::int32_t b = 0;
    std::int16_t c = 0;
    std::uint16_t n = 1;
    std::uint8_t k = 0;    ///< Golomb parameter
    std::int8_t flip = 0;  ///< -1 where the coded error is to be inverted (A.5.2)
    std::uint16_t unused = 0;
};

struct RunContext {
    std::uint32_t a = 0;
    std::uint32_t n = 1;
    std::uint32_t negative = 0;  ///< Nn
};

/// What does not change during a scan (A.2.1).
struct Parameters {
    Parameters(const Preset& preset, unsigned bound) noexcept
        : maximum(static_cast<int>(preset.maximum)),
          near(static_cast<int>(bound)),
          t1(static_cast<int>(preset.t1)),
          t2(static_cast<int>(preset.t2)),
          t3(static_cast<int>(preset.t3)),
          reset(preset.reset) {
        const unsigned scale = 2 * bound + 1;
        range = bound == 0 ? preset.maximum + 1 : (preset.maximum + 2 * bound) / scale + 1;
        range_bits = static_cast<unsigned>(std::bit_width(range - 1));
        const unsigned depth = std::max(2U, static_cast<unsigned>(std::bit_width(preset.maximum)));
        limit = 2 * (depth + std::max(8U, depth));
        escape = limit - range_bits - 1;
    }

    [[nodiscard]] bool whole() const noexcept { return near == 0 && (maximum & (maximum + 1)) == 0; }

    /// -4 to 4 (A.3.3).
    [[nodiscard]] int quantise(int d) const noexcept {
        const int size = std::abs(d);
        const int level = int{size > near} + int{size >= t1} + int{size >= t2} + int{size >= t3};
        return d < 0 ? -level : level;
    }

    int maximum;
    int near;
    int t1;
    int t2;
    int t3;
    unsigned reset;
    unsigned range = 0;
    unsigned range_bits = 0;
    unsigned limit = 0;
    unsigned escape = 0;  ///< zeros that announce a value coded as it is
};

/// The smallest k with n << k >= a (A.5.1).
[[gnu::always_inline]] inline unsigned golomb_parameter(std::uint32_t a, std::uint32_t n) noexcept {
    const int wanted = static_cast<int>(std::bit_width(a)) - static_cast<int>(std::bit_width(n));
    const auto k = static_cast<unsigned>(std::max(wanted, 0));
    return k + ((std::uint64_t{n} << k) < a ? 1U : 0U);
}

[[gnu::always_inline]] inline int predict(int left, int above, int corner) noexcept {  // A.4.1
    const int low = std::min(left, above);
    const int high = std::max(left, above);
    const int middle = left + above - corner;
    return std::max(low, std::min(high, middle));  // median of the three
}

template <Mode kMode>
[[gnu::always_inline]] inline int reconstruct(const Parameters& p, int predicted, int error) noexcept {
    if constexpr (kMode == Mode::whole) {
        return (predicted + error) & p.maximum;
    }
    const int scale = 2 * p.near + 1;
    int value = predicted + error * scale;
    if (value < -p.near) {
        value += static_cast<int>(p.range) * scale;
    } else if (value > p.maximum + p.near) {
        value -= static_cast<int>(p.range) * scale;
    }
    return std::clamp(value, 0, p.maximum);
}

/// How a bias is corrected: of one component by arithmetic, because it cannot be guessed which way it goes; of colour,
/// whose components share contexts and go the same way, by branches that are guessed while the sums are still made.
enum class Bias : std::uint8_t { arithmetic, branches };

template <Mode kMode, Bias kBias>
[[gnu::always_inline]] inline void update(Context& context, int error, unsigned reset, int near) noexcept {  // A.6
    std::uint32_t a = context.a + static_cast<unsigned>(std::abs(error));
    int b = context.b + (kMode == Mode::whole ? error : error * (2 * near + 1));
    int c = context.c;
    unsigned n = context.n;
    if (n == reset) [[unlikely]] {
        a >>= 1U;
        b >>= 1;
        n >>= 1U;
    }
    ++n;
    const auto count = static_cast<int>(n);
    if constexpr (kBias == Bias::branches) {
        if (b > 0) {
            b = std::min(b - count, 0);
            c = std::min(c + 1, 127);
        } else if (b <= -count) {
            b = std::max(b + count, 1 - count);
            c = std::max(c - 1, -128);
        }
    } else {
        const int over = -b >> 31;                // -1 where b > 0
        const int under = (b + count - 1) >> 31;  // -1 where b <= -count
        c += under - over;
        if (c < -128 || c > 127) [[unlikely]] {
            c = std::clamp(c, -128, 127);
        }
        b = std::max(std::min(b - (over & count), 0) + (under & count), 1 - count);
    }
    const unsigned k = golomb_parameter(a, n);
    const int inverted = ((2 * b + count - 1) & (static_cast<int>(k) - 1)) >> 31;
    context.a = a;
    context.b = b;
    context.c = static_cast<std::int16_t>(c);
    context.n = static_cast<std::uint16_t>(n);
    context.k = static_cast<std::uint8_t>(k);
    context.flip = static_cast<std::int8_t>(kMode == Mode::whole || near == 0 ? inverted : 0);
}

/// What is learned during a scan.
struct Model {
    /// Start of a scan or restart interval.
    void reset(const Parameters& p) noexcept {
        Context fresh;
        fresh.a = std::max(2U, (p.range + 32) / 64);
        fresh.k = static_cast<std::uint8_t>(golomb_parameter(fresh.a, 1));
        contexts.fill(fresh);
        runs.fill({fresh.a, 1, 0});
        run_index.fill(0);
    }

    std::array<Context, 365> contexts{};
    std::array<RunContext, 2> runs{};
    std::array<unsigned, 4> run_index{};
};

/// How samples lie in lines: those of a pixel beside each other when they are interleaved by sample.
struct Layout {
    explicit Layout(const Scan& scan) noexcept
        : lines(scan.interleave == Interleave::sample ? 1 : scan.components),
          step(scan.interleave == Interleave::sample ? scan.components : 1),
          count(std::size_t{scan.columns} * step) {}

    [[nodiscard]] std::size_t whole() const noexcept { return count + 2 * std::size_t{step}; }

    unsigned lines;  ///< of a row
    unsigned step;   ///< samples from one to its neighbour
    std::size_t count;
};

/// Two lines of each component, with a pixel before and behind.
class Lines {
public:
    explicit Lines(const Scan& scan) : layout(scan), samples_(layout.whole() * 2 * layout.lines, 0) {}

    void clear() noexcept { std::fill(samples_.begin(), samples_.end(), std::uint16_t{0}); }

    [[nodiscard]] std::uint16_t* at(unsigned component, std::uint32_t row) noexcept {
        return samples_.data() + (2 * component + (row & 1U)) * layout.whole() + layout.step;
    }

    /// Samples beyond the edges (A.2.1): before the line that is to be coded, and behind the one above.
    void frame(std::uint16_t* previous, std::uint16_t* current) const noexcept {
        std::copy_n(previous, layout.step, current - layout.step);
        std::copy_n(previous + layout.count - layout.step, layout.step, previous + layout.count);
    }

    const Layout layout;

private:
    std::vector<std::uint16_t> samples_;
};

/// 81 Q1 + 9 Q2 of each sample (A.3.3, A.3.4); `Wide` holds a difference of two samples.
template <typename Wide, std::ptrdiff_t kStep>
[[gnu::always_inline]] inline void gradients_of_line(const Parameters& p, const std::uint16_t* previous,
                                                     std::ptrdiff_t count, std::int16_t* gradients) noexcept {
    const auto near = static_cast<Wide>(p.near);
    const auto t1 = static_cast<Wide>(p.t1);
    const auto t2 = static_cast<Wide>(p.t2);
    const auto t3 = static_cast<Wide>(p.t3);
    for (std::ptrdiff_t x = 0; x < count + kStep; ++x) {
        const auto d = static_cast<Wide>(static_cast<Wide>(previous[x]) - static_cast<Wide>(previous[x - kStep]));
        const auto size = static_cast<Wide>(d < 0 ? -d : d);
        const auto level = static_cast<std::int16_t>((size > near ? 1 : 0) + (size >= t1 ? 1 : 0) +
                                                     (size >= t2 ? 1 : 0) + (size >= t3 ? 1 : 0));
        gradients[x] = static_cast<std::int16_t>(d < 0 ? -level : level);
    }
    for (std::ptrdiff_t x = 0; x < count; ++x) {
        gradients[x] = static_cast<std::int16_t>(81 * gradients[x + kStep] + 9 * gradients[x]);
    }
}

template <std::ptrdiff_t kStep>
[[gnu::always_inline]] inline void gradients_above(const Parameters& p, const std::uint16_t* previous,
                                                   std::ptrdiff_t count, std::int16_t* gradients) noexcept {
    if (p.maximum <= 0x7FFF) {
        gradients_of_line<std::int16_t, kStep>(p, previous, count, gradients);
    } else {
        gradients_of_line<std::int32_t, kStep>(p, previous, count, gradients);
    }
}

}  // namespace hilum::codec::jpeg_ls
