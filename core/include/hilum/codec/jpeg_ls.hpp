// SPDX-License-Identifier: Apache-2.0
// JPEG-LS (ISO/IEC 14495-1): lossless and near-lossless, 2 to 16 bits, one to four components, interleaved by none,
// line or sample, preset parameters, restart intervals. Mapping tables, sizes above 65535 and private colour transforms
// are refused by name.
#pragma once

#include "hilum/codec/codec.hpp"

namespace hilum::codec::jpeg_ls {

extern const Codec kCodec;

}  // namespace hilum::codec::jpeg_ls
