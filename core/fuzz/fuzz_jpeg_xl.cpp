// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/jpeg_xl.hpp"

#include "one_codec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
#if HILUM_HAVE_JXL
    hilum::fuzz::decode(hilum::codec::jpeg_xl::kLibJxl, data, size);
#else
    (void)data;
    (void)size;
#endif
    return 0;
}
