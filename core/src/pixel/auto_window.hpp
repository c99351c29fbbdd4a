// SPDX-License-Identifier: Apache-2.0
// A window for images whose file has none: from the values that the frame has.
#pragma once

#include <optional>
#include <utility>

#include "hilum/codec/codec.hpp"
#include "hilum/image_view.hpp"
#include "mapping.hpp"

namespace hilum::pixel {

using Padding = std::optional<std::pair<std::int64_t, std::int64_t>>;

/// Least and greatest extracted value outside of `padding`; NaN and infinities are left out.
[[nodiscard]] Range range_of(const ImageView& view, Extraction extraction, const Padding& padding);

/// The values below which `low` and `high` percent of all lie, by their order: for n values v(1) <= ... <= v(n) the
/// least v(k) with k >= n * percent / 100, k at least 1. Padding, NaN and infinities are left out.
[[nodiscard]] Range percentiles_of(const ImageView& view, Extraction extraction, const Padding& padding, double low,
                                   double high);

/// PS3.3 C.11.2.1: without VOI attributes the values are meant to be shown as they are, which is what images of up to
/// eight bits do. More bits have no display range of their own: the percentiles of the request, and where these are
/// one value the least and the greatest. Label maps show all values above the background, 0, which may be padding too.
[[nodiscard]] Window auto_window(const ImageView& whole, Extraction extraction,
                                 const codec::PixelDescription& description, const RenderingAttributes& attributes,
                                 const RenderRequest& request, const Mapping& mapping);

}  // namespace hilum::pixel
