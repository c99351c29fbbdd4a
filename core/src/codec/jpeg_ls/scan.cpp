// SPDX-License-Identifier: Apache-2.0
// Decoding of annex A of ISO/IEC 14495-1. What does not hang on the sample before is done ahead: the gradients of the
// line above for a whole line, Golomb parameter and sign correction of a context when it is updated.
#include "scan.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "bits.hpp"
#include "context.hpp"
#include "hilum/cpu.hpp"

namespace hilum::codec::jpeg_ls {
namespace {

/// What one scan needs; all state of the decoder.
struct State {
    State(const Scan& s, std::span<const std::byte> data)
        : scan(s),
          parameters(s.preset, s.near),
          source(reinterpret_cast<const unsigned char*>(data.data()),
                 reinterpret_cast<const unsigned char*>(data.data()) + data.size()),
          bits(source.start),
          width(static_cast<std::ptrdiff_t>(s.columns)),
          lines(s) {
        quantised.resize(2 * std::size_t{s.preset.maximum} + 1);
        for (int d = -parameters.maximum; d <= parameters.maximum; ++d) {
            quantised[static_cast<std::size_t>(d + parameters.maximum)] =
                static_cast<std::int8_t>(parameters.quantise(d));
        }
        gradients.assign(lines.layout.whole() * lines.layout.lines, 0);
        model.reset(parameters);
    }

    [[nodiscard]] std::int16_t* gradients_of(unsigned component) noexcept {
        return gradients.data() + component * lines.layout.whole();
    }

    const Scan& scan;
    Parameters parameters;
    Source source;
    Bits bits;
    std::ptrdiff_t width;
    Model model;
    Lines lines;
    std::vector<std::int8_t> quantised;
    std::vector<std::int16_t> gradients;
};

struct Read {
    Bits bits;
    unsigned value;
};

/// Zeros that reach past what is valid, or the escape: a value coded as it is behind `escape` zeros.
[[gnu::noinline]] Read read_slowly(Bits bits, Source& source, unsigned k, unsigned escape,
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
            break;
        }
        refill(bits, source);
    }
    if (zeros < escape) {
        const unsigned value = (zeros << k) + take(bits, source, k);
        return {bits, value};
    }
    if (zeros == escape) {
        const unsigned value = take(bits, source, range_bits) + 1;
        return {bits, value};
    }
    source.damaged = true;
    return {bits, 0};
}

/// A mapped error (A.5.3).
[[gnu::always_inline]] inline unsigned read_value(Bits& bits, Source& source, unsigned k, unsigned escape,
                                                  unsigned range_bits) noexcept {
    if (bits.valid < 32) {  // more often costs more than it saves: what was read is in the way of what is read next
        refill(bits, source);
    }
    const auto zeros = static_cast<unsigned>(std::countl_zero(bits.window));
    if (zeros >= escape || zeros + k >= bits.valid) [[unlikely]] {
        const Read read = read_slowly(bits, source, k, escape, range_bits);
        bits = read.bits;
        return read.value;
    }
    const std::uint64_t tail = (bits.window << zeros) << 1U;
    bits.window = tail << k;
    bits.valid -= zeros + 1 + k;
    return (zeros << k) + static_cast<unsigned>((tail >> 1U) >> (~k & 63U));
}

template <Mode kMode, Bias kBias>
[[gnu::always_inline]] inline int regular_sample(Context* contexts, Source& source, const Parameters& p, Bits& bits,
                                                 int q, int predicted) noexcept {
    const int sign = q >> 31;
    Context& context = contexts[static_cast<std::size_t>(static_cast<unsigned>((q ^ sign) - sign))];
    const int corrected = std::clamp(predicted + ((context.c ^ sign) - sign), 0, p.maximum);
    const int flip = context.flip ^ sign;
    const unsigned mapped = read_value(bits, source, context.k, p.escape, p.range_bits);
    const int signed_error = static_cast<int>(mapped >> 1U) ^ -static_cast<int>(mapped & 1U) ^ flip;
    const int value = reconstruct<kMode>(p, corrected, signed_error - sign);
    update<kMode, kBias>(context, signed_error ^ sign, p.reset, p.near);
    return value;
}

[[gnu::always_inline]] inline int run_error(State& s, const Parameters& p, Bits& bits, unsigned type,
                                            unsigned run_bits) noexcept {  // A.7.2
    RunContext& context = s.model.runs[type];
    const std::uint32_t spread = context.a + (context.n >> 1U) * type;
    const unsigned k = golomb_parameter(spread, context.n);
    const unsigned mapped = read_value(bits, s.source, k, p.limit - run_bits - 1 - p.range_bits - 1, p.range_bits);
    const unsigned value = mapped + type;
    const bool odd = (value & 1U) != 0;
    const auto size = static_cast<int>((value + 1) / 2);
    const int error = (k != 0 || 2 * context.negative >= context.n) == odd ? -size : size;
    context.negative += error < 0 ? 1U : 0U;
    context.a += (mapped + 1 - type) >> 1U;
    if (context.n == p.reset) {
        context.a >>= 1U;
        context.n >>= 1U;
        context.negative >>= 1U;
    }
    ++context.n;
    return error;
}

