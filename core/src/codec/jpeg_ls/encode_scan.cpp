// SPDX-License-Identifier: Apache-2.0
// Encoding of annex A of ISO/IEC 14495-1. Without loss every sample is known before the first is coded, so contexts and
// predictions are made for a whole line; with a bound on the error they hang on what a decoder will have.
#include "encode_scan.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "context.hpp"
#include "hilum/cpu.hpp"
#include "sink.hpp"

namespace hilum::codec::jpeg_ls {
namespace {

struct State {
    State(const Scan& s, std::byte* out)
        : parameters(s.preset, s.near),
          width(static_cast<std::ptrdiff_t>(s.columns)),
          lines(s),
          contexts(lines.layout.whole()),
          predictions(lines.layout.whole()) {
        sink.at = reinterpret_cast<unsigned char*>(out);
        model.reset(parameters);
        if (s.near == 0) {
            return;
        }
        const int scale = 2 * parameters.near + 1;
        for (int error = -parameters.maximum; error <= parameters.maximum; ++error) {  // A.4.4
            const int size = (std::abs(error) + parameters.near) / scale;
            steps.push_back(error < 0 ? -size : size);
            levels.push_back(static_cast<std::int8_t>(parameters.quantise(error)));
        }
    }

    Parameters parameters;
    std::ptrdiff_t width;
    Model model;
    Lines lines;
    Sink sink;
    std::vector<std::int16_t> contexts;
    std::vector<std::uint16_t> predictions;
    std::vector<std::int32_t> steps;  ///< near-lossless: a quantised error of each difference
    std::vector<std::int8_t> levels;  ///< and its quantised gradient
};

/// 2 to 16 bits as a number with a sign (A.4.5): the difference of two samples, modulo RANGE.
template <Mode kMode>
[[gnu::always_inline]] inline int reduce(const Parameters& p, int error) noexcept {
    if constexpr (kMode == Mode::whole) {
        const unsigned unused = 32 - p.range_bits;
        return static_cast<int>(static_cast<unsigned>(error) << unused) >> unused;
    }
    const auto range = static_cast<int>(p.range);
    if (error < 0) {
        error += range;
    }
    return error >= (range + 1) / 2 ? error - range : error;
}

/// A mapped error (A.5.3), A.5.2 has been done.
[[gnu::always_inline]] inline void put_value(Sink& sink, unsigned mapped, unsigned k, unsigned escape,
                                             unsigned range_bits) noexcept {
    const unsigned zeros = mapped >> k;
    if (zeros + k < 32 && zeros < escape) [[likely]] {
        put(sink, 1U << k | (mapped & ((1U << k) - 1)), zeros + 1 + k);
        return;
    }
    if (zeros < escape) {
        put_zeros(sink, zeros);
        put(sink, mapped & ((1U << k) - 1), k);
        return;
    }
    put_zeros(sink, escape);
    put(sink, mapped - 1, range_bits);
}

/// Codes one sample; gives it as a decoder will have it.
template <Mode kMode>
[[gnu::always_inline]] inline int regular_sample(State& s, const Parameters& p, Sink& sink, int q, int predicted,
                                                 int sample) noexcept {
    const int sign = q >> 31;
    Context& context = s.model.contexts[static_cast<unsigned>((q ^ sign) - sign)];
    const int corrected = std::clamp(predicted + ((context.c ^ sign) - sign), 0, p.maximum);
    int difference = sample - corrected;
    if constexpr (kMode == Mode::general) {
        difference = s.steps[static_cast<unsigned>(difference + p.maximum)];
    }
    const int error = reduce<kMode>(p, (difference ^ sign) - sign);
    const int coded = error ^ context.flip;
    put_value(sink, static_cast<unsigned>(coded << 1 ^ coded >> 31), context.k, p.escape, p.range_bits);
    update<kMode, Bias::arithmetic>(context, error, p.reset, p.near);
    return kMode == Mode::whole ? sample : reconstruct<kMode>(p, corrected, (error ^ sign) - sign);
}

void put_run_error(State& s, const Parameters& p, Sink& sink, unsigned type, int error,
                   unsigned run_bits) noexcept {  // A.7.2
    RunContext& context = s.model.runs[type];
    const unsigned k = golomb_parameter(context.a + (context.n >> 1U) * type, context.n);
    const bool mostly_negative = 2 * context.negative >= context.n;
    const bool odd = error < 0 ? k != 0 || mostly_negative : error > 0 && k == 0 && !mostly_negative;
    const unsigned mapped = 2 * static_cast<unsigned>(std::abs(error)) - type - (odd ? 1 : 0);
    put_value(sink, mapped, k, p.limit - run_bits - 1 - p.range_bits - 1, p.range_bits);
    context.negative += error < 0 ? 1U : 0U;
    context.a += (mapped + 1 - type) >> 1U;
    if (context.n == p.reset) {
        context.a >>= 1U;
        context.n >>= 1U;
        context.negative >>= 1U;
    }
    ++context.n;
}

/// A run (A.7.1) and, unless it ends with the line, the sample behind it; gives how many samples that were.
template <Mode kMode>
[[gnu::always_inline]] inline std::ptrdiff_t code_run(State& s, const Parameters& p, Sink& sink, unsigned& index,
                                                      const std::uint16_t* previous, std::uint16_t* current,
                                                      std::ptrdiff_t left) noexcept {
    const int before = current[-1];
    std::ptrdiff_t length = 0;
    while (length < left && std::abs(int{current[length]} - before) <= p.near) {
        current[length++] = static_cast<std::uint16_t>(before);
    }
    std::ptrdiff_t rest = length;
    for (; rest >= std::ptrdiff_t{1} << kRunBits[index]; index += index < 31 ? 1U : 0U) {
        put(sink, 1, 1);
        rest -= std::ptrdiff_t{1} << kRunBits[index];
    }
    if (length == left) {
        if (rest > 0) {
            put(sink, 1, 1);
        }
        return length;
    }
    put(sink, static_cast<unsigned>(rest), kRunBits[index] + 1U);
    const int above = previous[length];
    const unsigned type = std::abs(before - above) <= p.near ? 1 : 0;
    const int predicted = type != 0 ? before : above;
    const bool negative = type == 0 && before > above;
    int difference = int{current[length]} - predicted;
    if constexpr (kMode == Mode::general) {
        difference = s.steps[static_cast<unsigned>(difference + p.maximum)];
    }
    const int error = reduce<kMode>(p, negative ? -difference : difference);
    put_run_error(s, p, sink, type, error, kRunBits[index]);
    index -= index > 0 ? 1U : 0U;
    if constexpr (kMode == Mode::general) {
        current[length] = static_cast<std::uint16_t>(reconstruct<kMode>(p, predicted, negative ? -error : error));
    }
    return length + 1;
}

/// Adds Q3, and predicts: all of a line, whose samples are known.
template <typename Wide>
[[gnu::always_inline]] inline void contexts_of_line(const Parameters& p, const std::uint16_t* previous,
                                                    const std::uint16_t* current, std::ptrdiff_t width,
                                                    std::int16_t* contexts, std::uint16_t* predictions) noexcept {
    const auto t1 = static_cast<Wide>(p.t1);
    const auto t2 = static_cast<Wide>(p.t2);
    const auto t3 = static_cast<Wide>(p.t3);
    for (std::ptrdiff_t x = 0; x < width; ++x) {
        const auto d = static_cast<Wide>(static_cast<Wide>(previous[x - 1]) - static_cast<Wide>(current[x - 1]));
        const auto size = static_cast<Wide>(d < 0 ? -d : d);
        const auto level = static_cast<std::int16_t>((size > 0 ? 1 : 0) + (size >= t1 ? 1 : 0) + (size >= t2 ? 1 : 0) +
                                                     (size >= t3 ? 1 : 0));
        contexts[x] = static_cast<std::int16_t>(contexts[x] + (d < 0 ? -level : level));
    }
    for (std::ptrdiff_t x = 0; x < width; ++x) {  // the median of A.4.1, modulo 2^16
        const std::uint16_t left = current[x - 1];
        const std::uint16_t above = previous[x];
        const std::uint16_t corner = previous[x - 1];
        const std::uint16_t low = std::min(left, above);
        const std::uint16_t high = std::max(left, above);
        const std::uint16_t inside = std::min(std::max(corner, low), high);
        predictions[x] = static_cast<std::uint16_t>(left + above - inside);
    }
}

template <Mode kMode>
[[gnu::always_inline]] inline void encode_line(State& s, unsigned component, std::uint32_t row) noexcept {
    std::uint16_t* const previous = s.lines.at(component, row + 1);
    std::uint16_t* const current = s.lines.at(component, row);
    std::int16_t* const contexts = s.contexts.data();
    const Parameters p = s.parameters;
    const std::ptrdiff_t width = s.width;
    s.lines.frame(previous, current);
    gradients_above<1>(p, previous, width, contexts);
    if constexpr (kMode == Mode::whole) {
        if (p.maximum <= 0x7FFF) {
            contexts_of_line<std::int16_t>(p, previous, current, width, contexts, s.predictions.data());
        } else {
            contexts_of_line<std::int32_t>(p, previous, current, width, contexts, s.predictions.data());
        }
    }
    Sink sink = s.sink;
    unsigned index = s.model.run_index[component];
    for (std::ptrdiff_t x = 0; x < width;) {
        int q = contexts[x];
        int predicted = 0;
        if constexpr (kMode == Mode::whole) {
            predicted = s.predictions[static_cast<std::size_t>(x)];
        } else {
            q += s.levels[static_cast<std::size_t>(previous[x - 1] - current[x - 1] + p.maximum)];
            predicted = predict(current[x - 1], previous[x], previous[x - 1]);
        }
        if (q != 0) [[likely]] {
            const int value = regular_sample<kMode>(s, p, sink, q, predicted, current[x]);
            if constexpr (kMode == Mode::general) {
                current[x] = static_cast<std::uint16_t>(value);
            }
            ++x;
            continue;
        }
        x += code_run<kMode>(s, p, sink, index, previous + x, current + x, width - x);
    }
    s.sink = sink;
    s.model.run_index[component] = index;
}

void line_whole(State& s, unsigned component, std::uint32_t row) noexcept {
    encode_line<Mode::whole>(s, component, row);
}

void line_general(State& s, unsigned component, std::uint32_t row) noexcept {
    encode_line<Mode::general>(s, component, row);
}

#if defined(__x86_64__)
[[gnu::target("avx2,bmi,bmi2,lzcnt")]] void line_whole_bmi2(State& s, unsigned component, std::uint32_t row) noexcept {
    encode_line<Mode::whole>(s, component, row);
}
#endif

using LineEncoder = void (*)(State&, unsigned, std::uint32_t) noexcept;

LineEncoder choose(bool whole) noexcept {
#if defined(__x86_64__)
    if (whole && cpu::features().avx2) {  // every processor with AVX2 has BMI2 and LZCNT
        return &line_whole_bmi2;
    }
#endif
    return whole ? &line_whole : &line_general;
}

template <typename Sample>
void load(const std::byte* samples, std::size_t count, std::size_t step, std::uint16_t* line) noexcept {
    for (std::size_t x = 0; x < count; ++x) {
        Sample sample{};
        std::memcpy(&sample, samples + x * step * sizeof(Sample), sizeof(Sample));
        line[x] = sample;
    }
}

}  // namespace

std::uint64_t scan_bound(std::uint32_t rows, std::uint64_t samples, unsigned bits) noexcept {
    return 64 + (samples * (4 * std::max(8U, bits) + 2) + 7) / 8 + std::uint64_t{rows} * 8;
}

std::size_t encode_scan(std::span<const std::byte> samples, const Scan& scan, std::byte* out) {
    State state(scan, out);
    const LineEncoder encode = choose(state.parameters.whole());
    for (std::uint32_t row = 0; row < scan.rows; ++row) {
        for (unsigned c = 0; c < scan.components; ++c) {
            const std::size_t first = (std::size_t{row} * scan.columns * scan.components + c) * scan.container;
            std::uint16_t* line = state.lines.at(c, row);
            if (scan.container == 1) {
                load<std::uint8_t>(samples.data() + first, scan.columns, scan.components, line);
            } else {
                load<std::uint16_t>(samples.data() + first, scan.columns, scan.components, line);
            }
            encode(state, c, row);
        }
    }
    state.sink = finish(state.sink);
    return static_cast<std::size_t>(state.sink.at - reinterpret_cast<unsigned char*>(out));
}

}  // namespace hilum::codec::jpeg_ls
