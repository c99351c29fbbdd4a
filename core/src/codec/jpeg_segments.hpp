// SPDX-License-Identifier: Apache-2.0
// What the decoders of the JPEG family share: numbers, marker segments (ISO/IEC 10918-1 B.1.1), the size of a frame.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "hilum/codec/jpeg.hpp"
#include "hilum/error.hpp"

namespace hilum::codec::jpeg {

[[nodiscard]] inline unsigned byte_at(std::span<const std::byte> data, std::size_t at) noexcept {
    return static_cast<unsigned>(data[at]);
}

[[nodiscard]] inline unsigned word_at(std::span<const std::byte> data, std::size_t at) noexcept {
    return byte_at(data, at) << 8U | byte_at(data, at + 1);
}

struct Segment {
    unsigned marker = 0;  ///< its second byte
    std::span<const std::byte> content;
    std::size_t start = 0;  ///< offset of the marker
};

/// The segment at `at`, which then stands behind it; fill bytes and markers without a segment are passed over. Nothing
/// at the end of the image or of the data.
[[nodiscard]] inline std::optional<Segment> next_segment(std::span<const std::byte> data, std::size_t& at) {
    while (at + 2 <= data.size()) {
        if (byte_at(data, at) != 0xFF) {
            throw Error(Errc::bad_codestream, "no JPEG marker where one must be", at);
        }
        const unsigned marker = byte_at(data, at + 1);
        if (marker == 0xD9) {
            return std::nullopt;
        }
        if (marker == 0xFF) {
            ++at;
        } else if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) {
            at += 2;
        } else {
            const std::size_t left = data.size() - at - 2;
            if (left < 2 || word_at(data, at + 2) < 2 || word_at(data, at + 2) > left) {
                throw Error(Errc::truncated, "JPEG segment reaches past the end of the frame", at);
            }
            const Segment found{marker, data.subspan(at + 4, word_at(data, at + 2) - 2U), at};
            at += 4 + found.content.size();
            return found;
        }
    }
    return std::nullopt;
}

/// What a frame header says, checked as far as every process of the family can.
[[nodiscard]] inline ImageInfo info_of(const Markers& markers, const char* process) {
    if (markers.rows == 0 || markers.columns == 0 || markers.components == 0 || markers.components > 4) {
        throw Error(Errc::bad_codestream,
                    std::string(process) + " frame header without size or with too many components",
                    markers.frame_header);
    }
    ImageInfo info;
    info.rows = markers.rows;
    info.columns = markers.columns;
    info.components = markers.components;
    info.precision = markers.precision;
    info.colour = colour_of(markers);
    return info;
}

}  // namespace hilum::codec::jpeg
