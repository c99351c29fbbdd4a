// SPDX-License-Identifier: Apache-2.0
// JPEG XL (ISO/IEC 18181) by libjxl, where the build has it (HILUM_HAVE_JXL). Three components come out as RGB, also
// those of a recompressed JPEG. Of an animation the first frame.
#pragma once

#include "hilum/codec/codec.hpp"

namespace hilum::codec::jpeg_xl {

extern const Codec kLibJxl;

}  // namespace hilum::codec::jpeg_xl
