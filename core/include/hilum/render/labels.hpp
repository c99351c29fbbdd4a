// SPDX-License-Identifier: Apache-2.0
// Volume rendering with segments: masks on grids of their own that colour, show or hide what lies in them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "hilum/render/raycast.hpp"

namespace hilum::render {

/// What becomes of the samples of one segment, on top of the transfer function.
struct LabelStyle {
    bool is_shown = true;  ///< false: its samples are not there
    float opacity = 0.0F;  ///< 0 to 1, of `unit` of the transfer function: at least so, whatever its values are
    float tint = 0.0F;     ///< 0 to 1: how much of `colour` is in its samples
    std::array<float, 3> colour{};  ///< red, green, blue from 0 to 1
};

/// Segments that do not overlap.
struct Labels {
    volume::BrickView view;          ///< of 8-bit unsigned samples; 0: no segment. It has an affine of its own
    std::vector<LabelStyle> styles;  ///< of each value; those beyond are as 0
    bool is_mask = false;            ///< nothing is shown but what has a value above 0 in one of the masks
};

/// As raycast(). A sample belongs to the segment of the label voxel that it lies in; where several labels overlap, the
/// most opaque counts for shading and the tints follow each other. The surface of a segment with an opacity is shaded
/// by the mask. Errors: those of raycast(); invalid_argument for labels of other samples or styles out of 0 to 1.
void raycast_labelled(const volume::BrickView& view, const CellGrid& cells, const Camera& camera, ImageSize size,
                      const TransferFunction& transfer, const Shading& shading, const std::array<float, 3>& background,
                      std::span<const ClipPlane> clip, std::span<const Labels> labels, const Execution& execution,
                      std::span<std::uint8_t> out);

}  // namespace hilum::render
