// SPDX-License-Identifier: Apache-2.0
// Input: one byte of layout, then a code stream, decoded at the size that it claims (up to 256 x 256).
#pragma once

#include <cstdint>
#include <vector>

#include "hilum/codec/codec.hpp"
#include "hilum/error.hpp"

namespace hilum::fuzz {

inline void decode(const codec::Codec& codec, const std::uint8_t* data, std::size_t size) {
    if (size < 1) {
        return;
    }
    // A buffer of the exact size, so that the sanitizer sees one byte too much on either side.
    const std::vector<std::byte> frame(reinterpret_cast<const std::byte*>(data) + 1,
                                       reinterpret_cast<const std::byte*>(data) + size);
    try {
        const codec::ImageInfo info = codec.probe(frame, {});
        if (info.rows == 0 || info.rows > 256 || info.columns == 0 || info.columns > 256) {
            return;
        }
        codec::PixelDescription d;
        d.rows = info.rows;
        d.columns = info.columns;
        d.samples_per_pixel = info.components;
        d.bits_allocated = info.precision > 16 || (data[0] & 4U) != 0  ? 32
                           : info.precision > 8 || (data[0] & 1U) != 0 ? 16
                                                                       : 8;
        d.bits_stored = d.bits_allocated;
        d.high_bit = static_cast<std::uint16_t>(d.bits_stored - 1);
        d.pixel_representation = (data[0] & 2U) != 0 ? 1 : 0;
        codec::check_description(d);
        std::vector<std::byte> out(codec::frame_bytes(d));
        codec.decode(frame, d, info, out);
    } catch (const Error&) {
    }
}

}  // namespace hilum::fuzz
