// SPDX-License-Identifier: Apache-2.0
// Every encoder of the core: what goes in without loss comes out, of all depths and many shapes; JPEG-LS to the bytes
// of the standard's example.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "check.hpp"
#include "hilum/codec/encode.hpp"
#include "hilum/codec/registry.hpp"
#include "hilum/error.hpp"

namespace {

using Bytes = std::vector<std::byte>;
namespace codec = hilum::codec;

constexpr std::string_view kJpeg = "1.2.840.10008.1.2.4.50";
constexpr std::string_view kJpegLs = "1.2.840.10008.1.2.4.80";
constexpr std::string_view kJpegLsNear = "1.2.840.10008.1.2.4.81";

codec::PixelDescription description(std::uint32_t rows, std::uint32_t columns, unsigned samples, unsigned stored) {
    codec::PixelDescription d;
    d.rows = rows;
    d.columns = columns;
    d.samples_per_pixel = static_cast<std::uint16_t>(samples);
    d.bits_allocated = stored == 1 ? 1 : stored <= 8 ? 8 : 16;
    d.bits_stored = static_cast<std::uint16_t>(stored);
    d.high_bit = static_cast<std::uint16_t>(stored - 1);
    d.photometric = samples == 3 ? codec::Photometric::rgb : codec::Photometric::monochrome2;
    return d;
}

/// Noise, flat areas, slopes and single samples, by turns of rows.
Bytes picture(const codec::PixelDescription& d, std::uint32_t seed) {
    std::mt19937 random(seed);
    const std::size_t size = d.bits_allocated == 16 ? 2 : 1;
    Bytes bytes(codec::frame_bytes(d));
    const std::uint32_t maximum = (1U << d.bits_stored) - 1;
    const std::size_t row = std::size_t{d.columns} * d.samples_per_pixel;
    for (std::size_t i = 0; i < bytes.size() / size; ++i) {
        std::uint32_t value = 0;
        switch (i / row % 4) {
            case 0:
                value = static_cast<std::uint32_t>(random()) & maximum;
                break;
            case 1:
                value = maximum;
                break;
            case 2:
                value = static_cast<std::uint32_t>(i % row) & maximum;
                break;
            default:
                value = random() % 9 == 0 ? static_cast<std::uint32_t>(random()) & maximum : 0;
        }
        std::memcpy(bytes.data() + i * size, &value, size);
    }
    return bytes;
}

Bytes encoded(const codec::EncodedSyntax& syntax, const codec::PixelDescription& d, const Bytes& samples,
              const codec::EncodeOptions& options) {
    const std::uint64_t bound = syntax.encoder->bound(d);
    Bytes out(bound + 1, std::byte{0xA5});
    const std::size_t size = codec::encode_frame(samples, *syntax.encoder, d, options,
                                                 std::span(out).first(static_cast<std::size_t>(bound)));
    HILUM_CHECK(size <= bound && out.back() == std::byte{0xA5});
    out.resize(size);
    return out;
}

Bytes decoded(std::string_view uid, const codec::PixelDescription& d, const Bytes& stream) {
    Bytes out(codec::frame_bytes(d));
    const std::span<const std::byte> fragment(stream);
    codec::decode_frame({{&fragment, 1}, 0}, codec::require_syntax(uid), d, out);
    return out;
}

bool holds(const codec::EncodedSyntax& syntax, const codec::PixelDescription& d) {
    try {
        syntax.encoder->check(d, {});
    } catch (const hilum::Error&) {
        return false;
    }
    return true;
}

const codec::EncodedSyntax& syntax_of(std::string_view uid) {
    return *std::ranges::find(codec::encoded_syntaxes(), uid, &codec::EncodedSyntax::uid);
}

}  // namespace

HILUM_TEST("what every encoder writes without loss decodes to the same bytes, and is within its bound", {
    constexpr std::array<std::array<std::uint32_t, 2>, 6> kShapes{
        {{1, 1}, {1, 67}, {67, 1}, {5, 8}, {33, 31}, {8, 300}}};
    for (const codec::EncodedSyntax& syntax : codec::encoded_syntaxes()) {
        if (syntax.uid == kJpeg || codec::find_syntax(syntax.uid) == nullptr) {
            continue;
        }
        unsigned done = 0;
        for (unsigned stored = 1; stored <= 16; ++stored) {
            for (const auto& [rows, columns] : kShapes) {
                for (const unsigned samples : {1U, 3U}) {
                    const codec::PixelDescription d = description(rows, columns, samples, stored);
                    if (!holds(syntax, d) || (stored == 1 && samples == 3)) {
                        continue;
                    }
                    const Bytes plain = picture(d, stored);
                    HILUM_CHECK(decoded(syntax.uid, d, encoded(syntax, d, plain, {})) == plain);
                    ++done;
                }
            }
        }
        HILUM_CHECK(done >= 6);
    }
});

