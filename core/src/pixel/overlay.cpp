// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/overlay.hpp"

#include <algorithm>
#include <cstdio>

#include "hilum/codec/native.hpp"
#include "hilum/error.hpp"

namespace hilum::pixel {
namespace {

[[noreturn]] void refuse(const FileOverlay& overlay, const char* attribute, unsigned element, const char* why) {
    char text[160];
    std::snprintf(text, sizeof(text), "%s (%04X,%04X) %s", attribute, static_cast<unsigned>(overlay.group), element,
                  why);
    throw Error(Errc::bad_value, text);
}

/// Byte and bit, inside of a container, of what the standard calls bit `bit`.
struct Place {
    std::size_t container;
    std::size_t byte;
    unsigned shift;
};

Place place_of(const codec::PixelDescription& d, unsigned bit, bool big_endian) noexcept {
    const std::size_t container = d.bits_allocated / 8U;
    const std::size_t byte = bit / 8U;
    return {container, big_endian ? container - 1 - byte : byte, bit % 8U};
}

void check_embedded(const FileOverlay& o, const codec::Syntax& syntax, const codec::PixelDescription& d) {
    const codec::Codec* decoder = syntax.decoders.front();
    if (decoder != &codec::native::kLittleEndian && decoder != &codec::native::kBigEndian) {
        refuse(o, "Overlay Bit Position", 0x0102, "points into pixel data that are compressed");
    }
    if (d.samples_per_pixel != 1 || d.bits_allocated % 8 != 0 || d.keyword != codec::PixelKeyword::pixel_data) {
        refuse(o, "Overlay Bit Position", 0x0102, "points into pixel data that have no unused bits");
    }
    if (o.bit >= d.bits_allocated || (o.bit <= d.high_bit && o.bit + d.bits_stored > d.high_bit)) {
        refuse(o, "Overlay Bit Position", 0x0102, "is one of Bits Stored (0028,0101), or outside of Bits Allocated");
    }
    if (o.plane.rows != d.rows) {
        refuse(o, "Overlay Rows", 0x0010, "of an overlay inside of the pixel data differ from Rows (0028,0010)");
    }
    if (o.plane.columns != d.columns) {
        refuse(o, "Overlay Columns", 0x0011, "of an overlay inside of the pixel data differ from Columns (0028,0011)");
    }
}

}  // namespace

OverlayPlane embedded_plane(const FileOverlay& overlay, const codec::StoredFrame& frame, const codec::Syntax& syntax,
                            const codec::PixelDescription& d) {
    check_embedded(overlay, syntax, d);
    const Place place = place_of(d, overlay.bit, syntax.decoders.front() == &codec::native::kBigEndian);
    const std::size_t pixels = std::size_t{d.rows} * d.columns;
    if (frame.fragments.size() != 1 || frame.fragments[0].size() < pixels * place.container) {
        throw Error(Errc::truncated, "the frame is shorter than its description says");
    }
    OverlayPlane plane = overlay.plane;
    plane.bits.assign((pixels + 7) / 8, std::byte{0});
    const std::byte* in = frame.fragments[0].data() + place.byte;
    for (std::size_t i = 0; i < pixels; ++i, in += place.container) {
        const unsigned bit = static_cast<unsigned>(*in) >> place.shift & 1U;
        plane.bits[i / 8] |= static_cast<std::byte>(bit << (i % 8));
    }
    return plane;
}

OverlayPlane outline_of(const OverlayPlane& plane) {
    OverlayPlane edge = plane;
    edge.bits.assign(plane.bits.size(), std::byte{0});
    const auto inside = [&](std::uint32_t r, std::uint32_t c) {
        return r > 0 && c > 0 && r + 1 < plane.rows && c + 1 < plane.columns && plane.at(r - 1, c) &&
               plane.at(r + 1, c) && plane.at(r, c - 1) && plane.at(r, c + 1);
    };
    for (std::uint32_t r = 0; r < plane.rows; ++r) {
        for (std::uint32_t c = 0; c < plane.columns; ++c) {
            if (plane.at(r, c) && !inside(r, c)) {
                const std::uint64_t index = std::uint64_t{r} * plane.columns + c;
                edge.bits[index / 8] |= static_cast<std::byte>(1U << (index % 8));
            }
        }
    }
    return edge;
}

void add_plane(const OverlayPlane& plane, const Region& part, std::span<std::uint8_t> mask) noexcept {
    // The plane's first pixel in coordinates of `part`; 64 bits, since origins are any 32-bit numbers.
    const std::int64_t left = std::int64_t{plane.column} - 1 - part.x;
    const std::int64_t top = std::int64_t{plane.row} - 1 - part.y;
    const std::int64_t first_x = std::max<std::int64_t>(left, 0);
    const std::int64_t first_y = std::max<std::int64_t>(top, 0);
    const std::int64_t end_x = std::min<std::int64_t>(left + plane.columns, part.columns);
    const std::int64_t end_y = std::min<std::int64_t>(top + plane.rows, part.rows);
    for (std::int64_t y = first_y; y < end_y; ++y) {
        std::uint8_t* row = mask.data() + static_cast<std::size_t>(y) * part.columns;
        for (std::int64_t x = first_x; x < end_x; ++x) {
            if (plane.at(static_cast<std::uint32_t>(y - top), static_cast<std::uint32_t>(x - left))) {
                row[x] = 0xFF;
            }
        }
    }
}

}  // namespace hilum::pixel
