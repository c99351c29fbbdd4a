// SPDX-License-Identifier: Apache-2.0
// Pictures and decoding, for the tests of JPEG 2000 and HTJ2K.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "hilum/codec/jpeg2000.hpp"
#include "j2k_encoder.hpp"

namespace hilum::test {

using Bytes = std::vector<std::byte>;

inline codec::PixelDescription describe(const Picture& p) {
    codec::PixelDescription d;
    d.rows = p.rows;
    d.columns = p.columns;
    d.samples_per_pixel = static_cast<std::uint16_t>(p.components);
    d.bits_allocated = p.precision > 16 ? 32 : (p.precision > 8 ? 16 : 8);
    d.bits_stored = static_cast<std::uint16_t>(p.precision);
    d.high_bit = static_cast<std::uint16_t>(p.precision - 1);
    d.pixel_representation = p.is_signed ? 1 : 0;
    return d;
}

inline Bytes decode(const codec::Codec& codec, const Bytes& data, const codec::PixelDescription& d) {
    Bytes out(codec::frame_bytes(d), std::byte{0xA5});
    codec.decode(data, d, codec.probe(data, d), out);
    return out;
}

inline Bytes decode_reduced(const Bytes& data, const codec::PixelDescription& d,
                            const codec::jpeg2000::Options& options) {
    auto [rows, columns] = codec::jpeg2000::reduced_size(data, options.discard_levels);
    if (options.region) {
        rows = options.region->rows;
        columns = options.region->columns;
    }
    Bytes out(std::size_t{rows} * columns * d.samples_per_pixel * (d.bits_allocated / 8), std::byte{0xA5});
    codec::jpeg2000::decode_with(data, d, codec::jpeg2000::kHilum.probe(data, d), options, out);
    return out;
}

inline Picture picture(std::uint32_t rows, std::uint32_t columns, unsigned components, unsigned precision,
                       bool is_signed, unsigned kind, unsigned seed) {
    Picture p;
    p.rows = rows;
    p.columns = columns;
    p.components = components;
    p.precision = precision;
    p.is_signed = is_signed;
    std::mt19937 random(seed);
    const auto full = static_cast<std::int64_t>((std::uint64_t{1} << precision) - 1);
    const std::int64_t half = is_signed ? std::int64_t{1} << (precision - 1) : 0;
    for (unsigned c = 0; c < components; ++c) {
        for (std::uint32_t y = 0; y < rows; ++y) {
            for (std::uint32_t x = 0; x < columns; ++x) {
                std::int64_t v = 0;
                if (kind == 0) {  // smooth with noise
                    const std::int64_t noise = static_cast<std::int64_t>(random() % 1024) * full / 16384;
                    v = full * ((x * 3 + y * 5 + c * 40) % 256) / 256 * 15 / 16 + noise;
                } else if (kind == 1) {  // mostly empty
                    v = y > rows / 3 && y < rows / 2 && x > columns / 3 ? full : 0;
                } else if (kind == 2) {  // noise
                    v = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(full + 1));
                } else {
                    v = full / 3;
                }
                p.samples.push_back(static_cast<std::int32_t>(std::clamp<std::int64_t>(v, 0, full) - half));
            }
        }
    }
    return p;
}

struct Chooser {
    std::mt19937 random;

    template <typename Value>
    Value of(std::initializer_list<Value> values) {
        return values.begin()[random() % values.size()];
    }
    bool one_in(unsigned n) { return random() % n == 0; }
};

/// Samples as decoders give them.
inline Bytes interleaved(const Picture& p) {
    const std::size_t container = describe(p).bits_allocated / 8U;
    const std::size_t pixels = std::size_t{p.rows} * p.columns;
    Bytes out(pixels * p.components * container);
    for (std::size_t i = 0; i < pixels; ++i) {
        for (std::size_t c = 0; c < p.components; ++c) {
            std::memcpy(out.data() + (i * p.components + c) * container, &p.samples[c * pixels + i], container);
        }
    }
    return out;
}

}  // namespace hilum::test
