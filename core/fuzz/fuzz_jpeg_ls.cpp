// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/jpeg_ls.hpp"

#include "one_codec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    hilum::fuzz::decode(hilum::codec::jpeg_ls::kCodec, data, size);
    return 0;
}
