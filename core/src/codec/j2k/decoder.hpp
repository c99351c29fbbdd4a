// SPDX-License-Identifier: Apache-2.0
// From a code stream to interleaved samples.
#pragma once

#include "codestream.hpp"
#include "hilum/codec/jpeg2000.hpp"

namespace hilum::codec::j2k {

/// Where samples go: `container` bytes each (1, 2 or 4), interleaved.
struct Output {
    std::byte* data = nullptr;
    std::uint32_t rows = 0, columns = 0;
    unsigned samples = 1;
    unsigned container = 1;
};

/// The image with `options.discard_levels` levels left out, or a region of it; `out` has its size.
void decode_image(Bytes data, std::size_t base, const jpeg2000::Options& options, const Output& out);

/// Size of the image at that reduction.
[[nodiscard]] Rect reduced(const Rect& image, unsigned levels) noexcept;

}  // namespace hilum::codec::j2k
