// SPDX-License-Identifier: Apache-2.0
// The grey half of render.cpp: from stored values to 0-255.
#pragma once

#include "hilum/pixel/render.hpp"
#include "hilum/pixel/unpack.hpp"

namespace hilum::pixel {

/// `image.view` is already cropped; `whole` is the uncropped view, from which an automatic window is taken.
[[nodiscard]] RenderedImage render_grey(const Unpacked& image, const ImageView& whole,
                                        const codec::PixelDescription& description,
                                        const RenderingAttributes& attributes, const RenderRequest& request);

/// Extracted values of `view` in a buffer of their own, for what cannot extract on the way.
[[nodiscard]] std::vector<std::byte> extract_copy(const ImageView& view, Extraction extraction);

/// Least and greatest extracted value outside of `padding`.
[[nodiscard]] Range range_of(const ImageView& view, Extraction extraction,
                             const std::optional<std::pair<std::int64_t, std::int64_t>>& padding);

}  // namespace hilum::pixel
