// SPDX-License-Identifier: Apache-2.0
// Volume rendering of several volumes in one view: classified each for itself, composited sample by sample.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hilum/render/raycast.hpp"

namespace hilum::render {

/// Voxels of which a sample of a volume lies in one that is not 0 (or is), or is not there.
struct FusedMask {
    volume::BrickView view;  ///< of 8-bit unsigned samples, with an affine of its own
    bool excludes = false;   ///< true: what lies in voxels that are not 0 goes
};

/// A volume with a transfer function (PS3.4 FF.2.3.3.1, ONE_TO_RGBA). The same volume may be there several times.
struct FusedLayer {
    volume::BrickView view;           ///< with its affine in the space of the camera
    const CellGrid* cells = nullptr;  ///< of this volume
    TransferFunction transfer;
    Shading shading;
    std::vector<ClipPlane> clip;
    std::vector<FusedMask> masks;  ///< all of them must let a sample pass
    std::uint32_t stream = 0;      ///< ascending from 0: layers of one stream lie over each other, "B over A"
};

/// How two streams become one (PS3.4 FF.2.3.3.2): colours and opacities are summed with these weights.
struct FusedWeights {
    std::uint32_t bits = 0;     ///< of each opacity in the index, the first one's above the second one's; up to 8
    std::vector<float> first;   ///< 1 << 2 * bits, from 0 to 1
    std::vector<float> second;  ///< the same
};

/// As raycast(). Opacities, also those in an index of weights, are of one step. `weights`: one less than streams; after
/// the first, 1 - opacity of the following stream stands for that of what was composited before. There are no vector
/// kernels. Errors: those of raycast(); invalid_argument for streams, masks or weights that are none.
void raycast_fused(std::span<const FusedLayer> layers, std::span<const FusedWeights> weights, const Camera& camera,
                   ImageSize size, const std::array<float, 3>& background, const Execution& execution,
                   std::span<std::uint8_t> out);

}  // namespace hilum::render