/// Length of a run (A.7.1); `left` is what the line still has.
[[gnu::always_inline]] inline std::ptrdiff_t read_run(Source& source, Bits& bits, unsigned& index,
                                                      std::ptrdiff_t left) noexcept {
    std::ptrdiff_t length = 0;
    for (;;) {
        refill(bits, source);
        auto ones = std::min(static_cast<unsigned>(std::countl_one(bits.window)), 40U);
        const unsigned seen = ones;
        for (; ones != 0; --ones) {
            const std::ptrdiff_t full = std::ptrdiff_t{1} << kRunBits[index];
            const std::ptrdiff_t count = std::min(full, left - length);
            length += count;
            if (count == full && index < 31) {
                ++index;
            }
            if (length == left) {
                drop(bits, seen - ones + 1);
                return length;
            }
        }
        drop(bits, seen);
        if (seen < 40U) {
            break;
        }
    }
    drop(bits, 1);
    length += static_cast<std::ptrdiff_t>(take(bits, source, kRunBits[index]));
    if (length > left) {
        source.damaged = true;
        return left;
    }
    return length;
}

template <Mode kMode>
[[gnu::always_inline]] inline void decode_line(State& s, unsigned component, std::uint32_t row) noexcept {
    std::uint16_t* const previous = s.lines.at(component, row + 1);
    std::uint16_t* const current = s.lines.at(component, row);
    const std::int16_t* const gradients = s.gradients_of(component);
    s.lines.frame(previous, current);
    gradients_above<1>(s.parameters, previous, s.width, s.gradients_of(component));
    const Parameters p = s.parameters;
    const std::int8_t* const quantised = s.quantised.data() + p.maximum;
    Context* const contexts = s.model.contexts.data();
    Bits bits = s.bits;
    unsigned index = s.model.run_index[component];
    int left = current[-1];
    int corner = previous[-1];
    const std::ptrdiff_t width = s.width;
    for (std::ptrdiff_t x = 0; x < width;) {
        const int above = previous[x];
        const int q = gradients[x] + quantised[std::ptrdiff_t{corner} - left];
        if (q != 0) [[likely]] {
            left =
                regular_sample<kMode, Bias::arithmetic>(contexts, s.source, p, bits, q, predict(left, above, corner));
            current[x] = static_cast<std::uint16_t>(left);
            corner = above;
            ++x;
            continue;
        }
        const std::ptrdiff_t length = read_run(s.source, bits, index, width - x);
        std::fill_n(current + x, length, static_cast<std::uint16_t>(left));
        x += length;
        if (x < width) {
            const int b = previous[x];
            if (std::abs(left - b) <= p.near) {
                left = reconstruct<kMode>(p, left, run_error(s, p, bits, 1, kRunBits[index]));
            } else {
                const int error = run_error(s, p, bits, 0, kRunBits[index]);
                left = reconstruct<kMode>(p, b, b < left ? -error : error);
            }
            current[x] = static_cast<std::uint16_t>(left);
            corner = b;
            index -= index > 0 ? 1U : 0U;
            ++x;
        }
    }
    s.bits = bits;
    s.model.run_index[component] = index;
}

/// The pixel before `at`, again and again.
template <std::size_t kComponents>
[[gnu::always_inline]] inline void repeat_pixel(std::uint16_t* at, std::ptrdiff_t count) noexcept {
    constexpr std::size_t kPixels = 8;
    std::array<std::uint16_t, kPixels * kComponents> pattern;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        pattern[i] = (at - kComponents)[i % kComponents];
    }
    for (; count >= std::ptrdiff_t{kPixels}; count -= std::ptrdiff_t{kPixels}, at += pattern.size()) {
        std::memcpy(at, pattern.data(), sizeof(pattern));
    }
    std::copy_n(pattern.data(), static_cast<std::size_t>(count) * kComponents, at);
}

