// SPDX-License-Identifier: Apache-2.0
// How libjpeg reports to us; private to the files that call it.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <span>

// jpeglib.h needs <cstdio> before it.
#include <jpeglib.h>

namespace hilum::codec::jpeg {

/// Filled when libjpeg fails; no C++ object with a destructor may live between setjmp(escape) and longjmp.
struct ErrorManager {
    jpeg_error_mgr base;
    std::jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
    std::size_t unread;  ///< bytes that libjpeg had not consumed when it failed
};

/// Makes a decompressor report to `manager`: damaged data is an error, not a warning; what is only untidy passes.
void report_to(ErrorManager& manager, jpeg_decompress_struct& cinfo) noexcept;

/// Creates the decompressor with its bounds on memory and scans, and reads the header. May longjmp.
void read_header(jpeg_decompress_struct& cinfo, jpeg_progress_mgr& progress, std::span<const std::byte> data);

/// Throws bad_codestream with what `manager` was told.
[[noreturn]] void throw_error(const ErrorManager& manager, std::size_t size);

}  // namespace hilum::codec::jpeg
