// SPDX-License-Identifier: Apache-2.0
// A brick view made ready for sampling, and straight tracks through it in fixed point.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "hilum/render/camera.hpp"
#include "hilum/render/reslice.hpp"
#include "hilum/volume/brick_view.hpp"

namespace hilum::render {

using Mat3 = std::array<double, 9>;  ///< row-major

[[nodiscard]] Vec3 multiply(const Mat3& m, const Vec3& v) noexcept;
[[nodiscard]] double dot(const Vec3& a, const Vec3& b) noexcept;
[[nodiscard]] Vec3 plus(const Vec3& a, const Vec3& b, double factor = 1.0) noexcept;  ///< a + factor * b

/// Borrows from the view.
struct Grid {
    explicit Grid(const volume::BrickView& view);

    [[nodiscard]] Vec3 to_voxel(const Vec3& mm) const noexcept { return plus(offset, multiply(inverse, mm)); }

    const volume::BrickView& view;
    const std::byte* base;
    std::array<std::int32_t, 3> size;    ///< voxels along x, y, z
    std::array<std::int32_t, 2> stride;  ///< of the brick index along y, z
    unsigned log2;
    std::int32_t mask;                 ///< edge - 1
    std::vector<std::int64_t> starts;  ///< of bricks in samples from base; -1: missing
    std::vector<std::int32_t> near;    ///< the same; empty where that does not fit, or samples are not of 16 bits
    bool is_dense = false;             ///< `near` is first, first + a brick, and so on, of kBrickLog2
    std::uint32_t first = 0;
    Mat3 forward;  ///< voxel steps (x, y, z) to mm
    Mat3 inverse;
    Vec3 offset;
};

/// Positions start + k * step for k from 0, as fractions of voxels with 32 bits behind the point: exact, so that it
/// does not matter where one begins. Samples first to last - 1 lie inside of the volume.
struct Track {
    std::array<std::int64_t, 3> start{};  ///< of sample `base`
    std::array<std::int64_t, 3> step{};
    std::int64_t base = 0;  ///< multiple of 8
    std::int64_t first = 0;
    std::int64_t last = 0;

    [[nodiscard]] std::array<std::int64_t, 3> at(std::int64_t k) const noexcept {
        return {start[0] + (k - base) * step[0], start[1] + (k - base) * step[1], start[2] + (k - base) * step[2]};
    }
};

/// The step of tracks, in voxels.
struct Step {
    explicit Step(const Vec3& of) noexcept;
    Vec3 voxels;
    std::array<std::int64_t, 3> fixed;
};

/// `count` samples from `start`, in voxels.
[[nodiscard]] Track make_track(const Grid& grid, const Vec3& start, const Step& step, std::int64_t count) noexcept;

/// Throws invalid_argument unless every number is finite and of a size that tracks can hold.
void check_point(const Vec3& mm, const char* what);
void check_step(const Grid& grid, const Vec3& mm, const char* what);

}  // namespace hilum::render