HILUM_TEST("RLE: a colour image of many strips, cut anywhere, or of another size", {
    const codec::EncodedSyntax& syntax = syntax_of("1.2.840.10008.1.2.5");
    const codec::PixelDescription d = description(300, 401, 3, 8);
    const Bytes plain = picture(d, 3);
    const Bytes stream = encoded(syntax, d, plain, {});
    HILUM_CHECK(decoded(syntax.uid, d, stream) == plain);
    for (std::size_t size = 64; size + 2 < stream.size(); size += stream.size() / 50) {
        const Bytes cut(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
        HILUM_CHECK_THROWS(hilum::Errc::bad_codestream, decoded(syntax.uid, d, cut));
    }
    codec::PixelDescription other = d;
    other.rows = 298;
    HILUM_CHECK_THROWS(hilum::Errc::bad_codestream, decoded(syntax.uid, other, stream));
    other.rows = 302;
    HILUM_CHECK_THROWS(hilum::Errc::bad_codestream, decoded(syntax.uid, other, stream));
});

HILUM_TEST("JPEG-LS: the example of ISO/IEC 14495-1 H.3", {
    constexpr std::array<unsigned char, 16> kSamples{0,  0,   90,  74,  68,  50,  43,  205,
                                                     64, 145, 145, 145, 100, 145, 145, 145};
    constexpr std::array<unsigned char, 52> kStream{
        0xFF, 0xD8, 0xFF, 0xF7, 0x00, 0x0B, 0x08, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x11, 0x00, 0xFF, 0xDA, 0x00,
        0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x6C, 0x80, 0x20, 0x8E, 0x01, 0xC0, 0x00, 0x00,
        0x57, 0x40, 0x00, 0x00, 0x6E, 0xE6, 0x00, 0x00, 0x01, 0xBC, 0x18, 0x00, 0x00, 0x05, 0xD8, 0x00};
    constexpr std::array<unsigned char, 5> kEnd{0x00, 0x91, 0x60, 0xFF, 0xD9};
    const codec::PixelDescription d = description(4, 4, 1, 8);
    Bytes samples(16);
    std::memcpy(samples.data(), kSamples.data(), 16);
    Bytes expected(kStream.size() + kEnd.size());
    std::memcpy(expected.data(), kStream.data(), kStream.size());
    std::memcpy(expected.data() + kStream.size(), kEnd.data(), kEnd.size());
    const Bytes stream = encoded(syntax_of(kJpegLs), d, samples, {});
    HILUM_CHECK(stream == expected);
    HILUM_CHECK(decoded(kJpegLs, d, expected) == samples);
});

HILUM_TEST("JPEG-LS near-lossless: no sample is further off than NEAR", {
    for (const unsigned stored : {2U, 5U, 8U, 12U, 16U}) {
        for (const unsigned samples : {1U, 3U}) {
            const codec::PixelDescription d = description(40, 61, samples, stored);
            const Bytes plain = picture(d, stored + samples);
            const int most = std::min(255, static_cast<int>((1U << stored) - 1) / 2);
            for (const int near : {1, 3, most}) {
                if (near > most) {
                    continue;
                }
                codec::EncodeOptions options;
                options.near = near;
                const Bytes got = decoded(kJpegLsNear, d, encoded(syntax_of(kJpegLsNear), d, plain, options));
                const std::size_t size = d.bits_allocated / 8U;
                for (std::size_t at = 0; at < got.size(); at += size) {
                    std::uint16_t one = 0;
                    std::uint16_t other = 0;
                    std::memcpy(&one, got.data() + at, size);
                    std::memcpy(&other, plain.data() + at, size);
                    HILUM_CHECK(std::abs(int{one} - int{other}) <= near);
                }
            }
        }
    }
});

HILUM_TEST("an output below the bound, samples of another size and options that cannot be are refused", {
    const codec::PixelDescription d = description(9, 9, 1, 12);
    const Bytes plain = picture(d, 1);
    for (const codec::EncodedSyntax& syntax : codec::encoded_syntaxes()) {
        if (!holds(syntax, d)) {
            continue;
        }
        Bytes out(static_cast<std::size_t>(syntax.encoder->bound(d)));
        HILUM_CHECK_THROWS(hilum::Errc::buffer_too_small,
                           codec::encode_frame(plain, *syntax.encoder, d, {}, std::span(out).first(out.size() - 1)));
        HILUM_CHECK_THROWS(hilum::Errc::invalid_argument,
                           codec::encode_frame(std::span(plain).first(10), *syntax.encoder, d, {}, out));
    }
    codec::EncodeOptions options;
    options.near = 2;
    Bytes out(static_cast<std::size_t>(syntax_of(kJpegLs).encoder->bound(d)));
    HILUM_CHECK_THROWS(hilum::Errc::invalid_argument,
                       codec::encode_frame(plain, *syntax_of(kJpegLs).encoder, d, options, out));
    options.near = 256;
    HILUM_CHECK_THROWS(hilum::Errc::invalid_argument,
                       codec::encode_frame(plain, *syntax_of(kJpegLsNear).encoder, d, options, out));
});

HILUM_TEST_MAIN
