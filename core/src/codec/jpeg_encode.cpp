// SPDX-License-Identifier: Apache-2.0
// JPEG baseline by libjpeg-turbo: grey, or colour as YCbCr with chrominance halved horizontally (YBR_FULL_422).
// clang-format off
#include <cstdio>
#include <jpeglib.h>
#include <turbojpeg.h>
// clang-format on

#include <csetjmp>
#include <string>

#include "hilum/codec/encode.hpp"
#include "hilum/error.hpp"

namespace hilum::codec::jpeg {
namespace {

struct ErrorManager {
    jpeg_error_mgr base;
    std::jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void on_error(j_common_ptr info) {
    auto* manager = reinterpret_cast<ErrorManager*>(info->err);
    manager->base.format_message(info, manager->message);
    std::longjmp(manager->escape, 1);
}

void on_output(j_common_ptr) {}

/// C style: nothing with a destructor in here. The size, 0 on failure (see manager.message) or when it did not fit.
unsigned long run_encoder(ErrorManager& manager, jpeg_compress_struct& cinfo, const unsigned char* samples,
                          const PixelDescription& d, int quality, unsigned char* out, unsigned long room) {
    unsigned char* target = out;
    unsigned long size = room;
    if (setjmp(manager.escape) != 0) {
        jpeg_destroy_compress(&cinfo);
        return 0;
    }
    jpeg_create_compress(&cinfo);
    jpeg_mem_dest(&cinfo, &target, &size);
    cinfo.image_width = d.columns;
    cinfo.image_height = d.rows;
    cinfo.input_components = d.samples_per_pixel;
    const bool grey = d.samples_per_pixel == 1;
    cinfo.in_color_space = grey ? JCS_GRAYSCALE : (d.photometric == Photometric::rgb ? JCS_RGB : JCS_YCbCr);
    jpeg_set_defaults(&cinfo);
    jpeg_set_quality(&cinfo, quality, TRUE);
    cinfo.dct_method = JDCT_ISLOW;
    if (!grey) {
        cinfo.comp_info[0].h_samp_factor = 2;
        cinfo.comp_info[0].v_samp_factor = 1;
    }
    jpeg_start_compress(&cinfo, TRUE);
    const std::size_t stride = std::size_t{d.columns} * d.samples_per_pixel;
    while (cinfo.next_scanline < cinfo.image_height) {
        auto* row = const_cast<unsigned char*>(samples + cinfo.next_scanline * stride);
        jpeg_write_scanlines(&cinfo, &row, 1);
    }
    jpeg_finish_compress(&cinfo);
    jpeg_destroy_compress(&cinfo);
    if (target != out) {  // libjpeg took a larger buffer
        std::free(target);
        return 0;
    }
    return size;
}

void check(const PixelDescription& d, const EncodeOptions& options) {
    if (options.quality < 1 || options.quality > 100) {
        throw Error(Errc::invalid_argument, "JPEG quality must be 1 to 100");
    }
    if (d.keyword != PixelKeyword::pixel_data || d.bits_allocated != 8 || d.bits_stored != 8 ||
        d.pixel_representation != 0) {
        throw Error(Errc::unsupported_pixels, "JPEG baseline holds unsigned samples of 8 bits only");
    }
    const bool grey = d.photometric == Photometric::monochrome1 || d.photometric == Photometric::monochrome2;
    const bool colour = d.photometric == Photometric::rgb || d.photometric == Photometric::ybr_full ||
                        d.photometric == Photometric::ybr_full_422;
    if (!(grey && d.samples_per_pixel == 1) && !(colour && d.samples_per_pixel == 3)) {
        throw Error(Errc::unsupported_pixels, "JPEG baseline holds MONOCHROME1, MONOCHROME2, RGB and YBR_FULL only");
    }
    if (d.rows > 65500 || d.columns > 65500) {
        throw Error(Errc::unsupported_pixels, "libjpeg-turbo encodes at most 65500 rows and columns");
    }
}

std::uint64_t bound(const PixelDescription& d) {
    const int sampling = d.samples_per_pixel == 1 ? TJSAMP_GRAY : TJSAMP_422;
    return std::uint64_t{tjBufSize(static_cast<int>(d.columns), static_cast<int>(d.rows), sampling)} + 4096;
}

std::size_t encode(std::span<const std::byte> samples, const PixelDescription& d, const EncodeOptions& options,
                   std::span<std::byte> out) {
    ErrorManager manager{};
    jpeg_compress_struct cinfo{};
    cinfo.err = jpeg_std_error(&manager.base);
    manager.base.error_exit = &on_error;
    manager.base.output_message = &on_output;
    const unsigned long size = run_encoder(manager, cinfo, reinterpret_cast<const unsigned char*>(samples.data()), d,
                                           options.quality, reinterpret_cast<unsigned char*>(out.data()), out.size());
    if (size == 0) {
        throw Error(Errc::invalid_argument, std::string("JPEG: ") + manager.message);
    }
    return size;
}

}  // namespace

const Encoder kEncode{"jpeg_turbo", "libjpeg-turbo", &check, &bound, &encode};

}  // namespace hilum::codec::jpeg
