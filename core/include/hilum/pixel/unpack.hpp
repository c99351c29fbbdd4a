// SPDX-License-Identifier: Apache-2.0
// A stored frame as an image that the pipeline can read: in place where it is native, decoded otherwise.
#pragma once

#include <memory>

#include "hilum/codec/registry.hpp"
#include "hilum/image_view.hpp"
#include "hilum/pixel/voi_lut.hpp"

namespace hilum::pixel {

/// Borrows the frame's bytes where it can, else owns the decoded samples. `extraction` is still to be done.
struct Unpacked {
    ImageView view;
    Extraction extraction;
    codec::ImageInfo info;
    std::unique_ptr<std::byte[]> owned;
};

[[nodiscard]] Unpacked unpack(const codec::StoredFrame& frame, const codec::Syntax& syntax,
                              const codec::PixelDescription& description);

}  // namespace hilum::pixel
