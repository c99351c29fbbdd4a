// SPDX-License-Identifier: Apache-2.0
// What our HTJ2K encoder leaves to OpenJPH: quantisation, and more than one precinct.
#pragma once

#include <cstddef>
#include <span>

#include "hilum/codec/codec.hpp"

namespace hilum::codec::htj2k {

/// Throws unsupported_pixels in a build without OpenJPH.
std::size_t encode_by_openjph(std::span<const std::byte> samples, const PixelDescription& d, double step,
                              unsigned levels, std::span<std::byte> out);

}  // namespace hilum::codec::htj2k
