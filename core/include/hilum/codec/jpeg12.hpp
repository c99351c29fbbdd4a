// SPDX-License-Identifier: Apache-2.0
// JPEG DCT with 12 bits a sample (ISO/IEC 10918-1 processes 4, 8 and 12: sequential and progressive, Huffman coded),
// which system builds of libjpeg-turbo before 3.0 leave out. Components of one size; colour is left as coded. The
// inverse DCT is the accurate integer one of the IJG's library, bit for bit.
#pragma once

#include "hilum/codec/codec.hpp"

namespace hilum::codec::jpeg12 {

extern const Codec kCodec;

}  // namespace hilum::codec::jpeg12
