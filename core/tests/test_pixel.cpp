// SPDX-License-Identifier: Apache-2.0
#include <turbojpeg.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "check.hpp"
#include "hilum/codec/registry.hpp"
#include "hilum/pixel/attributes.hpp"
#include "hilum/pixel/colour.hpp"
#include "hilum/pixel/encode.hpp"
#include "hilum/pixel/modality_lut.hpp"
#include "hilum/pixel/render.hpp"
#include "hilum/pixel/resample.hpp"
#include "hilum/pixel/voi_lut.hpp"

namespace {

using hilum::Errc;
using namespace hilum::pixel;
using Bytes = std::vector<std::byte>;

Bytes words(std::initializer_list<unsigned> values) {
    Bytes out;
    for (const unsigned value : values) {
        out.push_back(static_cast<std::byte>(value & 0xFFU));
        out.push_back(static_cast<std::byte>(value >> 8U & 0xFFU));
    }
    return out;
}

hilum::codec::PixelDescription grey_16(std::uint32_t rows, std::uint32_t columns, unsigned sign = 0) {
    hilum::codec::PixelDescription d;
    d.rows = rows;
    d.columns = columns;
    d.pixel_representation = static_cast<std::uint16_t>(sign);
    return d;
}

RenderedImage draw(const Bytes& frame, const hilum::codec::PixelDescription& d, const RenderingAttributes& attributes,
                   const RenderRequest& request = {}) {
    const std::span<const std::byte> fragment(frame);
    return render_image({{&fragment, 1}, 0}, hilum::codec::require_syntax("1.2.840.10008.1.2.1"), d, attributes,
                        request);
}

/// Every 16-bit pattern through the kernel, against the formula of the standard.
void check_ramp(const Window& window, const Rescale& rescale, Extraction e, bool invert) {
    const unsigned bits = 16U - e.right;
    const std::int32_t low = e.is_signed ? -(1 << (bits - 1U)) : 0;
    const std::int32_t high = e.is_signed ? (1 << (bits - 1U)) - 1 : (1 << bits) - 1;
    const Ramp ramp = make_ramp(window, rescale, low, high, invert);
    Bytes in;
    for (std::int32_t value = low; value <= high; ++value) {
        const auto raw = static_cast<std::uint16_t>(static_cast<unsigned>(value) << e.right >> e.left);
        in.push_back(static_cast<std::byte>(raw & 0xFFU));
        in.push_back(static_cast<std::byte>(raw >> 8U));
    }
    std::vector<std::uint8_t> out(in.size() / 2);
    kernels::ramp_16(in.data(), out.size(), e, ramp, out.data());
    int worst = 0;
    int scalar_differs = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        double expected = apply(window, rescale(static_cast<double>(low) + static_cast<double>(i)));
        expected = invert ? 255.0 - expected : expected;
        worst = std::max(worst, static_cast<int>(std::ceil(std::abs(out[i] - expected) - 0.5001)));
        // One sample at a time is always the scalar kernel.
        std::uint8_t single = 0;
        kernels::ramp_16(in.data() + 2 * i, 1, e, ramp, &single);
        scalar_differs += single != out[i] ? 1 : 0;
    }
    HILUM_CHECK(worst <= 0);
    HILUM_CHECK(scalar_differs == 0);
}

}  // namespace

HILUM_TEST("windowing kernels give the formula's values and one another's bytes", {
    const Rescale ct{1.0, -1024.0};
    const Rescale falling{-2.5, 300.0};
    const Rescale pet{0.000731, 0.0};
    for (const bool is_signed : {false, true}) {
        for (const bool invert : {false, true}) {
            const Extraction whole{0, 0, is_signed};
            const Extraction twelve{4, 4, is_signed};
            const Extraction high_bits{0, 4, is_signed};
            for (const Extraction e : {whole, twelve, high_bits}) {
                check_ramp({40.0, 400.0, VoiFunction::linear}, ct, e, invert);
                check_ramp({40.0, 1.0, VoiFunction::linear}, ct, e, invert);
                check_ramp({-600.0, 1500.5, VoiFunction::linear_exact}, ct, e, invert);
                check_ramp({100.0, 3000.0, VoiFunction::linear}, falling, e, invert);
                check_ramp({100.0, 1.0, VoiFunction::linear}, falling, e, invert);
                check_ramp({10.0, 20.0, VoiFunction::linear_exact}, pet, e, invert);
            }
            check_ramp({1.0e9, 3.0, VoiFunction::linear}, ct, whole, invert);
            check_ramp({-1.0e9, 3.0, VoiFunction::linear}, ct, whole, invert);
            check_ramp({40.0, 0.01, VoiFunction::linear_exact}, ct, whole, invert);
            check_ramp({40.0, 1.0e12, VoiFunction::linear}, ct, whole, invert);
        }
    }
});

