// SPDX-License-Identifier: Apache-2.0
// Deflated image frames (transfer syntax 1.2.840.10008.1.2.8.1, RFC 1951): native frames, each deflated by itself.
#pragma once

#include "hilum/codec/codec.hpp"

namespace hilum::codec::deflate {

extern const Codec kZlib;

}  // namespace hilum::codec::deflate
