// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/jpeg12.hpp"

#include "one_codec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    hilum::fuzz::decode(hilum::codec::jpeg12::kCodec, data, size);
    return 0;
}
