// SPDX-License-Identifier: Apache-2.0
// Input: one byte of layout, then a JPEG lossless code stream, decoded at the size that it claims (up to 256 x 256).
#include <cstdint>
#include <vector>

#include "hilum/codec/jpeg.hpp"
#include "hilum/codec/jpeg_lossless.hpp"
#include "hilum/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) {
        return 0;
    }
    const std::vector<std::byte> frame(reinterpret_cast<const std::byte*>(data) + 1,
                                       reinterpret_cast<const std::byte*>(data) + size);
    try {
        const auto markers = hilum::codec::jpeg::read_markers(frame);
        if (markers.rows == 0 || markers.rows > 256 || markers.columns == 0 || markers.columns > 256) {
            return 0;
        }
        hilum::codec::PixelDescription d;
        d.rows = markers.rows;
        d.columns = markers.columns;
        d.samples_per_pixel = markers.components;
        d.bits_allocated = markers.precision > 8 || (data[0] & 1U) != 0 ? 16 : 8;
        d.bits_stored = d.bits_allocated;
        d.high_bit = static_cast<std::uint16_t>(d.bits_stored - 1);
        d.pixel_representation = (data[0] & 2U) != 0 ? 1 : 0;
        hilum::codec::check_description(d);
        std::vector<std::byte> out(hilum::codec::frame_bytes(d));
        const auto info = hilum::codec::jpeg_lossless::kCodec.probe(frame, d);
        hilum::codec::jpeg_lossless::kCodec.decode(frame, d, info, out);
    } catch (const hilum::Error&) {
    }
    return 0;
}
