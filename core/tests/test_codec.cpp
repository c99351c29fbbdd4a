// SPDX-License-Identifier: Apache-2.0
#include <turbojpeg.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "hilum/codec/jpeg.hpp"
#include "hilum/codec/jpeg2000.hpp"
#include "hilum/codec/jpeg_lossless.hpp"
#include "hilum/codec/native.hpp"
#include "hilum/codec/registry.hpp"
#include "hilum/codec/rle.hpp"
#include "lossless_encoder.hpp"

namespace {

using hilum::Errc;
using hilum::Error;
using hilum::codec::PixelDescription;
using Bytes = std::vector<std::byte>;

constexpr const char* kLittle = "1.2.840.10008.1.2.1";
constexpr const char* kBig = "1.2.840.10008.1.2.2";
constexpr const char* kRle = "1.2.840.10008.1.2.5";
constexpr const char* kLossless = "1.2.840.10008.1.2.4.70";
constexpr const char* kBaseline = "1.2.840.10008.1.2.4.50";

Bytes bytes(std::initializer_list<unsigned> values) {
    Bytes out;
    for (const unsigned value : values) {
        out.push_back(static_cast<std::byte>(value));
    }
    return out;
}

PixelDescription describe(std::uint32_t rows, std::uint32_t columns, unsigned samples, unsigned allocated,
                          unsigned stored = 0, unsigned sign = 0) {
    PixelDescription d;
    d.rows = rows;
    d.columns = columns;
    d.samples_per_pixel = static_cast<std::uint16_t>(samples);
    d.bits_allocated = static_cast<std::uint16_t>(allocated);
    d.bits_stored = static_cast<std::uint16_t>(stored == 0 ? allocated : stored);
    d.high_bit = static_cast<std::uint16_t>(d.bits_stored - 1);
    d.pixel_representation = static_cast<std::uint16_t>(sign);
    return d;
}

Bytes decode(const Bytes& data, const char* syntax, const PixelDescription& d, unsigned bit_offset = 0) {
    Bytes out(hilum::codec::frame_bytes(d), std::byte{0xA5});
    const std::span<const std::byte> fragment(data);
    hilum::codec::decode_frame({{&fragment, 1}, bit_offset}, hilum::codec::require_syntax(syntax), d, out);
    return out;
}

bool refuses(const Bytes& data, const char* syntax, const PixelDescription& d) {
    try {
        (void)decode(data, syntax, d);
    } catch (const Error& error) {
        return static_cast<int>(error.code()) < 100;
    }
    return false;
}

/// Runs and noise, as images have them.
Bytes test_samples(std::size_t count, unsigned seed) {
    std::minstd_rand random(seed);
    Bytes out;
    while (out.size() < count) {
        const std::size_t length = 1 + random() % 300;
        const bool run = random() % 2 == 0;
        const auto value = static_cast<std::byte>(random());
        for (std::size_t i = 0; i < length && out.size() < count; ++i) {
            out.push_back(run ? value : static_cast<std::byte>(random()));
        }
    }
    return out;
}

/// PackBits of one segment (PS3.5 G.3.1).
Bytes pack_bits(const Bytes& plain) {
    Bytes out;
    std::size_t at = 0;
    const auto run_at = [&](std::size_t i) {
        std::size_t n = 1;
        while (i + n < plain.size() && n < 128 && plain[i + n] == plain[i]) {
            ++n;
        }
        return n;
    };
    while (at < plain.size()) {
        const std::size_t run = run_at(at);
        if (run > 1) {
            out.push_back(static_cast<std::byte>(257 - run));
            out.push_back(plain[at]);
            at += run;
            continue;
        }
        std::size_t n = 1;
        while (at + n < plain.size() && n < 128 && run_at(at + n) == 1) {
            ++n;
        }
        out.push_back(static_cast<std::byte>(n - 1));
        out.insert(out.end(), plain.begin() + static_cast<std::ptrdiff_t>(at),
                   plain.begin() + static_cast<std::ptrdiff_t>(at + n));
        at += n;
    }
    return out;
}

/// Interleaved little endian samples to an RLE frame (PS3.5 G.2, G.5).
Bytes encode_rle(const Bytes& samples, unsigned samples_per_pixel, unsigned container) {
    const std::size_t pixels = samples.size() / (samples_per_pixel * container);
    Bytes header(64);
    Bytes body;
    const std::uint32_t segments = samples_per_pixel * container;
    std::memcpy(header.data(), &segments, 4);
    for (unsigned s = 0; s < samples_per_pixel; ++s) {
        for (unsigned b = 0; b < container; ++b) {
            Bytes plane;
            for (std::size_t i = 0; i < pixels; ++i) {
                plane.push_back(samples[(i * samples_per_pixel + s) * container + (container - 1 - b)]);
            }
            const auto offset = static_cast<std::uint32_t>(64 + body.size());
            std::memcpy(header.data() + 4 * (1 + s * container + b), &offset, 4);
            const Bytes packed = pack_bits(plane);
            body.insert(body.end(), packed.begin(), packed.end());
            if (body.size() % 2 != 0) {
                body.push_back(std::byte{0});
            }
        }
    }
    header.insert(header.end(), body.begin(), body.end());
    return header;
}

hilum::test::LosslessImage lossless_image(unsigned precision, unsigned rows, unsigned columns, unsigned components) {
    std::minstd_rand random(precision * 31 + rows);
    hilum::test::LosslessImage image{precision, rows, columns, components, {}};
    const unsigned mask = (1U << precision) - 1U;
    unsigned value = mask / 2;
    for (unsigned i = 0; i < rows * columns * components; ++i) {
        value = random() % 11 == 0 ? static_cast<unsigned>(random()) : value + static_cast<unsigned>(random() % 7) - 3U;
        image.samples.push_back(static_cast<std::uint16_t>(value & mask));
    }
    return image;
}

Bytes expected_bytes(const hilum::test::LosslessImage& image, unsigned transform, std::size_t container) {
    Bytes out;
    for (const std::uint16_t sample : image.samples) {
        const auto kept = static_cast<std::uint16_t>(sample >> transform << transform);
        out.push_back(static_cast<std::byte>(kept & 0xFFU));
        if (container == 2) {
            out.push_back(static_cast<std::byte>(kept >> 8U));
        }
    }
    return out;
}

void check_lossless(const hilum::test::LosslessImage& image, const hilum::test::LosslessOptions& options) {
    const Bytes stream = hilum::test::LosslessEncoder(image, options).encode();
    const unsigned allocated = image.precision > 8 ? 16 : 8;
    const PixelDescription d = describe(image.rows, image.columns, image.components, allocated, image.precision);
    HILUM_CHECK(decode(stream, kLossless, d) == expected_bytes(image, options.transform, allocated / 8));
    const PixelDescription wide = describe(image.rows, image.columns, image.components, 16, image.precision);
    HILUM_CHECK(decode(stream, kLossless, wide) == expected_bytes(image, options.transform, 2));
}

Bytes encode_baseline(int rows, int columns, int components) {
    const Bytes pixels = test_samples(static_cast<std::size_t>(rows * columns * components), 5);
    tjhandle handle = tjInitCompress();
    unsigned char* file = nullptr;
    unsigned long size = 0;
    tjCompress2(handle, reinterpret_cast<const unsigned char*>(pixels.data()), columns, 0, rows,
                components == 1 ? TJPF_GRAY : TJPF_RGB, &file, &size, components == 1 ? TJSAMP_GRAY : TJSAMP_420, 90,
                0);
    const auto* begin = reinterpret_cast<const std::byte*>(file);
    Bytes out(begin, begin + size);
    tjFree(file);
    tjDestroy(handle);
    return out;
}

}  // namespace

