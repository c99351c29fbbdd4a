// SPDX-License-Identifier: Apache-2.0
// Maximum, minimum and mean intensity projections.
#pragma once

#include <cstddef>
#include <span>

#include "hilum/render/camera.hpp"
#include "hilum/render/cell_grid.hpp"

namespace hilum::render {

/// Projects the volume with linear interpolation. `cells` is of this volume. `out`: rows * columns samples of the
/// volume's type; a ray that meets nothing gives `outside` (stored value). The mean is of the samples inside of the
/// volume and the clip planes. Errors: those of depth_range and reslice.
void project(const volume::BrickView& view, const CellGrid& cells, const Camera& camera, ImageSize size, Blend blend,
             double outside, std::span<const ClipPlane> clip, const Execution& execution, std::span<std::byte> out);

}  // namespace hilum::render
