// SPDX-License-Identifier: Apache-2.0
// HTJ2K by our JPEG 2000 decoder: what OpenJPH writes, against OpenJPEG and the pictures themselves; SIMD against
// scalar.
#ifdef HILUM_HAVE_OPENJPH
#include <algorithm>
#include <random>
#include <string>

#include "../src/codec/j2k/ht_block.hpp"
#include "../src/codec/j2k/ht_encode.hpp"
#include "check.hpp"
#include "hilum/codec/encode.hpp"
#include "hilum/codec/jpeg2000.hpp"
#include "htj2k_encoder.hpp"
#include "pictures.hpp"

namespace {

using hilum::Errc;
using hilum::Error;
using hilum::codec::Photometric;
using hilum::codec::PixelDescription;
using hilum::test::Bytes;
using hilum::test::Chooser;
using hilum::test::decode;
using hilum::test::decode_reduced;
using hilum::test::describe;
using hilum::test::encode_ht;
using hilum::test::HtParameters;
using hilum::test::picture;
using hilum::test::Picture;
namespace j2k = hilum::codec::j2k;
namespace jpeg2000 = hilum::codec::jpeg2000;

HtParameters draw(Chooser& choose, Picture& p) {
    HtParameters h;
    h.levels = choose.of({0U, 1U, 2U, 3U, 5U, 6U});
    const auto block = choose.of<std::pair<unsigned, unsigned>>(
        {{64, 64}, {64, 64}, {32, 32}, {4, 4}, {16, 8}, {1024, 4}, {4, 1024}, {128, 32}, {8, 512}});
    h.block_width = block.first;
    h.block_height = block.second;
    h.progression = choose.of({"LRCP", "RLCP", "RPCL", "PCRL", "CPRL"});
    h.colour_transform = p.components == 3 && choose.one_in(2);
    // lossy as OpenJPEG decodes only even sizes, see test_j2k.cpp
    h.step = p.rows % 64 == 0 && p.columns % 64 == 0 && choose.one_in(2) ? choose.of({0.03F, 0.01F, 0.0001F}) : 0.0F;
    if (choose.one_in(3)) {
        h.precincts = {ojph::size(128, 64), ojph::size(64, 128)};
    }
    if (choose.one_in(4)) {
        h.tile_width = choose.of({33U, 64U, 100U});
        h.tile_height = choose.of({20U, 64U, 70U});
    }
    if (choose.one_in(4) && h.step == 0) {
        p.x0 = choose.of({1U, 3U, 16U});
        p.y0 = choose.of({1U, 2U, 17U});
        h.tile_width = h.tile_width == 0 ? p.x0 + p.columns : h.tile_width;
        h.tile_height = h.tile_height == 0 ? p.y0 + p.rows : h.tile_height;
    }
    return h;
}

HILUM_TEST("every parameter of the encoder, drawn at random: OpenJPEG's bytes, and the picture where nothing is lost", {
    unsigned compared = 0;
    for (unsigned seed = 0; seed < 600; ++seed) {
        Chooser choose{std::mt19937(seed)};
        const auto rows = choose.of<std::uint32_t>({1, 2, 3, 7, 16, 31, 64, 67, 128, 150});
        const auto columns = choose.of<std::uint32_t>({1, 2, 5, 16, 17, 33, 64, 65, 128, 130, 200});
        // OpenJPH 0.9 ends the program where a subband of few bits has all of them
        const auto precision = choose.of({4U, 5U, 6U, 7U, 8U, 8U, 10U, 12U, 12U, 15U, 16U, 16U});
        const unsigned components = choose.of({1U, 1U, 1U, 3U, 4U});
        Picture p = picture(rows, columns, components, precision, choose.one_in(4),
                            static_cast<unsigned>(choose.random() % 4U), seed);
        const HtParameters parameters = draw(choose, p);
        const Bytes data = encode_ht(p, parameters);
        Bytes ours;
        try {
            ours = decode(jpeg2000::kHilum, data, describe(p));
        } catch (const Error& error) {
            std::fprintf(stderr, "seed %u: %s\n", seed, error.what());
        }
        if (parameters.step == 0) {
            HILUM_CHECK(ours == hilum::test::interleaved(p));
        }
        HILUM_CHECK(decode_reduced(data, describe(p), {0, 3}) == ours);
        try {
            const Bytes theirs = decode(jpeg2000::kOpenJpeg, data, describe(p));
            if (ours != theirs) {
                std::fprintf(stderr, "seed %u differs\n", seed);
            }
            HILUM_CHECK(ours == theirs);
            ++compared;
        } catch (const Error&) {  // OpenJPEG does not read all that OpenJPH writes
        }
    }
    HILUM_CHECK(compared > 400);
});

/// Cleanup segments that fit their suffix, of noise otherwise.
struct NoiseBlock {
    Bytes cleanup, refinement;
    j2k::HtShape shape;
    unsigned passes = 1;