HILUM_TEST("native: bits from any offset", {
    const PixelDescription d = describe(1, 11, 1, 1);
    const Bytes data = bytes({0b10110100, 0b01100101, 0b11111010});
    for (unsigned offset = 0; offset < 8; ++offset) {
        const Bytes out = decode(data, kLittle, d, offset);
        for (unsigned i = 0; i < 11; ++i) {
            const unsigned bit = offset + i;
            HILUM_CHECK(out[i] == ((data[bit / 8] >> static_cast<int>(bit % 8)) & std::byte{1}));
        }
    }
    HILUM_CHECK_THROWS(Errc::truncated, decode(bytes({1, 2}), kLittle, d, 7));
    HILUM_CHECK_THROWS(Errc::invalid_argument, decode(data, kLittle, d, 8));
});

HILUM_TEST("native: byte order, planes and unused bits", {
    HILUM_CHECK(decode(bytes({1, 2, 3, 4}), kBig, describe(1, 2, 1, 16)) == bytes({2, 1, 4, 3}));
    HILUM_CHECK(decode(bytes({1, 2, 3, 4}), kBig, describe(1, 1, 1, 32)) == bytes({4, 3, 2, 1}));
    PixelDescription planar = describe(1, 2, 3, 8);
    planar.planar_configuration = 1;
    HILUM_CHECK(decode(bytes({1, 2, 3, 4, 5, 6}), kLittle, planar) == bytes({1, 3, 5, 2, 4, 6}));
    HILUM_CHECK(decode(bytes({0x34, 0xF2}), kLittle, describe(1, 1, 1, 16, 12)) == bytes({0x34, 0x02}));
    HILUM_CHECK(decode(bytes({0x34, 0x0A}), kLittle, describe(1, 1, 1, 16, 12, 1)) == bytes({0x34, 0xFA}));
    PixelDescription high = describe(1, 1, 1, 16, 12);
    high.high_bit = 15;
    HILUM_CHECK(decode(bytes({0x30, 0x12}), kLittle, high) == bytes({0x23, 0x01}));
});

