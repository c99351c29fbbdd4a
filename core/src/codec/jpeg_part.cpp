// SPDX-License-Identifier: Apache-2.0
// Parts of DCT frames as RGB: libjpeg-turbo skips the inverse transform of what is not asked for, and stops early.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "hilum/codec/jpeg.hpp"
#include "hilum/error.hpp"
#include "hilum/parallel.hpp"
#include "jpeg_library.hpp"

namespace hilum::codec::jpeg {
namespace {

/// Pixels around a part that are decoded with it: interpolated chrominance depends on its neighbours.
constexpr std::uint32_t kMargin = 4;

std::uint32_t halved(std::uint32_t length, unsigned halvings) noexcept {
    return (length + (1U << halvings) - 1) >> halvings;
}

bool fits(std::uint32_t begin, std::uint32_t length, std::uint32_t limit) noexcept {
    return length != 0 && length <= limit && begin <= limit - length;
}

bool is_ycc(const ImageInfo& info, const PixelDescription& d) noexcept {
    return info.colour == ImageInfo::Colour::as_described ? d.photometric != Photometric::rgb
                                                          : info.colour == ImageInfo::Colour::ycc;
}

/// What one run of libjpeg needs; plain data, for it lives across longjmp.
struct Job {
    const RgbPart* part;
    std::uint32_t rows;     ///< of the whole frame, as described
    std::uint32_t columns;  ///< of the whole frame, as described
    unsigned halvings;
    bool ycc;
    unsigned char* line;  ///< room for a row of the frame
    unsigned char* out;   ///< where the part's first pixel goes
    std::size_t stride;
};

/// Whether parts are known to be those of the whole: 4:4:4, 4:2:2 and 4:2:0, as every encoder writes. With other
/// factors libjpeg-turbo's parts may differ from its whole frames, so that all of it is decoded.
bool has_usual_sampling(const jpeg_decompress_struct& cinfo) noexcept {
    const jpeg_component_info* each = cinfo.comp_info;
    const bool chrominance = each[1].h_samp_factor == 1 && each[1].v_samp_factor == 1 && each[2].h_samp_factor == 1 &&
                             each[2].v_samp_factor == 1;
    const int across = each[0].h_samp_factor;
    const int down = each[0].v_samp_factor;
    return chrominance && (across == 1 || across == 2) && (down == 1 || (across == 2 && down == 2));
}

/// C style: everything with a destructor stays outside. True on success; else `manager.message` says why.
bool run(ErrorManager& manager, jpeg_decompress_struct& cinfo, const Job& job) {
    jpeg_progress_mgr progress{};
    if (setjmp(manager.escape) != 0) {
        jpeg_destroy_decompress(&cinfo);
        return false;
    }
    const RgbPart& part = *job.part;
    read_header(cinfo, progress, part.frame);
    if (cinfo.image_height != job.rows || cinfo.image_width != job.columns || cinfo.num_components != 3) {
        std::snprintf(manager.message, sizeof(manager.message), "frame header changed between probe and decode");
        jpeg_destroy_decompress(&cinfo);
        return false;
    }
    cinfo.jpeg_color_space = job.ycc ? JCS_YCbCr : JCS_RGB;
    cinfo.out_color_space = JCS_RGB;
    cinfo.dct_method = JDCT_ISLOW;
    cinfo.do_block_smoothing = FALSE;  // of progressive frames without all scans: depends on blocks outside of the part
    cinfo.scale_num = 8U >> job.halvings;
    cinfo.scale_denom = 8;
    jpeg_start_decompress(&cinfo);
    JDIMENSION left = part.x - std::min(part.x, kMargin);
    JDIMENSION width = std::min(part.x + part.columns + kMargin, std::uint32_t{cinfo.output_width}) - left;
    const bool in_parts = has_usual_sampling(cinfo);
    if (in_parts && width < cinfo.output_width) {
        jpeg_crop_scanline(&cinfo, &left, &width);
    } else {
        left = 0;
    }
    if (in_parts && part.y != 0) {
        jpeg_skip_scanlines(&cinfo, part.y);
    }
    while (cinfo.output_scanline < part.y) {
        unsigned char* lines[1] = {job.line};
        jpeg_read_scanlines(&cinfo, lines, 1);
    }
    const unsigned char* from = job.line + std::size_t{part.x - left} * 3;
    for (std::uint32_t row = 0; row < part.rows; ++row) {
        unsigned char* lines[1] = {job.line};
        jpeg_read_scanlines(&cinfo, lines, 1);
        std::memcpy(job.out + row * job.stride, from, std::size_t{part.columns} * 3);
    }
    jpeg_destroy_decompress(&cinfo);
    return true;
}

void decode_part(const RgbPart& part, const PixelDescription& d, unsigned halvings, unsigned char* out,
                 std::size_t stride) {
    const ImageInfo info = kTurbo.probe(part.frame, d);
    check_fits(info, d);
    const auto line = std::make_unique_for_overwrite<unsigned char[]>(std::size_t{d.columns} * 3);
    const Job job{&part, d.rows, d.columns, halvings, is_ycc(info, d), line.get(), out, stride};
    ErrorManager manager{};
    jpeg_decompress_struct cinfo{};
    report_to(manager, cinfo);
    if (!run(manager, cinfo, job)) {
        throw_error(manager, part.frame.size());
    }
}

}  // namespace

void decode_rgb_parts(std::span<const RgbPart> parts, const PixelDescription& d, unsigned halvings, std::uint32_t rows,
                      std::uint32_t columns, std::span<std::uint8_t> rgb, unsigned threads) {
    check_description(d);
    const bool is_full = d.photometric == Photometric::rgb || d.photometric == Photometric::ybr_full ||
                         d.photometric == Photometric::ybr_full_422;
    if (d.samples_per_pixel != 3 || d.bits_allocated != 8 || !is_full) {
        throw Error(Errc::unsupported_pixels, "only 8-bit RGB, YBR_FULL and YBR_FULL_422 are decoded in parts");
    }
    if (halvings > kMaxHalvings) {
        throw Error(Errc::invalid_argument, "a JPEG frame can be halved three times");
    }
    const std::size_t stride = std::size_t{columns} * 3;
    if (rgb.size() != stride * rows) {
        throw Error(Errc::buffer_too_small, "the output buffer is not exactly one picture");
    }
    const std::uint32_t high = halved(d.rows, halvings);
    const std::uint32_t wide = halved(d.columns, halvings);
    for (const RgbPart& part : parts) {
        if (!fits(part.x, part.columns, wide) || !fits(part.y, part.rows, high) ||
            !fits(part.to_x, part.columns, columns) || !fits(part.to_y, part.rows, rows)) {
            throw Error(Errc::invalid_argument, "a part is not inside of its frame and the picture");
        }
    }
    parallel::for_each(parts.size(), threads, [&](std::size_t at) {
        const RgbPart& part = parts[at];
        decode_part(part, d, halvings, rgb.data() + part.to_y * stride + std::size_t{part.to_x} * 3, stride);
    });
}

}  // namespace hilum::codec::jpeg
