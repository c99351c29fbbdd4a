// SPDX-License-Identifier: Apache-2.0
// Direct volume rendering: colour and opacity along rays, front to back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hilum/render/camera.hpp"
#include "hilum/render/cell_grid.hpp"

namespace hilum::render {

struct ColourPoint {
    double value = 0.0;  ///< modality value (HU, ...)
    float red = 0.0F;    ///< 0 to 1
    float green = 0.0F;
    float blue = 0.0F;
};

struct OpacityPoint {
    double value = 0.0;
    float opacity = 0.0F;  ///< 0 to 1, of `unit` mm
};

/// Linear between points, constant before the first and after the last.
struct TransferFunction {
    std::vector<ColourPoint> colours;     ///< values ascending, at least one
    std::vector<OpacityPoint> opacities;  ///< the same
    double unit = 1.0;                    ///< mm
};

/// Light comes from the viewer. Surfaces are where values change: the normal is the gradient by central differences.
struct Shading {
    bool enabled = false;
    float ambient = 0.2F;
    float diffuse = 0.8F;
    float specular = 0.2F;
    float power = 20.0F;
};

/// A ray ends when less than this part of the light behind it would be seen.
inline constexpr float kLeastTransmittance = 1.0F / 256.0F;

/// Renders to 8-bit RGB: rows * columns * 3 bytes. Errors: those of depth_range; invalid_argument for transfer
/// functions without points, not ascending or out of 0 to 1.
void raycast(const volume::BrickView& view, const CellGrid& cells, const Camera& camera, ImageSize size,
             const TransferFunction& transfer, const Shading& shading, const std::array<float, 3>& background,
             std::span<const ClipPlane> clip, const Execution& execution, std::span<std::uint8_t> out);

}  // namespace hilum::render
