// SPDX-License-Identifier: Apache-2.0
// Images out of a volume: planes, slabs and curved surfaces (MPR). The same bytes however many threads, on every
// processor.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "hilum/volume/brick_view.hpp"

namespace hilum::render {

/// x, y, z in patient coordinates (LPS), mm.
using Vec3 = std::array<double, 3>;

enum class Interpolation : std::uint8_t {
    nearest,
    linear,
    cubic,  ///< Catmull-Rom, 4 x 4 x 4 voxels
};

/// What becomes of the samples along the thickness of a slab or along a ray.
enum class Blend : std::uint8_t { maximum, minimum, mean };

/// How to compute, not what: every choice gives the same bytes.
struct Execution {
    unsigned threads = 0;  ///< as for parallel::run
    bool simd = true;      ///< use what the processor has beyond the scalar twin
    bool skip = true;      ///< leave out what cannot change the result
};

/// One row of an image. Sample s of pixel c lies at
/// origin + c * step + (s - (samples - 1) / 2) * depth.
struct Row {
    Vec3 origin{};
    Vec3 step{};
    Vec3 depth{};
};

struct Slab {
    std::uint32_t samples = 1;
    Blend blend = Blend::maximum;
};

struct CellGrid;

/// `cells` of this volume make slabs faster; without (nullptr) its bricks are used. Samples the volume on rows of
/// `columns` pixels. A point is inside up to half a voxel beyond the outermost centres, where the outermost values
/// count; samples outside of the volume do not take part, and a pixel without any is `outside` (stored value, limited
/// to the sample type). `out`: rows * columns samples of the volume's type. Linear interpolation of up to 16 bits:
/// weights of 15 bits along x, float along y and z; off by less than 1 stored unit. Errors: invalid_argument for
/// numbers that are not finite or steps above 2^20 voxels, limit_exceeded above limits::kMaxRenderedPixels or
/// limits::kMaxRaySamples, buffer_too_small.
void reslice(const volume::BrickView& view, const CellGrid* cells, std::span<const Row> rows, std::uint32_t columns,
             Interpolation interpolation, const Slab& slab, double outside, const Execution& execution,
             std::span<std::byte> out);

}  // namespace hilum::render