    explicit NoiseBlock(unsigned seed) {
        Chooser choose{std::mt19937(seed)};
        shape.width = choose.of({1U, 4U, 5U, 17U, 32U, 64U});
        shape.height = choose.of({1U, 2U, 3U, 7U, 32U, 64U});
        shape.plane = choose.of({0U, 0U, 1U, 5U});
        shape.missing = choose.of({0U, 3U, 12U, 22U, 23U});
        shape.causal = choose.one_in(3);
        passes = choose.of({1U, 1U, 2U, 3U});
        const auto fill = [&](std::size_t size) {
            Bytes bytes(size);
            const bool sparse = choose.one_in(2);
            for (std::byte& each : bytes) {
                each = static_cast<std::byte>(sparse && choose.one_in(3) ? 0xFF : choose.random());
            }
            return bytes;
        };
        cleanup = fill(choose.of<std::size_t>({2, 3, 20, 400, 6000}));
        refinement = fill(choose.of<std::size_t>({1, 30, 700}));
        const std::size_t suffix =
            std::max<std::size_t>(2, choose.random() % std::min<std::size_t>(cleanup.size() + 1, 3000));
        cleanup[cleanup.size() - 1] = static_cast<std::byte>(suffix >> 4U);
        cleanup[cleanup.size() - 2] =
            (cleanup[cleanup.size() - 2] & std::byte{0xF0}) | static_cast<std::byte>(suffix & 15U);
    }
};

HILUM_TEST("blocks of noise: the same from scalar and SIMD kernels, alone and in pairs, nothing outside written", {
    j2k::HtBlockDecoder scalar(j2k::ht::kScalarKernels);
    j2k::HtBlockDecoder fast;
    j2k::HtBlockDecoder other;
    unsigned good = 0;
    for (unsigned seed = 0; seed < 3000; ++seed) {
        const NoiseBlock noise(seed);
        const std::size_t stride = noise.shape.width + 3;
        const auto run = [&](j2k::HtBlockDecoder& decoder, float step, std::vector<std::uint32_t>& out, bool twice) {
            out.assign(stride * noise.shape.height, 0xA5A5A5A5U);
            j2k::HtBlock block{
                noise.shape, {noise.cleanup, noise.refinement, noise.passes}, &decoder, 0, out.data(), stride, step};
            if (!twice) {
                return j2k::HtBlockDecoder::decode(block);
            }
            std::vector<std::uint32_t> second(out.size());
            j2k::HtBlock beside = block;
            beside.decoder = &other;
            beside.out = second.data();
            const bool done = j2k::HtBlockDecoder::decode(beside, block);
            for (std::size_t i = 0; i < out.size() && done; ++i) {
                HILUM_CHECK(i % stride >= noise.shape.width || second[i] == out[i]);
            }
            return done;
        };
        for (const float step : {0.0F, 0.37F}) {
            std::vector<std::uint32_t> a;
            std::vector<std::uint32_t> b;
            const bool held = run(scalar, step, a, false);
            HILUM_CHECK(run(fast, step, b, seed % 2 == 0) == held);
            HILUM_CHECK(!held || a == b);
            good += held ? 1 : 0;
            for (std::size_t i = 0; i < b.size(); ++i) {
                HILUM_CHECK(i % stride < noise.shape.width || b[i] == 0xA5A5A5A5U);
            }
        }
    }
    HILUM_CHECK(good > 300);
});

HILUM_TEST("lower resolutions: as many samples as there should be, flat pictures keep their value", {
    const Picture p = picture(150, 203, 1, 12, false, 3, 9);
    const Bytes data = encode_ht(p, {});
    for (unsigned levels = 0; levels <= 5; ++levels) {
        const Bytes out = decode_reduced(data, describe(p), {levels, 1});
        HILUM_CHECK(
            std::all_of(out.begin(), out.end(), [&, i = 0U](std::byte b) mutable { return b == out[i++ % 2]; }));
    }
    HILUM_CHECK_THROWS(Errc::out_of_range, jpeg2000::reduced_size(data, 6));
});

HILUM_TEST("truncated anywhere: refused with an offset inside of the frame, or the whole picture", {
    const Picture p = picture(64, 64, 1, 12, false, 0, 3);
    const Bytes data = encode_ht(p, {});
    const Bytes whole = decode(jpeg2000::kHilum, data, describe(p));
    for (std::size_t length = 0; length < data.size(); length += 7) {
        const Bytes cut(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(length));
        try {
            HILUM_CHECK(decode(jpeg2000::kHilum, cut, describe(p)) == whole && length + 2 >= data.size());
        } catch (const Error& error) {
            HILUM_CHECK(error.code() == Errc::bad_codestream && error.offset() <= length);
        }
    }
});

HILUM_TEST("blocks of both kinds in one component, and styles that HT does not have, are refused", {
    const Picture p = picture(64, 64, 1, 8, false, 0, 3);
    const Bytes good = encode_ht(p, {});
    const std::array kCod{std::byte{0xFF}, std::byte{0x52}};
    const auto style = std::search(good.begin(), good.end(), kCod.begin(), kCod.end()) - good.begin() + 12;
    Bytes data = good;
    HILUM_CHECK(data[static_cast<std::size_t>(style)] == std::byte{0x40});
    data[static_cast<std::size_t>(style)] = std::byte{0xC0};
    HILUM_CHECK_THROWS(Errc::unsupported_pixels, decode(jpeg2000::kHilum, data, describe(p)));
    data[static_cast<std::size_t>(style)] = std::byte{0x41};
    HILUM_CHECK_THROWS(Errc::bad_codestream, decode(jpeg2000::kHilum, data, describe(p)));
    data[static_cast<std::size_t>(style)] = std::byte{0x48};  // vertically causal: of no effect without refinement
    HILUM_CHECK(decode(jpeg2000::kHilum, data, describe(p)) == decode(jpeg2000::kHilum, good, describe(p)));
});

HILUM_TEST("our encoder, all sizes and depths: OpenJPEG and we get the picture back", {
    for (unsigned seed = 0; seed < 250; ++seed) {
        Chooser choose{std::mt19937(seed)};
        const auto rows = choose.of<std::uint32_t>({1, 2, 3, 7, 16, 31, 64, 67, 128, 150, 260});
        const auto columns = choose.of<std::uint32_t>({1, 2, 5, 16, 17, 33, 64, 65, 128, 130, 200, 300});
        const auto precision = choose.of({1U, 2U, 4U, 7U, 8U, 8U, 10U, 12U, 12U, 15U, 16U, 16U});
        const unsigned components = choose.of({1U, 1U, 3U});
        const Picture p = picture(rows, columns, components, precision, precision > 1 && choose.one_in(4),
                                  static_cast<unsigned>(choose.random() % 4U), seed);
        PixelDescription d = describe(p);
        d.photometric = components == 3 && choose.one_in(2) ? Photometric::rgb : Photometric::monochrome2;
        const Bytes samples = hilum::test::interleaved(p);
        Bytes data(hilum::codec::htj2k::kEncodeLossless.bound(d));
        data.resize(hilum::codec::htj2k::kEncodeLossless.encode(samples, d, {}, data));
        const bool same =
            decode(jpeg2000::kHilum, data, d) == samples && decode(jpeg2000::kOpenJpeg, data, d) == samples;
        if (!same) {
            std::fprintf(stderr, "seed %u differs\n", seed);
        }
        HILUM_CHECK(same);
        Bytes small(data.size() - 1);
        HILUM_CHECK_THROWS(Errc::buffer_too_small, hilum::codec::htj2k::kEncodeLossless.encode(samples, d, {}, small));
    }
});

HILUM_TEST("blocks of every kind: scalar and SIMD encoders write the same bytes", {
    j2k::HtBlockEncoder scalar(j2k::ht::kScalarEncodeKernels);
    j2k::HtBlockEncoder fast;
    for (unsigned seed = 0; seed < 500; ++seed) {
        Chooser choose{std::mt19937(seed)};
        const auto width = choose.of({1U, 3U, 4U, 6U, 31U, 64U});
        const auto height = choose.of({1U, 2U, 5U, 64U});
        const auto most = choose.of({1U, 3U, 100U, 70000U, 0xFFFFFFU});
        const unsigned dense = choose.of({1U, 2U, 30U});
        std::array<std::int32_t, 64 * 64> block{};
        for (unsigned y = 0; y < height; ++y) {
            for (unsigned x = 0; x < width; ++x) {
                const auto value = static_cast<std::int32_t>(choose.random() % (most + 1));
                block[y * 64 + x] = !choose.one_in(dense) ? 0 : (choose.one_in(2) ? value : -value);
            }
        }
        const auto a = scalar.encode(block.data(), 64, width, height);
        const auto b = fast.encode(block.data(), 64, width, height);
        HILUM_CHECK(std::ranges::equal(a, b));
        if (a.empty()) {
            HILUM_CHECK(std::ranges::all_of(block, [](std::int32_t v) { return v == 0; }));
            continue;
        }
        j2k::HtBlockDecoder decoder;
        std::array<std::uint32_t, 64 * 64> out{};
        HILUM_CHECK(
            j2k::HtBlockDecoder::decode({{width, height, 0, 24, false}, {a, {}, 1}, &decoder, 0, out.data(), 64, 0}));
        HILUM_CHECK(
            std::ranges::equal(out, block, {}, {}, [](std::int32_t v) { return static_cast<std::uint32_t>(v); }));
    }
});

}  // namespace
#else
#include "check.hpp"
HILUM_TEST("no OpenJPH here: nothing that writes HTJ2K", { HILUM_CHECK(true); });
#endif

HILUM_TEST_MAIN
