// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/jpeg_ls.hpp"

#include <cstring>
#include <string>

#include "../jpeg_segments.hpp"
#include "hilum/codec/jpeg.hpp"
#include "hilum/error.hpp"
#include "scan.hpp"

namespace hilum::codec::jpeg_ls {
namespace {

using jpeg::byte_at;
using jpeg::word_at;

ImageInfo probe(std::span<const std::byte> data, const PixelDescription&) {
    const jpeg::Markers markers = jpeg::read_markers(data);
    if (markers.frame_type != 0xF7) {
        throw Error(Errc::bad_codestream, "no JPEG-LS frame header", markers.frame_header);
    }
    if (markers.precision < 2 || markers.precision > 16) {
        throw Error(Errc::bad_codestream, "JPEG-LS with " + std::to_string(markers.precision) + " bits a sample",
                    markers.frame_header);
    }
    return jpeg::info_of(markers, "JPEG-LS");
}

/// Segments between the start of the image and the last scan.
class Reader {
public:
    Reader(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo& info, std::span<std::byte> out)
        : data_(data), description_(d), info_(info), out_(out) {}

    void run() {
        while (done_ < info_.components) {
            const auto segment = jpeg::next_segment(data_, at_);
            if (!segment) {
                throw Error(Errc::truncated, "JPEG-LS ends before its last component", at_);
            }
            take(segment->marker, segment->content, segment->start);
        }
    }

private:
    void take(unsigned marker, std::span<const std::byte> segment, std::size_t start) {
        switch (marker) {
            case 0xF8:
                take_parameters(segment, start);
                break;
            case 0xDD:
                take_restart(segment, start);
                break;
            case 0xDA:
                take_scan(segment, start);
                break;
            case 0xE8:
                if (segment.size() == 5 && std::memcmp(segment.data(), "mrfx", 4) == 0 && byte_at(segment, 4) != 0) {
                    throw Error(Errc::unsupported_pixels, "JPEG-LS with a private colour transform has no decoder",
                                start);
                }
                break;
            default:
                break;  // application data, comments, the frame header that probe has read
        }
    }

    void take_parameters(std::span<const std::byte> segment, std::size_t start) {  // LSE, C.2.4.1
        const unsigned type = segment.empty() ? 0 : byte_at(segment, 0);
        if (type == 1 && segment.size() == 11) {
            preset_ = {word_at(segment, 1), word_at(segment, 3), word_at(segment, 5), word_at(segment, 7),
                       word_at(segment, 9)};
        } else if (type == 2 || type == 3) {
            throw Error(Errc::unsupported_pixels, "JPEG-LS with a mapping table has no decoder", start);
        } else if (type == 4) {
            throw Error(Errc::unsupported_pixels, "JPEG-LS with sizes above 65535 has no decoder", start);
        } else {
            throw Error(Errc::bad_codestream, "JPEG-LS parameters (LSE) of an unknown kind", start);
        }
    }

    void take_restart(std::span<const std::byte> segment, std::size_t start) {  // DRI: two to four bytes
        if (segment.size() < 2 || segment.size() > 4) {
            throw Error(Errc::bad_codestream, "JPEG-LS restart interval of a wrong length", start);
        }
        restart_ = 0;
        for (std::size_t i = 0; i < segment.size(); ++i) {
            restart_ = restart_ << 8U | byte_at(segment, i);
        }
    }

    void take_scan(std::span<const std::byte> segment, std::size_t start) {  // SOS, C.2.3
        const unsigned count = segment.empty() ? 0 : byte_at(segment, 0);
        if (count == 0 || segment.size() != 4 + 2U * count || count > info_.components - done_) {
            throw Error(Errc::bad_codestream, "JPEG-LS scan header does not fit the frame header", start);
        }
        for (unsigned c = 0; c < count; ++c) {
            if (byte_at(segment, 2 + 2U * c) != 0) {
                throw Error(Errc::unsupported_pixels, "JPEG-LS with a mapping table has no decoder", start);
            }
        }
        const unsigned interleave = byte_at(segment, 2 + 2U * count);
        if (interleave > 2 || (interleave == 0) != (count == 1) || (byte_at(segment, 3 + 2U * count) & 15U) != 0) {
            // A single component may be marked as interleaved: it makes no difference.
            if (interleave > 2 || count != 1 || (byte_at(segment, 3 + 2U * count) & 15U) != 0) {
                throw Error(Errc::bad_codestream, "JPEG-LS interleave mode or point transform is not possible", start);
            }
        }
        Scan scan;
        scan.rows = info_.rows;
        scan.columns = info_.columns;
        scan.components = count;
        scan.near = byte_at(segment, 1 + 2U * count);
        scan.interleave = static_cast<Interleave>(interleave);
        scan.preset = preset_;
        scan.restart_rows = restart_;
        scan.container = bytes_of(sample_type(description_));
        scan.step = info_.components;
        scan.out = out_.data() + done_ * scan.container;
        if (!complete(scan.preset, info_.precision, scan.near)) {
            throw Error(Errc::bad_codestream, "JPEG-LS parameters are not possible", start);
        }
        finish(decode_scan(data_.subspan(at_), scan));
        done_ += count;
    }

    void finish(const Result& result) {
        at_ += result.at;
        switch (result.outcome) {
            case Outcome::good:
                break;
            case Outcome::ended:
                throw Error(Errc::truncated, "JPEG-LS data ends before the last sample", at_);
            case Outcome::damaged:
                throw Error(Errc::bad_codestream, "JPEG-LS data is damaged", at_);
            case Outcome::no_restart:
                throw Error(Errc::bad_codestream, "JPEG-LS restart marker is missing", at_);
        }
        // What fills the last byte, and a marker that follows; damaged trailing data of the last scan is not ours.
        if (done_ + 1 < info_.components) {
            while (at_ + 1 < data_.size() && (byte_at(data_, at_) != 0xFF || byte_at(data_, at_ + 1) < 0x80)) {
                ++at_;
            }
        }
    }

    std::span<const std::byte> data_;
    const PixelDescription& description_;
    const ImageInfo& info_;
    std::span<std::byte> out_;
    std::size_t at_ = 2;  ///< behind the start of image
    unsigned done_ = 0;   ///< components
    Preset preset_;
    std::uint32_t restart_ = 0;
};

void decode(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo& info,
            std::span<std::byte> out) {
    check_description(d);
    check_fits(info, d);
    check_out(out, d);
    Reader(data, d, info, out).run();
    if (d.pixel_representation == 1) {
        extend_sign(out, bytes_of(sample_type(d)), info.precision);
    }
}

}  // namespace

const Codec kCodec{"jpeg_ls", "hilum", &probe, &decode};

}  // namespace hilum::codec::jpeg_ls
