// SPDX-License-Identifier: Apache-2.0
#include <openjpeg.h>
#include <zlib.h>

#include <cstdio>
// jpeglib.h needs <cstdio> before it.
#include <jpeglib.h>
#if HILUM_HAVE_JXL
#include <jxl/decode.h>
#endif

#include "hilum/codec/registry.hpp"

namespace hilum::codec {

std::vector<std::pair<std::string, std::string>> libraries() {
    std::vector<std::pair<std::string, std::string>> found{{"OpenJPEG", opj_version()}, {"zlib", zlibVersion()}};
#ifdef LIBJPEG_TURBO_VERSION_NUMBER
    const unsigned turbo = LIBJPEG_TURBO_VERSION_NUMBER;
    found.emplace_back("libjpeg-turbo", std::to_string(turbo / 1000000) + "." + std::to_string(turbo / 1000 % 1000) +
                                            "." + std::to_string(turbo % 1000));
#else
    found.emplace_back("libjpeg", std::to_string(JPEG_LIB_VERSION));
#endif
    std::string jxl = "left out";
#if HILUM_HAVE_JXL
    const std::uint32_t version = JxlDecoderVersion();
    jxl = std::to_string(version / 1000000) + "." + std::to_string(version / 1000 % 1000) + "." +
          std::to_string(version % 1000);
#endif
    found.emplace_back("libjxl", jxl);
#if HILUM_HAVE_OPENJPH
    found.emplace_back("OpenJPH", "built in");  // says no version
#else
    found.emplace_back("OpenJPH", "left out");
#endif
    return found;
}

}  // namespace hilum::codec
