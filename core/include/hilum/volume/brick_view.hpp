// SPDX-License-Identifier: Apache-2.0
// A volume as bricks: what the renderer reads, straight out of a mapped shard of a Zarr v3 array or out of memory.
//
// Voxels have the index (i, j, k): i counts columns, j rows, k slices. In memory and in all shapes the order is z, y,
// x, so k, j, i. A brick holds `edge`³ samples in the byte order of this machine (shards are little endian), x fastest.
// Bricks at the far edges are as large as all others and padded with the fill value; one that is nothing but fill may
// be missing. Nothing here owns memory: see bricks.hpp for what does.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "hilum/image_view.hpp"

namespace hilum::volume {

/// Offset of a brick that is not stored: all its voxels have the fill value.
inline constexpr std::uint64_t kMissing = ~std::uint64_t{0};
inline constexpr unsigned kBrickLog2 = 5;

/// Row-major 4x4: voxel index (i, j, k, 1) to patient coordinates (x, y, z, 1) in LPS and mm; the centre of a voxel has
/// integer indices. A gantry tilt makes it a shear: its columns need not be orthogonal.
using Affine = std::array<double, 16>;

inline constexpr Affine kIdentity{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};

/// Least and greatest stored value of a brick; padding beyond the volume and NaN do not count. Rounded outwards where
/// float cannot hold the value. Of a brick without any number: least is +infinity, greatest -infinity.
struct BrickRange {
    float least = 0.0F;
    float greatest = 0.0F;

    bool operator==(const BrickRange&) const = default;
};

/// One level of one time point.
struct BrickView {
    const std::byte* base = nullptr;
    std::size_t size = 0;                    ///< bytes from `base`
    std::span<const std::uint64_t> offsets;  ///< of each brick from `base`, (bz, by, bx) row-major; or kMissing
    std::span<const BrickRange> ranges;      ///< of each brick, in the same order
    std::array<std::uint32_t, 3> shape{};    ///< voxels along z, y, x
    unsigned brick_log2 = kBrickLog2;        ///< a brick is (1 << brick_log2) voxels along each axis
    SampleType type = SampleType::s16;
    double fill = 0.0;   ///< stored value
    double slope = 1.0;  ///< stored value * slope + intercept is the modality value (HU, ...)
    double intercept = 0.0;
    Affine affine = kIdentity;

    /// Voxels along an edge of a brick.
    [[nodiscard]] constexpr std::uint32_t edge() const noexcept { return 1U << brick_log2; }
    [[nodiscard]] constexpr std::size_t brick_bytes() const noexcept { return bytes_of(type) << (3 * brick_log2); }
    /// Bricks along axis 0 (z), 1 (y) or 2 (x).
    [[nodiscard]] constexpr std::uint32_t bricks(std::size_t axis) const noexcept {
        return (shape[axis] >> brick_log2) + ((shape[axis] & (edge() - 1U)) != 0 ? 1U : 0U);
    }
    [[nodiscard]] constexpr std::size_t brick_index(std::uint32_t bz, std::uint32_t by,
                                                    std::uint32_t bx) const noexcept {
        return (std::size_t{bz} * bricks(1) + by) * bricks(2) + bx;
    }
    /// Samples of the brick at this index, nullptr if it is missing.
    [[nodiscard]] constexpr const std::byte* brick(std::size_t index) const noexcept {
        return offsets[index] == kMissing ? nullptr : base + offsets[index];
    }
};

}  // namespace hilum::volume
