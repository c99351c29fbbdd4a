// SPDX-License-Identifier: Apache-2.0
// JPEG 2000 Part 1 (ISO/IEC 15444-1); a bare code stream or one in JP2 boxes. The code stream's multiple component
// transform is undone: colour comes out as RGB. Where the code stream's sign is not the data set's, the code stream is
// believed.
#pragma once

#include <optional>
#include <utility>

#include "hilum/codec/codec.hpp"

namespace hilum::codec::jpeg2000 {

/// Our own decoder. What it does not cover (subsampled components, more than 31 bits, other parts of the standard) is
/// refused as unsupported_pixels, so that the next decoder may be asked. Reversible streams decode as the standard
/// says, irreversible ones to the same bits as OpenJPEG.
extern const Codec kHilum;

/// OpenJPEG by its C interface.
extern const Codec kOpenJpeg;

/// In pixels of the image as it is decoded, that is without the resolutions that are left out.
struct Region {
    std::uint32_t x = 0, y = 0, columns = 0, rows = 0;
};

struct Options {
    unsigned discard_levels = 0;     ///< highest resolutions left out: each halves rows and columns, rounded up
    unsigned threads = 1;            ///< inside of this frame, over code-blocks or tiles
    std::optional<Region> region{};  ///< only this part: code-blocks that it does not depend on are not decoded
};

/// Rows and columns of the image without its `discard_levels` highest resolutions. Throws out_of_range where there are
/// fewer levels.
[[nodiscard]] std::pair<std::uint32_t, std::uint32_t> reduced_size(std::span<const std::byte> data,
                                                                   unsigned discard_levels);

/// kHilum's decode with options; `out` holds exactly the image of reduced_size(), or the region. The samples of a
/// region are those of the whole image. Throws out_of_range where the region is not inside of it; damage to code-blocks
/// that are not needed goes unseen.
void decode_with(std::span<const std::byte> data, const PixelDescription& description, const ImageInfo& info,
                 const Options& options, std::span<std::byte> out);

/// The code stream inside of JP2 boxes, or `data` itself when it is bare.
[[nodiscard]] std::span<const std::byte> code_stream(std::span<const std::byte> data);

}  // namespace hilum::codec::jpeg2000
