// SPDX-License-Identifier: Apache-2.0
// Input: syntax, layout, rows, columns (1-64 each, or a JPEG's own up to 128), then a frame. Decoded and rendered
// through the registry, so libjpeg-turbo, OpenJPEG, native data and the pixel pipeline are all reached.
#include <cstdint>
#include <vector>

#include "hilum/codec/jpeg.hpp"
#include "hilum/codec/registry.hpp"
#include "hilum/error.hpp"
#include "hilum/pixel/render.hpp"

namespace {

using hilum::codec::PixelDescription;

void take_size_of_jpeg(std::span<const std::byte> frame, PixelDescription& d) {
    try {
        const auto markers = hilum::codec::jpeg::read_markers(frame);
        if (markers.rows != 0 && markers.rows <= 128 && markers.columns != 0 && markers.columns <= 128) {
            d.rows = markers.rows;
            d.columns = markers.columns;
            d.samples_per_pixel = markers.components;
        }
    } catch (const hilum::Error&) {
    }
}

PixelDescription describe(const std::uint8_t* data) {
    constexpr std::uint16_t kBits[5] = {1, 8, 16, 32, 12};
    PixelDescription d;
    const unsigned layout = data[1];
    d.bits_allocated = kBits[data[2] >= 192 ? 4 : layout % 4];
    d.samples_per_pixel = d.bits_allocated > 1 && (layout & 4U) != 0 ? 3 : 1;
    d.bits_stored = d.bits_allocated == 16 && (layout & 8U) != 0 ? 12 : d.bits_allocated;
    d.high_bit = static_cast<std::uint16_t>(d.bits_stored - 1);
    d.pixel_representation = (layout & 16U) != 0 ? 1 : 0;
    d.planar_configuration = (layout & 32U) != 0 ? 1 : 0;
    d.rows = 1U + data[2] % 64U;
    d.columns = 1U + data[3] % 64U;
    d.photometric = static_cast<hilum::codec::Photometric>(data[0] / 16U % 11U);
    if ((layout & 192U) == 192U && d.samples_per_pixel == 1) {
        d.keyword = hilum::codec::PixelKeyword::float_pixel_data;
        d.bits_allocated = 32;
    }
    return d;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) {
        return 0;
    }
    const auto syntaxes = hilum::codec::syntaxes();
    const hilum::codec::Syntax& syntax = syntaxes[data[0] % syntaxes.size()];
    PixelDescription d = describe(data);
    const std::vector<std::byte> frame(reinterpret_cast<const std::byte*>(data) + 4,
                                       reinterpret_cast<const std::byte*>(data) + size);
    take_size_of_jpeg(frame, d);
    const std::span<const std::byte> fragment(frame);
    const hilum::codec::StoredFrame stored{{&fragment, 1}, data[1] / 64U};
    try {
        hilum::codec::check_description(d);
        std::vector<std::byte> out(hilum::codec::frame_bytes(d));
        hilum::codec::decode_frame(stored, syntax, d, out);
        hilum::pixel::RenderRequest request;
        request.width = data[2] % 50U;
        request.format = (data[3] & 1U) != 0 ? hilum::pixel::FileFormat::png : hilum::pixel::FileFormat::jpeg;
        (void)hilum::pixel::render(stored, syntax, d, {}, request);
    } catch (const hilum::Error&) {
    }
    return 0;
}
