// SPDX-License-Identifier: Apache-2.0
// Annex A of ISO/IEC 14495-1. What does not hang on the sample before is done ahead: the two gradients of the line
// above for a whole line, Golomb parameter and sign correction of a context when it is updated.
#include "scan.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "bits.hpp"
#include "hilum/cpu.hpp"

namespace hilum::codec::jpeg_ls {
namespace {

constexpr std::array<unsigned char, 32> kRunBits{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,  2,  3,  3,  3,  3,
                                                 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15};  // J (A.7.1.1)
constexpr unsigned kBadValue = 1U << 17U;  ///< no coded error is as large

struct Context {
    std::uint32_t a = 0;
    std::int32_t b = 0;
    std::int32_t c = 0;
    std::uint16_t n = 1;
    std::uint8_t k = 0;
    std::int8_t flip = 0;  ///< -1 where the coded error is to be inverted (A.5.2)
};

struct RunContext {
    std::uint32_t a = 0;
    std::uint32_t n = 1;
    std::uint32_t negative = 0;  ///< Nn
};

/// The smallest k with n << k >= a (A.5.1).
[[gnu::always_inline]] inline unsigned golomb_parameter(std::uint32_t a, std::uint32_t n) noexcept {
    const int wanted = static_cast<int>(std::bit_width(a)) - static_cast<int>(std::bit_width(n));
    const auto k = static_cast<unsigned>(std::max(wanted, 0));
    return k + ((std::uint64_t{n} << k) < a ? 1U : 0U);
}

/// What one scan needs; all state of the decoder.
struct State {
    State(const Scan& s, std::span<const std::byte> data)
        : scan(s),
          source(reinterpret_cast<const unsigned char*>(data.data()),
                 reinterpret_cast<const unsigned char*>(data.data()) + data.size()),
          bits(source.start),
          maximum(static_cast<int>(s.preset.maximum)),
          near(static_cast<int>(s.near)),
          width(static_cast<int>(s.columns)) {
        const unsigned scale = 2 * s.near + 1;
        range = s.near == 0 ? s.preset.maximum + 1 : (s.preset.maximum + 2 * s.near) / scale + 1;
        range_bits = static_cast<unsigned>(std::bit_width(range - 1));
        const unsigned depth = std::max(2U, static_cast<unsigned>(std::bit_width(s.preset.maximum)));
        limit = 2 * (depth + std::max(8U, depth));
        escape = limit - range_bits - 1;
        quantised.resize(2 * std::size_t{s.preset.maximum} + 1);
        for (int d = -maximum; d <= maximum; ++d) {
            quantised[static_cast<std::size_t>(d + maximum)] = static_cast<std::int8_t>(quantise(d));
        }
        const std::size_t line = std::size_t{s.columns} + 2;
        lines.assign(line * 2 * s.components, 0);
        gradients.assign(line * s.components, 0);
        reset();
    }

    /// -4 to 4 (A.3.3).
    [[nodiscard]] int quantise(int d) const noexcept {
        const auto t1 = static_cast<int>(scan.preset.t1);
        const auto t2 = static_cast<int>(scan.preset.t2);
        const auto t3 = static_cast<int>(scan.preset.t3);
        const int size = std::abs(d);
        const int level = int{size > near} + int{size >= t1} + int{size >= t2} + int{size >= t3};
        return d < 0 ? -level : level;
    }

    /// Start of a scan or restart interval (A.2.1).
    void reset() noexcept {
        Context fresh;
        fresh.a = std::max(2U, (range + 32) / 64);
        fresh.k = static_cast<std::uint8_t>(golomb_parameter(fresh.a, 1));
        contexts.fill(fresh);
        runs.fill({fresh.a, 1, 0});
        run_index.fill(0);
        std::fill(lines.begin(), lines.end(), std::uint16_t{0});
    }

    [[nodiscard]] std::uint16_t* line(unsigned component, unsigned row) noexcept {
        return lines.data() + (2 * component + (row & 1U)) * (scan.columns + std::size_t{2}) + 1;
    }

