// SPDX-License-Identifier: Apache-2.0
// JPEG 2000 Part 1 (ISO/IEC 15444-1) by OpenJPEG's C interface; a bare code stream or one in JP2 boxes. The code
// stream's multiple component transform is undone: colour comes out as RGB. Where the
// code stream's sign is not the data set's, the code stream is believed.
#pragma once

#include "hilum/codec/codec.hpp"

namespace hilum::codec::jpeg2000 {

extern const Codec kOpenJpeg;

/// The code stream inside of JP2 boxes, or `data` itself when it is bare.
[[nodiscard]] std::span<const std::byte> code_stream(std::span<const std::byte> data);

}  // namespace hilum::codec::jpeg2000
