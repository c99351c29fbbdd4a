// SPDX-License-Identifier: Apache-2.0
// Input: rows (1-64; above 127 with a greatest difference of 1 or 2 where the syntax has one), columns (1-64), layout,
// bits stored, encoder, then samples. What is encoded without loss decodes to the same values, else within the
// difference.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "hilum/codec/encode.hpp"
#include "hilum/codec/registry.hpp"
#include "hilum/error.hpp"

namespace {

/// Whether samples, unsigned, of 8 or 16 bits differ by no more than `most`.
bool within(const std::vector<std::byte>& decoded, const std::vector<std::byte>& expected,
            const hilum::codec::PixelDescription& d, int most) {
    const std::size_t size = d.bits_allocated / 8U;
    for (std::size_t at = 0; at < decoded.size(); at += size) {
        std::uint16_t one = 0;
        std::uint16_t other = 0;
        std::memcpy(&one, decoded.data() + at, size);
        std::memcpy(&other, expected.data() + at, size);
        if (std::abs(int{one} - int{other}) > most) {
            return false;
        }
    }
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 6) {
        return 0;
    }
    namespace codec = hilum::codec;
    codec::PixelDescription d;
    d.rows = 1U + data[0] % 64U;
    d.columns = 1U + data[1] % 64U;
    constexpr std::uint16_t kBits[4] = {1, 8, 16, 32};
    d.bits_allocated = kBits[data[2] % 4];
    d.samples_per_pixel = d.bits_allocated > 1 && (data[2] & 4U) != 0 ? 3 : 1;
    d.photometric = d.samples_per_pixel == 3 ? codec::Photometric::rgb : codec::Photometric::monochrome2;
    d.pixel_representation = (data[2] & 8U) != 0 ? 1 : 0;
    d.bits_stored = static_cast<std::uint16_t>(1 + data[3] % d.bits_allocated);
    d.high_bit = static_cast<std::uint16_t>(d.bits_stored - 1);
    const auto all = codec::encoded_syntaxes();
    const codec::EncodedSyntax& syntax = all[data[4] % all.size()];
    codec::EncodeOptions options;
    options.near = syntax.uid == "1.2.840.10008.1.2.4.81" && data[0] > 127 ? 1 + data[0] % 2 : 0;
    std::vector<std::byte> samples(codec::frame_bytes(d));
    for (std::size_t i = 0; i < samples.size(); ++i) {
        samples[i] = static_cast<std::byte>(data[5 + i % (size - 5)]);
        if (d.bits_allocated == 1) {
            samples[i] &= std::byte{1};
        }
    }
    std::vector<std::byte> encoded;
    try {
        syntax.encoder->check(d, options);
        encoded.resize(syntax.encoder->bound(d));
        encoded.resize(codec::encode_frame(samples, *syntax.encoder, d, options, encoded));
    } catch (const hilum::Error&) {
        return 0;
    }
    if (syntax.uid == "1.2.840.10008.1.2.4.50" || codec::find_syntax(syntax.uid) == nullptr) {
        return 0;
    }
    // With the stored bits alone, as decoders give them.
    std::vector<std::byte> expected = samples;
    codec::extract_stored(expected, d);
    std::vector<std::byte> decoded(samples.size());
    const std::span<const std::byte> fragment(encoded);
    codec::decode_frame({{&fragment, 1}, 0}, codec::require_syntax(syntax.uid), d, decoded);
    if (options.near != 0) {
        if (!within(decoded, samples, d, options.near)) {
            std::abort();
        }
        return 0;
    }
    codec::extract_stored(decoded, d);
    if (decoded != expected) {
        std::abort();
    }
    return 0;
}