    const Scan& scan;
    Source source;
    Bits bits;
    int maximum;
    int near;
    int width;
    unsigned range = 0;
    unsigned range_bits = 0;
    unsigned limit = 0;
    unsigned escape = 0;  ///< zeros that announce a value coded as it is
    std::array<Context, 365> contexts{};
    std::array<RunContext, 2> runs{};
    std::array<unsigned, 4> run_index{};
    std::vector<std::int8_t> quantised;
    std::vector<std::uint16_t> lines;
    std::vector<std::int16_t> gradients;
    bool damaged = false;
};

/// Zeros that reach past what is valid, or the escape: a value coded as it is behind `escape` zeros.
[[gnu::noinline]] std::pair<Bits, unsigned> read_slowly(Bits bits, Source& source, unsigned k, unsigned escape,
                                                        unsigned range_bits) noexcept {
    unsigned zeros = 0;
    for (;;) {
        const auto more = std::min(static_cast<unsigned>(std::countl_zero(bits.window)), bits.valid);
        zeros += more;
        if (more < bits.valid) {
            bits.window = (bits.window << more) << 1U;
            bits.valid -= more + 1;
            break;
        }
        bits.window = 0;
        bits.valid = 0;
        if (zeros > escape) {
            return {bits, kBadValue};
        }
        refill(bits, source);
    }
    unsigned value = kBadValue;
    if (zeros < escape) {
        value = (zeros << k) + take(bits, source, k);
    } else if (zeros == escape) {
        value = take(bits, source, range_bits) + 1;
    }
    return {bits, value};
}

/// A mapped error (A.5.3).
[[gnu::always_inline]] inline unsigned read_value(Bits& bits, Source& source, unsigned k, unsigned escape,
                                                  unsigned range_bits) noexcept {
    if (bits.valid < 32) {
        refill(bits, source);
    }
    const auto zeros = static_cast<unsigned>(std::countl_zero(bits.window));
    if (zeros >= escape || zeros + k >= bits.valid) [[unlikely]] {
        const auto [rest, value] = read_slowly(bits, source, k, escape, range_bits);
        bits = rest;
        return value;
    }
    const std::uint64_t tail = (bits.window << zeros) << 1U;
    bits.window = tail << k;
    bits.valid -= zeros + 1 + k;
    return (zeros << k) + static_cast<unsigned>((tail >> 1U) >> (63U - k));
}

/// What does not change during a scan, in registers.
struct Fixed {
    explicit Fixed(const State& s) noexcept
        : maximum(s.maximum),
          near(s.near),
          range(static_cast<int>(s.range)),
          escape(s.escape),
          range_bits(s.range_bits),
          reset(s.scan.preset.reset) {}
    int maximum;
    int near;
    int range;
    unsigned escape;
    unsigned range_bits;
    unsigned reset;
};

/// The modes differ in arithmetic only: `kWhole` is lossless with a range that is a power of two.
enum class Mode : std::uint8_t { whole, general };

template <Mode kMode>
[[gnu::always_inline]] inline int reconstruct(const Fixed& f, int predicted, int error) noexcept {
    if constexpr (kMode == Mode::whole) {
        return (predicted + error) & f.maximum;
    }
    const int scale = 2 * f.near + 1;
    int value = predicted + error * scale;
    if (value < -f.near) {
        value += f.range * scale;
    } else if (value > f.maximum + f.near) {
        value -= f.range * scale;
    }
    return std::clamp(value, 0, f.maximum);
}

[[gnu::always_inline]] inline int predict(int left, int above, int corner) noexcept {  // A.4.1
    const int low = std::min(left, above);
    const int high = std::max(left, above);
    const int middle = left + above - corner;
    return std::max(low, std::min(high, middle));  // median of the three
}

template <Mode kMode>
[[gnu::always_inline]] inline void update(Context& context, int error, unsigned reset, int near) noexcept {  // A.6
    std::uint32_t a = context.a + static_cast<unsigned>(std::abs(error));
    int b = context.b + (kMode == Mode::whole ? error : error * (2 * near + 1));
    unsigned n = context.n;
    const unsigned half = n == reset ? 1 : 0;
    a >>= half;
    b >>= half;
    n = (n >> half) + 1;
    // Without branches: which way a bias goes cannot be guessed.
    const auto count = static_cast<int>(n);
    const int over = b > 0 ? 1 : 0;
    const int under = b <= -count ? 1 : 0;
    context.c = std::clamp(context.c + over - under, -128, 127);
    b = std::clamp(b + (under != 0 ? count : 0) - (over != 0 ? count : 0), 1 - count, 0);
    const unsigned k = golomb_parameter(a, n);
    context.a = a;
    context.b = b;
    context.n = static_cast<std::uint16_t>(n);
    context.k = static_cast<std::uint8_t>(k);
    context.flip = static_cast<std::int8_t>(k == 0 && near == 0 && 2 * b + count - 1 < 0 ? -1 : 0);
}

template <Mode kMode>
[[gnu::always_inline]] inline int regular_sample(State& s, const Fixed& f, Bits& bits, int q, int predicted) noexcept {
    const int sign = q >> 31;
    Context& context = s.contexts[static_cast<unsigned>((q ^ sign) - sign)];
    const int corrected = std::clamp(predicted + ((context.c ^ sign) - sign), 0, f.maximum);
    const unsigned mapped = read_value(bits, s.source, context.k, f.escape, f.range_bits);
    if (mapped >= kBadValue) [[unlikely]] {
        s.damaged = true;
        return 0;
    }
    const int error = (static_cast<int>(mapped >> 1U) ^ -static_cast<int>(mapped & 1U)) ^ context.flip;
    const int value = reconstruct<kMode>(f, corrected, (error ^ sign) - sign);
    update<kMode>(context, error, f.reset, f.near);
    return value;
}

int run_error(State& s, unsigned type, unsigned run_bits) noexcept {  // A.7.2
    RunContext& context = s.runs[type];
    const std::uint32_t spread = context.a + (context.n >> 1U) * type;
    const unsigned k = golomb_parameter(spread, context.n);
    const unsigned mapped = read_value(s.bits, s.source, k, s.limit - run_bits - 1 - s.range_bits - 1, s.range_bits);
    if (mapped >= kBadValue) {
        s.damaged = true;
        return 0;
    }
    const unsigned value = mapped + type;
    const bool odd = (value & 1U) != 0;
    const auto size = static_cast<int>((value + 1) / 2);
    const int error = (k != 0 || 2 * context.negative >= context.n) == odd ? -size : size;
    context.negative += error < 0 ? 1U : 0U;
    context.a += (mapped + 1 - type) >> 1U;
    if (context.n == s.scan.preset.reset) {
        context.a >>= 1U;
        context.n >>= 1U;
        context.negative >>= 1U;
    }
    ++context.n;
    return error;
}

/// Length of a run (A.7.1); `left` is what the line still has.
int read_run(State& s, unsigned& index, int left) noexcept {
    int length = 0;
    while (take(s.bits, s.source, 1) != 0) {
        const int full = 1 << kRunBits[index];
        const int count = std::min(full, left - length);
        length += count;
        if (count == full && index < 31) {
            ++index;
        }
        if (length == left) {
            return length;
        }
    }
    length += static_cast<int>(take(s.bits, s.source, kRunBits[index]));
    if (length > left) {
        s.damaged = true;
        return left;
    }
    return length;
}

/// Copies of the line above's edges, and the gradients that only it decides.
template <Mode kMode>
[[gnu::always_inline]] inline void prepare_line(const State& s, std::uint16_t* previous, std::uint16_t* current,
                                                std::int16_t* gradients) noexcept {
    current[-1] = previous[0];
    previous[s.width] = previous[s.width - 1];
    const auto t1 = static_cast<int>(s.scan.preset.t1);
    const auto t2 = static_cast<int>(s.scan.preset.t2);
    const auto t3 = static_cast<int>(s.scan.preset.t3);
    for (int x = -1; x < s.width; ++x) {
        const int d = int{previous[x + 1]} - int{previous[x]};
        const int up = int{d > s.near} + int{d >= t1} + int{d >= t2} + int{d >= t3};
        const int down = int{d < -s.near} + int{d <= -t1} + int{d <= -t2} + int{d <= -t3};
        gradients[x + 1] = static_cast<std::int16_t>(up - down);
    }
    for (int x = 0; x < s.width; ++x) {
        gradients[x] = static_cast<std::int16_t>(81 * gradients[x + 1] + 9 * gradients[x]);
    }
}

template <Mode kMode>
[[gnu::always_inline]] inline void decode_line(State& s, unsigned component, unsigned row) noexcept {
    std::uint16_t* previous = s.line(component, row + 1);
    std::uint16_t* current = s.line(component, row);
    std::int16_t* gradients = s.gradients.data() + component * (s.scan.columns + std::size_t{2});
    prepare_line<kMode>(s, previous, current, gradients);
    const Fixed f(s);
    const std::int8_t* quantised = s.quantised.data() + s.maximum;
    Bits bits = s.bits;  // in registers while no run is read
    int left = current[-1];
    int corner = previous[-1];
    for (int x = 0; x < s.width;) {
        const int above = previous[x];
        const int q = gradients[x] + quantised[corner - left];
        if (q != 0) [[likely]] {
            left = regular_sample<kMode>(s, f, bits, q, predict(left, above, corner));
            current[x] = static_cast<std::uint16_t>(left);
            corner = above;
            ++x;
            continue;
        }
        s.bits = bits;
        unsigned& index = s.run_index[component];
        const int length = read_run(s, index, s.width - x);
        std::fill_n(current + x, length, static_cast<std::uint16_t>(left));
        x += length;
        if (x < s.width) {
            const int b = previous[x];
            if (std::abs(left - b) <= s.near) {
                left = reconstruct<kMode>(f, left, run_error(s, 1, kRunBits[index]));
            } else {
                const int error = run_error(s, 0, kRunBits[index]);
                left = reconstruct<kMode>(f, b, b < left ? -error : error);
            }
            current[x] = static_cast<std::uint16_t>(left);
            corner = b;
            index -= index > 0 ? 1U : 0U;
            ++x;
        }
        bits = s.bits;
        if (s.damaged) [[unlikely]] {
            return;
        }
    }
    s.bits = bits;
}

template <Mode kMode>
[[gnu::always_inline]] inline void decode_sample_line(State& s, unsigned row) noexcept {
    const unsigned components = s.scan.components;
    std::array<std::uint16_t*, 4> previous{};
    std::array<std::uint16_t*, 4> current{};
    std::array<std::int16_t*, 4> gradients{};
    for (unsigned c = 0; c < components; ++c) {
        previous[c] = s.line(c, row + 1);
        current[c] = s.line(c, row);
        gradients[c] = s.gradients.data() + c * (s.scan.columns + std::size_t{2});
        prepare_line<kMode>(s, previous[c], current[c], gradients[c]);
    }
    const Fixed f(s);
    const std::int8_t* quantised = s.quantised.data() + s.maximum;
    unsigned& index = s.run_index[0];
    for (int x = 0; x < s.width && !s.damaged;) {
        std::array<int, 4> q{};
        int any = 0;
        for (unsigned c = 0; c < components; ++c) {
            q[c] = gradients[c][x] + quantised[int{previous[c][x - 1]} - int{current[c][x - 1]}];
            any |= q[c];
        }
        if (any != 0) {
            for (unsigned c = 0; c < components; ++c) {
                const int predicted = predict(current[c][x - 1], previous[c][x], previous[c][x - 1]);
                current[c][x] = static_cast<std::uint16_t>(regular_sample<kMode>(s, f, s.bits, q[c], predicted));
            }
            ++x;
            continue;
        }
        const int length = read_run(s, index, s.width - x);
        for (unsigned c = 0; c < components; ++c) {
            std::fill_n(current[c] + x, length, current[c][x - 1]);
        }
        x += length;
        if (x < s.width) {
            for (unsigned c = 0; c < components; ++c) {
                const int b = previous[c][x];
                const int error = run_error(s, 0, kRunBits[index]);
                const int value = reconstruct<kMode>(f, b, b < current[c][x - 1] ? -error : error);
                current[c][x] = static_cast<std::uint16_t>(value);
            }
            index -= index > 0 ? 1U : 0U;
            ++x;
        }
    }
}

template <typename Sample>
void store(const std::uint16_t* line, int width, std::size_t step, std::byte* out) noexcept {
    if (step == 1) {
        for (int x = 0; x < width; ++x) {
            const auto sample = static_cast<Sample>(line[x]);
            std::memcpy(out + static_cast<std::size_t>(x) * sizeof(Sample), &sample, sizeof(Sample));
        }
        return;
    }
    for (int x = 0; x < width; ++x) {
        const auto sample = static_cast<Sample>(line[x]);
        std::memcpy(out + static_cast<std::size_t>(x) * step * sizeof(Sample), &sample, sizeof(Sample));
    }
}

void store_row(State& s, std::uint32_t row) noexcept {
    for (unsigned c = 0; c < s.scan.components; ++c) {
        const std::size_t first = (std::size_t{row} * s.scan.columns * s.scan.step + c) * s.scan.container;
        const std::uint16_t* line = s.line(c, row);
        if (s.scan.container == 1) {
            store<std::uint8_t>(line, s.width, s.scan.step, s.scan.out + first);
        } else if (s.scan.container == 2) {
            store<std::uint16_t>(line, s.width, s.scan.step, s.scan.out + first);
        } else {
            store<std::uint32_t>(line, s.width, s.scan.step, s.scan.out + first);
        }
    }
}

template <Mode kMode>
[[gnu::always_inline]] inline void decode_row(State& s, std::uint32_t row) noexcept {
    if (s.scan.interleave == Interleave::sample && s.scan.components > 1) {
        decode_sample_line<kMode>(s, row);
        return;
    }
    for (unsigned c = 0; c < s.scan.components && !s.damaged; ++c) {
        decode_line<kMode>(s, c, row);
    }
}

void row_whole(State& s, std::uint32_t row) noexcept {
    decode_row<Mode::whole>(s, row);
}

void row_general(State& s, std::uint32_t row) noexcept {
    decode_row<Mode::general>(s, row);
}

#if defined(__x86_64__)
[[gnu::target("bmi,bmi2,lzcnt")]] void row_whole_bmi2(State& s, std::uint32_t row) noexcept {
    decode_row<Mode::whole>(s, row);
}

[[gnu::target("bmi,bmi2,lzcnt")]] void row_general_bmi2(State& s, std::uint32_t row) noexcept {
    decode_row<Mode::general>(s, row);
}
#endif

using RowDecoder = void (*)(State&, std::uint32_t) noexcept;

RowDecoder choose(bool whole) noexcept {
#if defined(__x86_64__)
    if (cpu::features().avx2) {  // every processor with AVX2 has BMI2 and LZCNT
        return whole ? &row_whole_bmi2 : &row_general_bmi2;
    }
#endif
    return whole ? &row_whole : &row_general;
}

/// The marker RSTm behind `at` (fill bytes may stand before it); nullptr when there is none.
const unsigned char* behind_restart(const unsigned char* at, const unsigned char* end, unsigned number) noexcept {
    while (at + 1 < end && at[0] == 0xFF && at[1] == 0xFF) {
        ++at;
    }
    return at + 1 < end && at[0] == 0xFF && at[1] == 0xD0 + number % 8 ? at + 2 : nullptr;
}

}  // namespace

bool complete(Preset& p, unsigned precision, unsigned near) noexcept {
    const unsigned highest = (1U << precision) - 1;
    if (p.maximum == 0) {
        p.maximum = highest;
    }
    if (p.maximum > highest || near > std::min(255U, p.maximum / 2)) {
        return false;
    }
    const unsigned m = p.maximum;
    const auto pick = [m](unsigned value, unsigned least) { return value > m || value < least ? least : value; };
    const unsigned factor = m >= 128 ? (std::min(m, 4095U) + 128) / 256 : 256 / (m + 1);
    const auto scaled = [&](unsigned basic, unsigned floor, unsigned weight) {
        return m >= 128 ? factor * (basic - floor) + floor + weight * near
                        : std::max(floor, basic / factor + weight * near);
    };
    const unsigned t1 = p.t1 != 0 ? p.t1 : pick(scaled(3, 2, 3), near + 1);
    const unsigned t2 = p.t2 != 0 ? p.t2 : pick(scaled(7, 3, 5), t1);
    const unsigned t3 = p.t3 != 0 ? p.t3 : pick(scaled(21, 4, 7), t2);
    const unsigned reset = p.reset != 0 ? p.reset : 64;
    p = {m, t1, t2, t3, reset};
    return t1 > near && t1 <= t2 && t2 <= t3 && t3 <= m && reset >= 3 && reset <= std::max(255U, m);
}

Result decode_scan(std::span<const std::byte> data, const Scan& scan) {
    const bool whole = scan.near == 0 && (scan.preset.maximum & (scan.preset.maximum + 1)) == 0;
    const RowDecoder decode = choose(whole);
    const auto state = std::make_unique<State>(scan, data);
    State& s = *state;
    const auto* const begin = reinterpret_cast<const unsigned char*>(data.data());
    const auto* const end = begin + data.size();
    const auto read = [&] { return static_cast<std::size_t>(s.bits.at - begin); };
    for (std::uint32_t row = 0; row < scan.rows; ++row) {
        if (scan.restart_rows != 0 && row != 0 && row % scan.restart_rows == 0) {
            const unsigned char* next = behind_restart(s.bits.at, end, row / scan.restart_rows - 1);
            if (next == nullptr) {
                return {Outcome::no_restart, read()};
            }
            s.source = Source(next, end);
            s.bits = s.source.start;
            s.reset();
        }
        decode(s, row);
        if (s.source.overrun(s.bits)) {
            return {Outcome::ended, read()};
        }
        if (s.damaged) {
            return {Outcome::damaged, read()};
        }
        store_row(s, row);
    }
    return {Outcome::good, read()};
}

}  // namespace hilum::codec::jpeg_ls
