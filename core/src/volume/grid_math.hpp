// SPDX-License-Identifier: Apache-2.0
// Points and affines, and single voxels of a view.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

#include "hilum/volume/brick_view.hpp"
#include "hilum/volume/region.hpp"

namespace hilum::volume {

[[nodiscard]] inline double dot(const Point& a, const Point& b) noexcept {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
[[nodiscard]] inline Point minus(const Point& a, const Point& b) noexcept {
    return {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
}
[[nodiscard]] inline Point to_patient(const Affine& m, double i, double j, double k) noexcept {
    return {m[0] * i + m[1] * j + m[2] * k + m[3], m[4] * i + m[5] * j + m[6] * k + m[7],
            m[8] * i + m[9] * j + m[10] * k + m[11]};
}

/// Of the part without the offset.
[[nodiscard]] inline double determinant(const Affine& m) noexcept {
    return m[0] * (m[5] * m[10] - m[6] * m[9]) - m[1] * (m[4] * m[10] - m[6] * m[8]) +
           m[2] * (m[4] * m[9] - m[5] * m[8]);
}

/// From patient coordinates to voxels; the view's layout has been checked, so there is one.
[[nodiscard]] inline Point to_voxel(const Affine& m, const Point& mm) noexcept {
    const Point d{mm[0] - m[3], mm[1] - m[7], mm[2] - m[11]};
    const double scale = 1.0 / determinant(m);
    return {scale * ((m[5] * m[10] - m[6] * m[9]) * d[0] + (m[2] * m[9] - m[1] * m[10]) * d[1] +
                     (m[1] * m[6] - m[2] * m[5]) * d[2]),
            scale * ((m[6] * m[8] - m[4] * m[10]) * d[0] + (m[0] * m[10] - m[2] * m[8]) * d[1] +
                     (m[2] * m[4] - m[0] * m[6]) * d[2]),
            scale * ((m[4] * m[9] - m[5] * m[8]) * d[0] + (m[1] * m[8] - m[0] * m[9]) * d[1] +
                     (m[0] * m[5] - m[1] * m[4]) * d[2])};
}

[[nodiscard]] inline bool finite(std::span<const double> values) noexcept {
    for (const double value : values) {
        if (!std::isfinite(value) || std::abs(value) > 1e12) {
            return false;
        }
    }
    return true;
}

/// Where voxel (i, j, k) lies in its brick, in samples.
[[nodiscard]] inline std::size_t inner(const BrickView& view, std::uint32_t i, std::uint32_t j,
                                       std::uint32_t k) noexcept {
    const std::uint32_t mask = view.edge() - 1U;
    return ((((std::size_t{k & mask} << view.brick_log2) + (j & mask)) << view.brick_log2) + (i & mask));
}

[[nodiscard]] inline std::size_t brick_of(const BrickView& view, std::uint32_t i, std::uint32_t j,
                                          std::uint32_t k) noexcept {
    return view.brick_index(k >> view.brick_log2, j >> view.brick_log2, i >> view.brick_log2);
}

/// A stored value; the voxel is inside of the volume.
template <typename T>
[[nodiscard]] double voxel(const BrickView& view, std::uint32_t i, std::uint32_t j, std::uint32_t k) noexcept {
    const std::byte* brick = view.brick(brick_of(view, i, j, k));
    if (brick == nullptr) {
        return view.fill;
    }
    T value;
    std::memcpy(&value, brick + inner(view, i, j, k) * sizeof(T), sizeof(T));
    return static_cast<double>(value);
}

}  // namespace hilum::volume