template <Mode kMode, std::size_t kComponents>
[[gnu::always_inline]] inline void decode_sample_line(State& s, std::uint32_t row) noexcept {
    std::uint16_t* const previous = s.lines.at(0, row + 1);
    std::uint16_t* const current = s.lines.at(0, row);
    std::int16_t* const gradients = s.gradients_of(0);
    s.lines.frame(previous, current);
    constexpr auto kStep = static_cast<std::ptrdiff_t>(kComponents);
    const std::ptrdiff_t samples = s.width * kStep;
    gradients_above<kStep>(s.parameters, previous, samples, gradients);
    const Parameters p = s.parameters;
    const std::int8_t* const quantised = s.quantised.data() + p.maximum;
    Context* const contexts = s.model.contexts.data();
    Bits bits = s.bits;
    unsigned index = s.model.run_index[0];
    for (std::ptrdiff_t x = 0; x < samples;) {
        const std::uint16_t* const above = previous + x;
        const std::uint16_t* const corner = above - kStep;
        std::uint16_t* const here = current + x;
        const std::uint16_t* const left = here - kStep;
        std::array<int, kComponents> q{};
        int any = 0;
        for (std::size_t c = 0; c < kComponents; ++c) {
            q[c] = (gradients + x)[c] + quantised[std::ptrdiff_t{corner[c]} - std::ptrdiff_t{left[c]}];
            any |= q[c];
        }
        if (any != 0) [[likely]] {
#pragma GCC unroll 4
            for (std::size_t c = 0; c < kComponents; ++c) {
                const int value = regular_sample<kMode, Bias::branches>(contexts, s.source, p, bits, q[c],
                                                                        predict(left[c], above[c], corner[c]));
                here[c] = static_cast<std::uint16_t>(value);
            }
            x += kStep;
            continue;
        }
        const std::ptrdiff_t length = read_run(s.source, bits, index, (samples - x) / kStep);
        repeat_pixel<kComponents>(here, length);
        x += length * kStep;
        if (x < samples) {
            for (std::ptrdiff_t i = x; i < x + kStep; ++i) {
                const int b = previous[i];
                const int error = run_error(s, p, bits, 0, kRunBits[index]);
                const int value = reconstruct<kMode>(p, b, b < current[i - kStep] ? -error : error);
                current[i] = static_cast<std::uint16_t>(value);
            }
            index -= index > 0 ? 1U : 0U;
            x += kStep;
        }
    }
    s.bits = bits;
    s.model.run_index[0] = index;
}

template <typename Sample>
void store(const std::uint16_t* line, int count, std::size_t step, std::byte* out) noexcept {
    if (step == 1) {
        for (int x = 0; x < count; ++x) {
            const auto sample = static_cast<Sample>(line[x]);
            std::memcpy(out + static_cast<std::size_t>(x) * sizeof(Sample), &sample, sizeof(Sample));
        }
        return;
    }
    for (int x = 0; x < count; ++x) {
        const auto sample = static_cast<Sample>(line[x]);
        std::memcpy(out + static_cast<std::size_t>(x) * step * sizeof(Sample), &sample, sizeof(Sample));
    }
}

/// From the lines to the caller's samples; those of a pixel lie beside each other there.
void store_row(State& s, std::uint32_t row) noexcept {
    const Layout& l = s.lines.layout;
    const std::size_t step = s.scan.step / l.step;
    for (unsigned c = 0; c < l.lines; ++c) {
        const std::size_t first = (std::size_t{row} * s.scan.columns * s.scan.step + c) * s.scan.container;
        const std::uint16_t* line = s.lines.at(c, row);
        const auto count = static_cast<int>(l.count);
        if (s.scan.container == 1) {
            store<std::uint8_t>(line, count, step, s.scan.out + first);
        } else if (s.scan.container == 2) {
            store<std::uint16_t>(line, count, step, s.scan.out + first);
        } else {
            store<std::uint32_t>(line, count, step, s.scan.out + first);
        }
    }
}

template <Mode kMode>
[[gnu::always_inline]] inline void decode_row(State& s, std::uint32_t row) noexcept {
    if (s.scan.interleave == Interleave::sample && s.scan.components > 1) {
        switch (s.scan.components) {
            case 2:
                return decode_sample_line<kMode, 2>(s, row);
            case 3:
                return decode_sample_line<kMode, 3>(s, row);
            default:
                return decode_sample_line<kMode, 4>(s, row);
        }
    }
    for (unsigned c = 0; c < s.scan.components; ++c) {
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
[[gnu::target("avx2,bmi,bmi2,lzcnt")]] void row_whole_bmi2(State& s, std::uint32_t row) noexcept {
    decode_row<Mode::whole>(s, row);
}

[[gnu::target("avx2,bmi,bmi2,lzcnt")]] void row_general_bmi2(State& s, std::uint32_t row) noexcept {
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
    const auto state = std::make_unique<State>(scan, data);
    State& s = *state;
    const RowDecoder decode = choose(s.parameters.whole());
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
            s.model.reset(s.parameters);
            s.lines.clear();
        }
        decode(s, row);
        if (s.source.overrun(s.bits)) {
            return {Outcome::ended, read()};
        }
        if (s.source.damaged) {
            return {Outcome::damaged, read()};
        }
        store_row(s, row);
    }
    return {Outcome::good, read()};
}

}  // namespace hilum::codec::jpeg_ls
