// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/unpack.hpp"

#include <algorithm>

#include "hilum/codec/native.hpp"
#include "hilum/error.hpp"

namespace hilum::pixel {
namespace {

using codec::PixelDescription;

Extraction extraction_of(const PixelDescription& d) noexcept {
    Extraction e;
    e.is_signed = d.pixel_representation == 1;
    if (d.keyword == codec::PixelKeyword::pixel_data && d.bits_allocated > 1) {
        e.left = static_cast<std::uint8_t>(d.bits_allocated - 1 - d.high_bit);
        e.right = static_cast<std::uint8_t>(d.bits_allocated - d.bits_stored);
    }
    return e;
}

/// Little endian single-sample frames of 8 and 16 bits are read where they lie.
bool readable_in_place(const codec::StoredFrame& frame, const codec::Syntax& syntax, const PixelDescription& d) {
    const bool little = syntax.decoders.front() == &codec::native::kLittleEndian;
    return little && frame.fragments.size() == 1 && d.samples_per_pixel == 1 &&
           d.keyword == codec::PixelKeyword::pixel_data && (d.bits_allocated == 8 || d.bits_allocated == 16);
}

}  // namespace

Unpacked unpack(const codec::StoredFrame& frame, const codec::Syntax& syntax, const PixelDescription& d) {
    codec::check_description(d);
    Unpacked result;
    const std::size_t container = bytes_of(codec::sample_type(d));
    result.view = {nullptr,
                   d.rows,
                   d.columns,
                   std::size_t{d.columns} * d.samples_per_pixel * container,
                   codec::sample_type(d),
                   d.samples_per_pixel};
    if (readable_in_place(frame, syntax, d)) {
        const auto needed = codec::frame_bytes(d);
        if (frame.fragments[0].size() < needed) {
            throw Error(Errc::truncated, "the frame is shorter than its description says", frame.fragments[0].size());
        }
        result.view.data = frame.fragments[0].data();
        result.extraction = extraction_of(d);
        result.info.rows = d.rows;
        result.info.columns = d.columns;
        result.info.components = 1;
        result.info.precision = d.bits_stored;
        return result;
    }
    const std::uint64_t bytes = codec::frame_bytes(d);
    result.owned = std::make_unique_for_overwrite<std::byte[]>(bytes);
    result.info = codec::decode_frame(frame, syntax, d, {result.owned.get(), bytes});
    result.view.data = result.owned.get();
    // Decoders hand out extracted values, except that JPEG 2000 keeps the sign of its code stream: extracting once more
    // from bit 0 on is right for all. A code stream with more bits than Bits Stored is believed, not cut.
    const unsigned bits = std::max(d.bits_stored, result.info.precision);
    if (d.keyword == codec::PixelKeyword::pixel_data && d.bits_allocated > 1 && bits < d.bits_allocated) {
        result.extraction.right = static_cast<std::uint8_t>(d.bits_allocated - bits);
        result.extraction.left = result.extraction.right;
    }
    result.extraction.is_signed = d.pixel_representation == 1;
    return result;
}

}  // namespace hilum::pixel