HILUM_TEST("native: YBR_FULL_422 repeats its chrominance", {
    PixelDescription d = describe(1, 2, 3, 8);
    d.photometric = hilum::codec::Photometric::ybr_full_422;
    HILUM_CHECK(decode(bytes({10, 20, 30, 40}), kLittle, d) == bytes({10, 30, 40, 20, 30, 40}));
    d.columns = 3;
    HILUM_CHECK_THROWS(Errc::bad_value, decode(Bytes(9), kLittle, d));
});

HILUM_TEST("descriptions that no decoder may trust", {
    HILUM_CHECK_THROWS(Errc::bad_value, hilum::codec::check_description(describe(0, 1, 1, 8)));
    HILUM_CHECK_THROWS(Errc::limit_exceeded, hilum::codec::check_description(describe(65536, 1, 1, 8)));
    HILUM_CHECK_THROWS(Errc::limit_exceeded, hilum::codec::check_description(describe(65535, 65535, 3, 8)));
    HILUM_CHECK_THROWS(Errc::unsupported_pixels, hilum::codec::check_description(describe(1, 1, 2, 8)));
    HILUM_CHECK_THROWS(Errc::unsupported_pixels, hilum::codec::check_description(describe(1, 1, 1, 24)));
    HILUM_CHECK_THROWS(Errc::bad_value, hilum::codec::check_description(describe(1, 1, 1, 8, 9)));
    HILUM_CHECK_THROWS(Errc::unsupported_syntax, hilum::codec::require_syntax("1.2.840.10008.1.2.4.80.1"));
    Bytes out(3);
    const Bytes data(4);
    const std::span<const std::byte> one(data);
    HILUM_CHECK_THROWS(
        Errc::buffer_too_small,
        hilum::codec::decode_frame({{&one, 1}, 0}, hilum::codec::require_syntax(kLittle), describe(2, 2, 1, 8), out));
});

HILUM_TEST("RLE: what was encoded comes back, whole or in fragments", {
    for (const unsigned samples : {1U, 3U}) {
        for (const unsigned container : {1U, 2U, 4U}) {
            const PixelDescription d = describe(61, 47, samples, 8 * container);
            const Bytes plain = test_samples(hilum::codec::frame_bytes(d), samples * 10 + container);
            const Bytes frame = encode_rle(plain, samples, container);
            HILUM_CHECK(decode(frame, kRle, d) == plain);
            const std::array<std::span<const std::byte>, 2> parts{std::span(frame).first(100),
                                                                  std::span(frame).subspan(100)};
            Bytes out(plain.size());
            hilum::codec::decode_frame({parts, 0}, hilum::codec::require_syntax(kRle), d, out);
            HILUM_CHECK(out == plain);
        }
    }
});

HILUM_TEST("RLE: every truncation and a lying header are refused", {
    const PixelDescription d = describe(20, 20, 1, 16);
    const Bytes frame = encode_rle(test_samples(800, 3), 1, 2);
    for (std::size_t length = 0; length + 2 < frame.size(); ++length) {
        HILUM_CHECK(refuses(Bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length)), kRle, d));
    }
    for (const unsigned segments : {0U, 1U, 3U, 16U, 255U}) {
        Bytes bad = frame;
        bad[0] = static_cast<std::byte>(segments);
        HILUM_CHECK(refuses(bad, kRle, d));
    }
    Bytes swapped = frame;
    std::swap_ranges(swapped.begin() + 4, swapped.begin() + 8, swapped.begin() + 8);
    HILUM_CHECK(refuses(swapped, kRle, d));
});

HILUM_TEST("JPEG lossless: predictors, precisions, components", {
    for (unsigned predictor = 1; predictor <= 7; ++predictor) {
        for (const unsigned precision : {2U, 8U, 10U, 12U, 16U}) {
            for (const unsigned components : {1U, 3U}) {
                check_lossless(lossless_image(precision, 9, 13, components), {predictor, 0, 0, false, false});
            }
        }
    }
});

HILUM_TEST("JPEG lossless: restarts, point transform, scans for each component, long codes", {
    const auto grey = lossless_image(12, 11, 7, 1);
    const auto colour = lossless_image(8, 11, 7, 3);
    const auto deep = lossless_image(16, 11, 7, 1);
    for (unsigned predictor = 1; predictor <= 7; ++predictor) {
        check_lossless(grey, {predictor, 0, 2, false, false});
        check_lossless(grey, {predictor, 3, 0, false, false});
        check_lossless(colour, {predictor, 1, 3, true, false});
        check_lossless(colour, {predictor, 0, 0, true, true});
        check_lossless(deep, {predictor, 0, 4, false, true});
    }
    check_lossless(lossless_image(16, 1, 1, 1), {7, 0, 0, false, false});
    check_lossless(lossless_image(8, 1, 300, 1), {4, 0, 0, false, false});
    check_lossless(lossless_image(8, 300, 1, 3), {4, 0, 1, false, false});
});

