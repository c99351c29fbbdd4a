// SPDX-License-Identifier: Apache-2.0
// Input: colour and halvings, x, y, columns, rows of a part, then a JPEG frame (up to 128 x 128). Where the whole frame
// decodes, so does the part, to the same pixels.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "hilum/codec/jpeg.hpp"
#include "hilum/error.hpp"

namespace {

using hilum::codec::PixelDescription;
using hilum::codec::jpeg::RgbPart;

PixelDescription describe(std::span<const std::byte> frame, unsigned choice) {
    const auto markers = hilum::codec::jpeg::read_markers(frame);
    PixelDescription d;
    d.rows = std::clamp<std::uint32_t>(markers.rows, 1, 128);
    d.columns = std::clamp<std::uint32_t>(markers.columns, 1, 128);
    d.samples_per_pixel = 3;
    d.bits_allocated = d.bits_stored = 8;
    d.high_bit = 7;
    d.photometric = (choice & 4U) != 0 ? hilum::codec::Photometric::rgb : hilum::codec::Photometric::ybr_full_422;
    return d;
}

std::vector<std::uint8_t> decode(const RgbPart& part, const PixelDescription& d, unsigned halvings) {
    std::vector<std::uint8_t> rgb(std::size_t{part.rows} * part.columns * 3);
    hilum::codec::jpeg::decode_rgb_parts({&part, 1}, d, halvings, part.rows, part.columns, rgb, 1);
    return rgb;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 5) {
        return 0;
    }
    const unsigned halvings = data[0] & 3U;
    const std::vector<std::byte> frame(reinterpret_cast<const std::byte*>(data) + 5,
                                       reinterpret_cast<const std::byte*>(data) + size);
    try {
        const PixelDescription d = describe(frame, data[0]);
        RgbPart whole{frame, 0, 0, (d.columns + (1U << halvings) - 1) >> halvings,
                      (d.rows + (1U << halvings) - 1) >> halvings};
        RgbPart part{frame, data[1] % whole.columns, data[2] % whole.rows};
        part.columns = 1 + data[3] % (whole.columns - part.x);
        part.rows = 1 + data[4] % (whole.rows - part.y);
        std::vector<std::uint8_t> all;
        try {
            all = decode(whole, d, halvings);
        } catch (const hilum::Error&) {
            (void)decode(part, d, halvings);
            return 0;
        }
        const std::vector<std::uint8_t> some = decode(part, d, halvings);
        for (std::uint32_t row = 0; row < part.rows; ++row) {
            const auto from = all.begin() + static_cast<std::ptrdiff_t>(((part.y + row) * whole.columns + part.x) * 3);
            const auto to = some.begin() + static_cast<std::ptrdiff_t>(row * part.columns * 3);
            if (!std::equal(to, to + static_cast<std::ptrdiff_t>(part.columns) * 3, from)) {
                std::abort();
            }
        }
    } catch (const hilum::Error&) {
    }
    return 0;
}
