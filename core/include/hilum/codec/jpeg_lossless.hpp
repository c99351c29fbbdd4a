// SPDX-License-Identifier: Apache-2.0
// JPEG lossless, sequential, Huffman (ISO/IEC 10918-1 Annex H): all seven predictors, 2 to 16 bits, one to four
// components (interleaved or one scan each), restart intervals, point transform.
#pragma once

#include "hilum/codec/codec.hpp"

namespace hilum::codec::jpeg_lossless {

extern const Codec kCodec;

}  // namespace hilum::codec::jpeg_lossless
