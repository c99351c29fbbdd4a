// SPDX-License-Identifier: Apache-2.0
// Maximum, minimum or mean of the samples of each ray.
#pragma once

#include <span>

#include "rays.hpp"
#include "sample.hpp"

namespace hilum::render {

/// Writes one stored value for each ray of `rays`; `outside` where a ray has no sample. With `cells` of this volume.
template <typename T>
void blend_rays(const Grid& grid, const CellGrid& cells, const Rays& rays, const Clip& clip,
                Interpolation interpolation, Blend blend, T outside, const Execution& execution,
                std::span<std::byte> out);

}  // namespace hilum::render
