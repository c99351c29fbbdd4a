// SPDX-License-Identifier: Apache-2.0
// What comes after the VOI LUT. The slow twins of tests/property/test_pictures.py hold it to the standard; these tests
// run under the sanitizers and need no Python.
#include <cmath>
#include <string>
#include <vector>

#include "check.hpp"
#include "hilum/codec/registry.hpp"
#include "hilum/limits.hpp"
#include "hilum/pixel/render.hpp"

namespace {

using hilum::Errc;
using namespace hilum::pixel;
using Pixels = std::vector<std::uint8_t>;

hilum::codec::PixelDescription bytes_of_size(std::uint32_t rows, std::uint32_t columns) {
    hilum::codec::PixelDescription d;
    d.rows = rows;
    d.columns = columns;
    d.bits_allocated = d.bits_stored = 8;
    d.high_bit = 7;
    return d;
}

RenderedImage draw(const Pixels& frame, std::uint32_t rows, const RenderRequest& request,
                   const RenderingAttributes& attributes = {}) {
    const std::span<const std::byte> fragment = std::as_bytes(std::span(frame));
    const auto columns = static_cast<std::uint32_t>(frame.size() / rows);
    return render_image({{&fragment, 1}, 0}, hilum::codec::require_syntax("1.2.840.10008.1.2.1"),
                        bytes_of_size(rows, columns), attributes, request);
}

OverlayPlane plane(std::uint32_t rows, std::uint32_t columns, std::uint8_t bits) {
    return {rows, columns, 1, 1, std::vector<std::byte>((std::size_t{rows} * columns + 7) / 8, std::byte{bits})};
}

}  // namespace

HILUM_TEST("rotations are clockwise, a flip comes after them", {
    const Pixels frame{1, 2, 3, 4, 5, 6};
    RenderRequest request;
    request.rotation = 90;
    HILUM_CHECK(draw(frame, 2, request).pixels == Pixels({4, 1, 5, 2, 6, 3}));
    HILUM_CHECK(draw(frame, 2, request).shape.rows == 3);
    request.flip = true;
    HILUM_CHECK(draw(frame, 2, request).pixels == Pixels({1, 4, 2, 5, 3, 6}));
    request.flip = false;
    request.rotation = 270;
    HILUM_CHECK(draw(frame, 2, request).pixels == Pixels({3, 6, 2, 5, 1, 4}));
    request.rotation = 180;
    HILUM_CHECK(draw(frame, 2, request).pixels == Pixels({6, 5, 4, 3, 2, 1}));
});

HILUM_TEST("displayed areas reach outside of the image and may have their corners exchanged", {
    const Pixels frame{1, 2, 3, 4};
    RenderRequest request;
    request.displayed_area = DisplayedArea{3, 0, 1, 2};
    HILUM_CHECK(draw(frame, 2, request).pixels == Pixels({0, 0, 0, 1, 2, 0, 3, 4, 0}));
    request.displayed_area = DisplayedArea{-9, -9, -8, -8};
    HILUM_CHECK(draw(frame, 2, request).pixels == Pixels({0, 0, 0, 0}));
    request.displayed_area = DisplayedArea{-0x7FFFFFFF, -0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF};
    HILUM_CHECK_THROWS(Errc::limit_exceeded, draw(frame, 2, request));
    request.width = 2;
    HILUM_CHECK(draw(frame, 2, request).pixels.size() == 4);
});

HILUM_TEST("cubic taps have four samples inside, sum to one and repeat the edges", {
    for (const Taps& taps : make_taps(7, 20, Interpolation::cubic)) {
        float sum = 0.0F;
        for (const float weight : taps.weights) {
            sum += weight;
        }
        HILUM_CHECK(std::abs(sum - 1.0F) < 1e-6F);
        HILUM_CHECK(taps.weights.size() <= 4 && taps.first + taps.weights.size() <= 7);
    }
    HILUM_CHECK(make_taps(1, 9, Interpolation::cubic).front().weights.size() == 1);
});