HILUM_TEST("JPEG lossless: a difference of 32768", {
    hilum::test::LosslessImage image{16, 2, 2, 1, {0, 32768, 65535, 0}};
    check_lossless(image, {1, 0, 0, false, false});
    check_lossless(image, {1, 0, 0, false, true});
});

HILUM_TEST("JPEG lossless: signed values get their sign back", {
    hilum::test::LosslessImage image{12, 1, 2, 1, {0x801, 0x7FF}};
    const Bytes stream = hilum::test::LosslessEncoder(image, {}).encode();
    HILUM_CHECK(decode(stream, kLossless, describe(1, 2, 1, 16, 12, 1)) == bytes({0x01, 0xF8, 0xFF, 0x07}));
});

HILUM_TEST("JPEG lossless: every truncation is refused, every flipped bit is survived", {
    const auto image = lossless_image(12, 12, 12, 1);
    const Bytes stream = hilum::test::LosslessEncoder(image, {4, 0, 3, false, false}).encode();
    const PixelDescription d = describe(12, 12, 1, 16, 12);
    for (std::size_t length = 0; length + 3 < stream.size(); ++length) {
        HILUM_CHECK(refuses(Bytes(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(length)), kLossless, d));
    }
    for (std::size_t bit = 0; bit < stream.size() * 8; ++bit) {
        Bytes flipped = stream;
        flipped[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
        (void)refuses(flipped, kLossless, d);
    }
    HILUM_CHECK_THROWS(Errc::bad_codestream, decode(stream, kLossless, describe(12, 11, 1, 16, 12)));
    HILUM_CHECK_THROWS(Errc::bad_codestream, decode(stream, kLossless, describe(12, 12, 1, 8)));
});

HILUM_TEST("JPEG: decodes, refuses truncation, is found under another JPEG's transfer syntax", {
    for (const int components : {1, 3}) {
        const PixelDescription d = describe(33, 47, static_cast<unsigned>(components), 8);
        const Bytes stream = encode_baseline(33, 47, components);
        const Bytes out = decode(stream, kBaseline, d);
        HILUM_CHECK(out == decode(stream, kLossless, d));
        for (std::size_t length = 0; length + 40 < stream.size(); length += 7) {
            HILUM_CHECK(
                refuses(Bytes(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(length)), kBaseline, d));
        }
        HILUM_CHECK(refuses(stream, kBaseline, describe(47, 33, static_cast<unsigned>(components), 8)));
    }
});

HILUM_TEST("JPEG: what the markers say about colour", {
    using hilum::codec::ImageInfo;
    using hilum::codec::jpeg::Markers;
    const auto colour = [](bool letters, bool jfif, int adobe, unsigned components = 3) {
        Markers m;
        m.components = static_cast<std::uint16_t>(components);
        m.letters_rgb = letters;
        m.jfif = jfif;
        m.adobe_transform = adobe;
        return hilum::codec::jpeg::colour_of(m);
    };
    HILUM_CHECK(colour(false, false, -1) == ImageInfo::Colour::as_described);
    HILUM_CHECK(colour(false, true, -1) == ImageInfo::Colour::ycc);
    HILUM_CHECK(colour(true, true, -1) == ImageInfo::Colour::rgb);
    HILUM_CHECK(colour(true, true, 1) == ImageInfo::Colour::ycc);
    HILUM_CHECK(colour(false, true, 0) == ImageInfo::Colour::rgb);
    HILUM_CHECK(colour(false, true, 1, 1) == ImageInfo::Colour::as_described);
});

HILUM_TEST("JPEG 2000: boxes and headers that lie are refused", {
    const PixelDescription d = describe(8, 8, 1, 8);
    const char* syntax = "1.2.840.10008.1.2.4.90";
    HILUM_CHECK(refuses({}, syntax, d));
    HILUM_CHECK(
        refuses(bytes({0, 0, 0, 12, 'j', 'P', ' ', ' ', 0x0D, 0x0A, 0x87, 0x0A, 0xFF, 0xFF, 0xFF, 0xFF}), syntax, d));
    Bytes box =
        bytes({0, 0, 0, 12, 'j', 'P', ' ', ' ', 0x0D, 0x0A, 0x87, 0x0A, 0, 0, 0, 0, 'j', 'p', '2', 'c', 1, 2, 3});
    HILUM_CHECK(hilum::codec::jpeg2000::code_stream(box).size() == 3);
});

HILUM_TEST_MAIN