HILUM_TEST("windows that cannot be are known", {
    HILUM_CHECK(!is_valid({0.0, 0.5, VoiFunction::linear}));
    HILUM_CHECK(is_valid({0.0, 0.5, VoiFunction::linear_exact}));
    HILUM_CHECK(!is_valid({0.0, 0.0, VoiFunction::sigmoid}));
    HILUM_CHECK(!is_valid({NAN, 1.0, VoiFunction::linear}));
    HILUM_CHECK(!is_valid({0.0, INFINITY, VoiFunction::linear}));
    HILUM_CHECK(std::abs(apply({10.0, 4.0, VoiFunction::sigmoid}, 10.0) - 127.5) < 1e-9);
});

HILUM_TEST("least and greatest value leave padding out", {
    Bytes frame;
    for (unsigned i = 0; i < 100; ++i) {
        const Bytes one = words({i % 7 == 0 ? 0xF830U : 100U + i});
        frame.insert(frame.end(), one.begin(), one.end());
    }
    RenderingAttributes attributes;
    attributes.padding = {{-2000, -2000}};
    const std::span<const std::byte> fragment(frame);
    const auto& syntax = hilum::codec::require_syntax("1.2.840.10008.1.2.1");
    const Range range = stored_range({{&fragment, 1}, 0}, syntax, grey_16(10, 10, 1), attributes);
    HILUM_CHECK(range.minimum == 101.0 && range.maximum == 199.0);
    const Range all = stored_range({{&fragment, 1}, 0}, syntax, grey_16(10, 10, 1), {});
    HILUM_CHECK(all.minimum == -2000.0);
});

HILUM_TEST("without a window: least to greatest; constant images are black; MONOCHROME1 inverts", {
    hilum::codec::PixelDescription d = grey_16(1, 3);
    HILUM_CHECK(draw(words({100, 150, 200}), d, {}).pixels == std::vector<std::uint8_t>({0, 128, 255}));
    d.photometric = hilum::codec::Photometric::monochrome1;
    HILUM_CHECK(draw(words({100, 150, 200}), d, {}).pixels == std::vector<std::uint8_t>({255, 127, 0}));
    d.photometric = hilum::codec::Photometric::monochrome2;
    HILUM_CHECK(draw(words({9, 9, 9}), d, {}).pixels == std::vector<std::uint8_t>({0, 0, 0}));
    d.bits_allocated = 8;
    d.bits_stored = 8;
    d.high_bit = 7;
    HILUM_CHECK(draw(words({0x0201, 0x03}), d, {}).pixels == std::vector<std::uint8_t>({1, 2, 3}));
});

HILUM_TEST("modality and VOI look-up tables", {
    RenderingAttributes attributes;
    attributes.modality_lut = make_lut(3, 1, 16, false, words({10, 20, 30}));
    attributes.voi_luts.push_back(make_lut(2, 10, 8, false, words({0, 255})));
    // 0, 1 -> 10 -> entry 0; 2 -> 20, beyond the last -> entry 1
    HILUM_CHECK(draw(words({0, 1, 2}), grey_16(1, 3), attributes).pixels == std::vector<std::uint8_t>({0, 0, 255}));
    HILUM_CHECK_THROWS(Errc::bad_value, make_lut(4, 0, 16, false, words({1, 2, 3})));
    HILUM_CHECK(make_lut(0, 0, 8, false, Bytes(65536, std::byte{7})).entries.size() == 65536);
    HILUM_CHECK(make_lut(2, 0xFFFF, 16, true, words({1, 2})).first == -1);
});

HILUM_TEST("segmented palettes: discrete, linear, indirect", {
    const Bytes data = words({0, 2, 10, 20, 1, 5, 70, 2, 2, 0, 0});
    // discrete 10 20; linear 30..70; indirect: both again, from byte 0
    const Lut lut = make_segmented_lut(14, 0, 16, false, data);
    HILUM_CHECK(lut.entries == std::vector<std::uint16_t>({10, 20, 30, 40, 50, 60, 70, 10, 20, 30, 40, 50, 60, 70}));
    HILUM_CHECK_THROWS(Errc::bad_value, make_segmented_lut(15, 0, 16, false, data));
    HILUM_CHECK_THROWS(Errc::bad_value, make_segmented_lut(3, 0, 16, false, data));
    HILUM_CHECK_THROWS(Errc::bad_value, make_segmented_lut(5, 0, 16, false, words({1, 5, 70})));
    HILUM_CHECK_THROWS(Errc::bad_value, make_segmented_lut(5, 0, 16, false, words({0, 9, 70})));
    HILUM_CHECK_THROWS(Errc::bad_value, make_segmented_lut(50, 0, 16, false, words({0, 1, 3, 2, 1, 6, 0, 2, 1, 6, 0})));
});

