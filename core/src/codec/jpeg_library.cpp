// SPDX-License-Identifier: Apache-2.0
#include "jpeg_library.hpp"

#include <algorithm>
#include <string>

#include <jerror.h>

#include "hilum/error.hpp"

namespace hilum::codec::jpeg {
namespace {

[[noreturn]] void on_error(j_common_ptr info) {
    auto* manager = reinterpret_cast<ErrorManager*>(info->err);
    manager->base.format_message(info, manager->message);
    const auto* source = info->is_decompressor != 0 ? reinterpret_cast<j_decompress_ptr>(info)->src : nullptr;
    manager->unread = source == nullptr ? 0 : source->bytes_in_buffer;
    std::longjmp(manager->escape, 1);
}

/// libjpeg calls damaged data a warning and goes on with grey. We do not: an image is whole or refused. What is only
/// untidy (bytes before a marker, no end marker) passes.
void on_message(j_common_ptr info, int level) {
    if (level >= 0) {
        return;
    }
    switch (info->err->msg_code) {
        case JWRN_EXTRANEOUS_DATA:
        case JWRN_JPEG_EOF:
        case JWRN_TOO_MUCH_DATA:
        case JWRN_ADOBE_XFORM:
        case JWRN_JFIF_MAJOR:
            return;
        default:
            on_error(info);
    }
}

void on_output(j_common_ptr) {}

/// A progressive code stream may repeat scans without end; no encoder writes this many.
constexpr int kMaxScans = 256;

void on_progress(j_common_ptr info) {
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans) {
        ERREXIT(info, JERR_BAD_PROGRESSION);
    }
}

}  // namespace

void report_to(ErrorManager& manager, jpeg_decompress_struct& cinfo) noexcept {
    cinfo.err = jpeg_std_error(&manager.base);
    manager.base.error_exit = &on_error;
    manager.base.emit_message = &on_message;
    manager.base.output_message = &on_output;
}

void read_header(jpeg_decompress_struct& cinfo, jpeg_progress_mgr& progress, std::span<const std::byte> data) {
    jpeg_create_decompress(&cinfo);
    progress.progress_monitor = &on_progress;
    cinfo.progress = &progress;
    cinfo.mem->max_memory_to_use = 1L << 30;
    jpeg_mem_src(&cinfo, reinterpret_cast<const unsigned char*>(data.data()), data.size());
    jpeg_read_header(&cinfo, TRUE);
}

void throw_error(const ErrorManager& manager, std::size_t size) {
    throw Error(Errc::bad_codestream, std::string("JPEG: ") + manager.message, size - std::min(manager.unread, size));
}

}  // namespace hilum::codec::jpeg
