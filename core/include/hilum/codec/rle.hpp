// SPDX-License-Identifier: Apache-2.0
// DICOM RLE (PS3.5 Annex G): one PackBits segment per byte of a composite pixel, most significant byte first.
#pragma once

#include "hilum/codec/codec.hpp"

namespace hilum::codec::rle {

extern const Codec kCodec;

}  // namespace hilum::codec::rle