HILUM_TEST("YBR_FULL to RGB for all luminances and chrominances", {
    int worst = 0;
    for (int cb = 0; cb < 256; cb += 5) {
        for (int cr = 0; cr < 256; cr += 3) {
            for (int y = 0; y < 256; y += 7) {
                std::uint8_t rgb[3] = {static_cast<std::uint8_t>(y), static_cast<std::uint8_t>(cb),
                                       static_cast<std::uint8_t>(cr)};
                ybr_to_rgb(rgb, YbrKind::full);
                const double expected[3] = {y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
                                            y + 1.772 * (cb - 128)};
                for (int i = 0; i < 3; ++i) {
                    const double limited = std::min(255.0, std::max(0.0, expected[i]));
                    worst = std::max(worst, static_cast<int>(std::abs(rgb[i] - limited) + 0.49));
                }
            }
        }
    }
    HILUM_CHECK(worst == 0);
});

HILUM_TEST("scaling: weights sum to one, averages are areas, a constant stays", {
    for (const std::uint32_t from : {1U, 2U, 7U, 512U}) {
        for (const std::uint32_t to : {1U, 3U, 5U, 200U, 1000U}) {
            const auto taps = make_taps(from, to);
            HILUM_CHECK(taps.size() == to);
            for (const Taps& one : taps) {
                float sum = 0.0F;
                for (const float weight : one.weights) {
                    sum += weight;
                }
                HILUM_CHECK(std::abs(sum - 1.0F) < 1e-5F);
                HILUM_CHECK(one.first + one.weights.size() <= from);
            }
        }
    }
    RenderRequest request;
    request.width = 1;
    RenderingAttributes attributes;
    attributes.windows.push_back({127.5, 255.0, VoiFunction::linear_exact});
    HILUM_CHECK(draw(words({10, 20, 30, 40}), grey_16(1, 4), attributes, request).pixels ==
                std::vector<std::uint8_t>({25}));
});

HILUM_TEST("output size keeps the aspect of the pixels", {
    RenderRequest request;
    HILUM_CHECK(output_size(100, 200, 1.0, request) == std::pair(100U, 200U));
    HILUM_CHECK(output_size(100, 200, 2.0, request) == std::pair(200U, 200U));
    HILUM_CHECK(output_size(100, 200, 0.5, request) == std::pair(100U, 400U));
    request.width = 50;
    HILUM_CHECK(output_size(100, 200, 1.0, request) == std::pair(25U, 50U));
    request.height = 10;
    HILUM_CHECK(output_size(100, 200, 1.0, request) == std::pair(10U, 20U));
    request.width = 4000000000U;
    request.height = 0;
    HILUM_CHECK_THROWS(Errc::limit_exceeded, output_size(100, 200, 1.0, request));
});

HILUM_TEST("regions, and requests that cannot be", {
    const Bytes frame = words({1, 2, 3, 4, 5, 6});
    RenderingAttributes attributes;
    attributes.windows.push_back({127.5, 255.0, VoiFunction::linear_exact});
    RenderRequest request;
    request.region = Region{1, 1, 2, 1};
    HILUM_CHECK(draw(frame, grey_16(2, 3), attributes, request).pixels == std::vector<std::uint8_t>({5, 6}));
    request.region = Region{2, 1, 2, 1};
    HILUM_CHECK_THROWS(Errc::out_of_range, draw(frame, grey_16(2, 3), attributes, request));
    request.region = std::nullopt;
    request.window = Window{0.0, 0.0, VoiFunction::linear};
    HILUM_CHECK_THROWS(Errc::invalid_argument, draw(frame, grey_16(2, 3), attributes, request));
    HILUM_CHECK_THROWS(Errc::truncated, draw(frame, grey_16(3, 3), attributes));
});

HILUM_TEST("JPEG files decode to what went in; PNG rows inflate to the filtered image", {
    std::vector<std::uint8_t> pixels(64 * 48);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        pixels[i] = static_cast<std::uint8_t>(i % 64 * 4);
    }
    const Raster raster{pixels, 48, 64, 1};
    const Bytes jpeg = encode_jpeg(raster, 95);
    std::vector<std::uint8_t> back(pixels.size());
    tjhandle handle = tjInitDecompress();
    HILUM_CHECK(tjDecompress2(handle, reinterpret_cast<const unsigned char*>(jpeg.data()), jpeg.size(), back.data(), 64,
                              0, 48, TJPF_GRAY, 0) == 0);
    tjDestroy(handle);
    int worst = 0;
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        worst = std::max(worst, std::abs(pixels[i] - back[i]));
    }
    HILUM_CHECK(worst < 8);
    HILUM_CHECK_THROWS(Errc::invalid_argument, encode_jpeg(raster, 0));
    const Bytes png = encode_png(raster);
    HILUM_CHECK(png == encode_png(raster));
    std::vector<std::uint8_t> rows(48 * 65);
    uLongf size = rows.size();
    // signature 8, IHDR 25, IDAT header 8
    HILUM_CHECK(uncompress(rows.data(), &size, reinterpret_cast<const Bytef*>(png.data()) + 41,
                           png.size() - 41 - 4 - 12) == Z_OK);
    HILUM_CHECK(size == rows.size());
});

HILUM_TEST_MAIN