HILUM_TEST("overlays, their outlines and their inks", {
    const Pixels frame(9, 10);
    RenderRequest request;
    request.overlays = {{0, plane(3, 3, 0xFF), Ink{0x8080, std::nullopt}, true}};
    HILUM_CHECK(draw(frame, 3, request).pixels == Pixels({128, 128, 128, 128, 10, 128, 128, 128, 128}));
    request.overlays->front().outline = std::nullopt;
    HILUM_CHECK(draw(frame, 3, request).pixels == Pixels(9, 128));
    request.overlays->front().ink.colour = Rgb{1, 2, 3};
    const RenderedImage colour = draw(frame, 3, request);
    HILUM_CHECK(colour.shape.samples == 3 && colour.pixels[0] == 1 && colour.pixels[26] == 3);
    request.bits = 16;
    HILUM_CHECK_THROWS(Errc::invalid_argument, draw(frame, 3, request));
    request.bits = 8;
    request.overlays->front().plane.bits.clear();
    HILUM_CHECK_THROWS(Errc::invalid_argument, draw(frame, 3, request));
});

HILUM_TEST("shutters hide what is outside of any shape; what cannot be is named", {
    const Pixels frame(25, 9);
    RenderRequest request;
    request.shutter = Shutter{};
    request.shutter->rectangle = ShutterRectangle{2, 4, 1, 5};
    request.shutter->circle = ShutterCircle{3, 3, 2};
    HILUM_CHECK(draw(frame, 5, request).pixels ==
                Pixels({0, 0, 9, 0, 0, 0, 9, 9, 9, 0, 0, 9, 9, 9, 0, 0, 9, 9, 9, 0, 0, 0, 9, 0, 0}));
    Shutter bad;
    bad.polygon.assign(hilum::limits::kMaxShutterVertices + 1, {1, 1});
    HILUM_CHECK(defect_of(bad).find("(0018,1620)") != std::string::npos);
    bad.polygon.assign(2, {1, 1});
    HILUM_CHECK(!defect_of(bad).empty());
    bad.polygon = {{1, 1}, {1, 1LL << 40}, {9, 9}};
    HILUM_CHECK(!defect_of(bad).empty());
});

HILUM_TEST("sixteen bits of grey go through every kind of mapping", {
    Pixels frame(64);
    for (std::size_t i = 0; i < frame.size(); ++i) {
        frame[i] = static_cast<std::uint8_t>(4 * i);
    }
    RenderRequest request;
    request.bits = 16;
    const RenderedImage shown = draw(frame, 8, request);
    HILUM_CHECK(shown.shape.sample_bytes == 2 && shown.pixels.size() == 128);
    HILUM_CHECK(shown.pixels[2 * 63] == 252 && shown.pixels[2 * 63 + 1] == 252);  // 252 * 257
    request.scale = 0.5;
    HILUM_CHECK(draw(frame, 8, request).pixels.size() == 32);
    const std::span<const std::byte> fragment = std::as_bytes(std::span(frame));
    request.format = FileFormat::jpeg;
    HILUM_CHECK_THROWS(Errc::invalid_argument,
                       render({{&fragment, 1}, 0}, hilum::codec::require_syntax("1.2.840.10008.1.2.1"),
                              bytes_of_size(8, 8), {}, request));
});

HILUM_TEST("the caller's buffer has to be exactly one picture", {
    const Pixels frame(4, 1);
    const std::span<const std::byte> fragment = std::as_bytes(std::span(frame));
    Pixels out(5);
    HILUM_CHECK_THROWS(Errc::buffer_too_small,
                       render_into({{&fragment, 1}, 0}, hilum::codec::require_syntax("1.2.840.10008.1.2.1"),
                                   bytes_of_size(2, 2), {}, {}, out));
});

HILUM_TEST("CIELab to sRGB", {
    HILUM_CHECK((cielab_to_rgb({65535, 32896, 32896}) == Rgb{255, 255, 255}));
    HILUM_CHECK((cielab_to_rgb({0, 32896, 32896}) == Rgb{0, 0, 0}));
});

HILUM_TEST_MAIN
