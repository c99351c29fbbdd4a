// SPDX-License-Identifier: Apache-2.0
#include <turbojpeg.h>

#include <algorithm>
#include <random>
#include <vector>

#include "check.hpp"
#include "hilum/codec/jpeg.hpp"
#include "hilum/error.hpp"

namespace {

using hilum::Errc;
using hilum::codec::PixelDescription;
using hilum::codec::jpeg::decode_rgb_parts;
using hilum::codec::jpeg::RgbPart;
using Bytes = std::vector<std::byte>;
using Rgb = std::vector<std::uint8_t>;

constexpr std::uint32_t kRows = 61;
constexpr std::uint32_t kColumns = 83;

Bytes encoded(int sampling) {
    std::mt19937 random(7);
    Rgb pixels(std::size_t{kRows} * kColumns * 3);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        pixels[i] = static_cast<std::uint8_t>(i / 7 % 128 + random() % 128);
    }
    tjhandle handle = tjInitCompress();
    unsigned char* file = nullptr;
    unsigned long size = 0;
    tjCompress2(handle, pixels.data(), kColumns, 0, kRows, TJPF_RGB, &file, &size, sampling, 85, 0);
    const auto* begin = reinterpret_cast<const std::byte*>(file);
    Bytes out(begin, begin + size);
    tjFree(file);
    tjDestroy(handle);
    return out;
}

PixelDescription described() {
    PixelDescription d;
    d.rows = kRows;
    d.columns = kColumns;
    d.samples_per_pixel = 3;
    d.bits_allocated = d.bits_stored = 8;
    d.high_bit = 7;
    d.photometric = hilum::codec::Photometric::ybr_full_422;
    return d;
}

/// What libjpeg-turbo's other interface makes of the whole frame.
Rgb whole_of(const Bytes& file, unsigned rows, unsigned columns) {
    Rgb out(std::size_t{rows} * columns * 3);
    tjhandle handle = tjInitDecompress();
    tjDecompress2(handle, reinterpret_cast<const unsigned char*>(file.data()), file.size(), out.data(),
                  static_cast<int>(columns), 0, static_cast<int>(rows), TJPF_RGB, TJFLAG_ACCURATEDCT);
    tjDestroy(handle);
    return out;
}

bool is_refused(Errc code, const std::vector<RgbPart>& parts, const PixelDescription& d, unsigned halvings = 0) {
    Rgb rgb(std::size_t{20} * 20 * 3);
    try {
        decode_rgb_parts(parts, d, halvings, 20, 20, rgb, 1);
    } catch (const hilum::Error& error) {
        return error.code() == code;
    }
    return false;
}

}  // namespace

HILUM_TEST("JPEG parts: put together they are the whole frame, at every resolution, on any number of threads", {
    for (const int sampling : {TJSAMP_444, TJSAMP_422, TJSAMP_420, TJSAMP_440, TJSAMP_411}) {
        const Bytes file = encoded(sampling);
        for (unsigned halvings = 0; halvings <= hilum::codec::jpeg::kMaxHalvings; ++halvings) {
            const std::uint32_t rows = (kRows + (1U << halvings) - 1) >> halvings;
            const std::uint32_t columns = (kColumns + (1U << halvings) - 1) >> halvings;
            std::vector<RgbPart> parts;
            for (std::uint32_t y = 0; y < rows; y += 7) {
                for (std::uint32_t x = 0; x < columns; x += 11) {
                    const std::uint32_t wide = std::min(11U, columns - x);
                    parts.push_back({file, x, y, wide, std::min(7U, rows - y), columns - x - wide, y});
                }
            }
            Rgb mirrored(std::size_t{rows} * columns * 3);
            decode_rgb_parts(parts, described(), halvings, rows, columns, mirrored, 1 + halvings);
            for (RgbPart& part : parts) {
                part.to_x = part.x;
            }
            Rgb straight(mirrored.size());
            decode_rgb_parts(parts, described(), halvings, rows, columns, straight, 4 - halvings);
            HILUM_CHECK(straight == whole_of(file, rows, columns));
            HILUM_CHECK(halvings == 3 || mirrored != straight);
        }
    }
});

HILUM_TEST("JPEG parts: what does not fit is refused", {
    const Bytes file = encoded(TJSAMP_422);
    PixelDescription d = described();
    HILUM_CHECK(is_refused(Errc::invalid_argument, {{file, 70, 0, 14, 20, 0, 0}}, d));
    HILUM_CHECK(is_refused(Errc::invalid_argument, {{file, 0, 50, 20, 12, 0, 0}}, d));
    HILUM_CHECK(is_refused(Errc::invalid_argument, {{file, 0, 0, 0, 20, 0, 0}}, d));
    HILUM_CHECK(is_refused(Errc::invalid_argument, {{file, 0, 0, 20, 20, 1, 0}}, d));
    HILUM_CHECK(is_refused(Errc::invalid_argument, {{file, 0xFFFFFFFF, 0, 2, 2, 0, 0}}, d));
    HILUM_CHECK(is_refused(Errc::invalid_argument, {{file, 41, 0, 20, 20, 0, 0}}, d, 1));
    HILUM_CHECK(is_refused(Errc::invalid_argument, {{file, 0, 0, 5, 5, 0, 0}}, d, 4));
    const Bytes torn(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(file.size() / 2));
    HILUM_CHECK(is_refused(Errc::bad_codestream, {{file, 0, 0, 9, 9, 0, 0}, {torn, 0, 41, 20, 20, 0, 0}}, d));
    HILUM_CHECK(!is_refused(Errc::bad_codestream, {{torn, 0, 0, 9, 9, 0, 0}}, d));
    d.rows = kRows - 1;
    HILUM_CHECK(is_refused(Errc::bad_codestream, {{file, 0, 0, 9, 9, 0, 0}}, d));
    d = described();
    d.photometric = hilum::codec::Photometric::ybr_partial_422;
    HILUM_CHECK(is_refused(Errc::unsupported_pixels, {{file, 0, 0, 9, 9, 0, 0}}, d));
});

HILUM_TEST_MAIN
