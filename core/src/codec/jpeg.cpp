// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/jpeg.hpp"

#include <cstring>
#include <string>

#include "hilum/error.hpp"
#include "jpeg_library.hpp"
#include "jpeg_segments.hpp"

namespace hilum::codec::jpeg {
namespace {

bool is_frame_header(unsigned marker) noexcept {
    const bool dct_or_lossless = marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    return dct_or_lossless || marker == 0xF7;
}

void read_frame_header(std::span<const std::byte> segment, std::size_t offset, Markers& found) {
    if (segment.size() < 6) {
        throw Error(Errc::bad_codestream, "JPEG frame header is too short", offset);
    }
    found.precision = static_cast<std::uint16_t>(byte_at(segment, 0));
    found.rows = word_at(segment, 1);
    found.columns = word_at(segment, 3);
    found.components = static_cast<std::uint16_t>(byte_at(segment, 5));
    if (segment.size() < 6 + 3U * found.components) {
        throw Error(Errc::bad_codestream, "JPEG frame header is too short for its components", offset);
    }
    found.letters_rgb = found.components == 3 && byte_at(segment, 6) == 'R' && byte_at(segment, 9) == 'G' &&
                        byte_at(segment, 12) == 'B';
}

void read_application(unsigned marker, std::span<const std::byte> segment, Markers& found) noexcept {
    if (marker == 0xE0 && segment.size() >= 5 && std::memcmp(segment.data(), "JFIF", 5) == 0) {
        found.jfif = true;
    } else if (marker == 0xEE && segment.size() >= 12 && std::memcmp(segment.data(), "Adobe", 5) == 0) {
        found.adobe_transform = static_cast<int>(byte_at(segment, 11));
    }
}

/// One frame, C style: everything with a destructor stays outside. True on success; else `manager.message` says why.
bool run_decoder(ErrorManager& manager, jpeg_decompress_struct& cinfo, std::span<const std::byte> data,
                 const PixelDescription& d, unsigned char* out) {
    jpeg_progress_mgr progress{};
    if (setjmp(manager.escape) != 0) {
        jpeg_destroy_decompress(&cinfo);
        return false;
    }
    read_header(cinfo, progress, data);
    if (cinfo.image_height != d.rows || cinfo.image_width != d.columns || cinfo.num_components != d.samples_per_pixel) {
        std::snprintf(manager.message, sizeof(manager.message), "frame header changed between probe and decode");
        jpeg_destroy_decompress(&cinfo);
        return false;
    }
    // No conversion: samples as coded, chrominance upsampled. libjpeg guesses RGB or YCbCr; either way it is the
    // identity.
    cinfo.out_color_space = cinfo.jpeg_color_space;
    cinfo.dct_method = JDCT_ISLOW;
    jpeg_start_decompress(&cinfo);
    const std::size_t stride = std::size_t{d.columns} * d.samples_per_pixel;
    while (cinfo.output_scanline < cinfo.output_height) {
        unsigned char* rows[1] = {out + cinfo.output_scanline * stride};
        jpeg_read_scanlines(&cinfo, rows, 1);
    }
    jpeg_destroy_decompress(&cinfo);
    return true;
}

ImageInfo probe(std::span<const std::byte> data, const PixelDescription&) {
    const Markers markers = read_markers(data);
    const unsigned type = markers.frame_type;
    if (type != 0xC0 && type != 0xC1 && type != 0xC2) {
        throw Error(Errc::unsupported_pixels, "this JPEG process has no decoder", markers.frame_header);
    }
    if (markers.precision != 8) {
        throw Error(Errc::unsupported_pixels,
                    "JPEG DCT with " + std::to_string(markers.precision) + " bits a sample has no decoder",
                    markers.frame_header);
    }
    ImageInfo info;
    info.rows = markers.rows;
    info.columns = markers.columns;
    info.components = markers.components;
    info.precision = markers.precision;
    info.lossy = true;
    info.colour = colour_of(markers);
    return info;
}

/// A wider container than the code stream: samples are spread from the back, so one buffer is enough.
void widen(std::span<std::byte> out, std::size_t samples, std::size_t container) noexcept {
    for (std::size_t i = samples; i-- > 0;) {
        const std::byte value = out[i];
        std::memset(out.data() + i * container, 0, container);
        out[i * container] = value;
    }
}

void decode(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo& info,
            std::span<std::byte> out) {
    check_description(d);
    check_fits(info, d);
    check_out(out, d);
    ErrorManager manager{};
    jpeg_decompress_struct cinfo{};
    report_to(manager, cinfo);
    if (!run_decoder(manager, cinfo, data, d, reinterpret_cast<unsigned char*>(out.data()))) {
        throw_error(manager, data.size());
    }
    const std::size_t container = bytes_of(sample_type(d));
    if (container > 1) {
        widen(out, out.size() / container, container);
    }
}

}  // namespace

const Codec kTurbo{"jpeg_turbo", "libjpeg-turbo", &probe, &decode};

Markers read_markers(std::span<const std::byte> data) {
    if (data.size() < 4 || word_at(data, 0) != 0xFFD8) {
        throw Error(Errc::bad_codestream, "no JPEG start-of-image marker", 0);
    }
    Markers found;
    std::size_t at = 2;
    while (at + 4 <= data.size()) {
        if (byte_at(data, at) != 0xFF) {
            throw Error(Errc::bad_codestream, "no JPEG marker where one must be", at);
        }
        const unsigned marker = byte_at(data, at + 1);
        if (marker == 0xFF) {  // fill byte
            ++at;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) {
            at += 2;
            continue;
        }
        const std::size_t length = word_at(data, at + 2);
        if (length < 2 || length > data.size() - at - 2) {
            throw Error(Errc::bad_codestream, "JPEG segment reaches past the end of the frame", at);
        }
        const std::span<const std::byte> segment = data.subspan(at + 4, length - 2);
        if (is_frame_header(marker)) {
            found.frame_type = static_cast<std::uint8_t>(marker);
            found.frame_header = at;
            read_frame_header(segment, at, found);
            return found;
        }
        if (marker == 0xD9 || marker == 0xDA) {
            break;
        }
        read_application(marker, segment, found);
        at += 2 + length;
    }
    throw Error(Errc::bad_codestream, "no JPEG frame header", at);
}

ImageInfo::Colour colour_of(const Markers& markers) noexcept {
    if (markers.components != 3) {
        return ImageInfo::Colour::as_described;
    }
    if (markers.adobe_transform >= 0) {
        return markers.adobe_transform == 0 ? ImageInfo::Colour::rgb : ImageInfo::Colour::ycc;
    }
    if (markers.letters_rgb) {
        return ImageInfo::Colour::rgb;
    }
    return markers.jfif ? ImageInfo::Colour::ycc : ImageInfo::Colour::as_described;
}

}  // namespace hilum::codec::jpeg
