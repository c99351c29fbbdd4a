// SPDX-License-Identifier: Apache-2.0
// The scalar samplers: what every vector kernel must equal, bit for bit.
//
// Values of samples with up to 16 bits are computed in float, all others in double. Weights of the former have 15 bits
// along x, where pairs of voxels are multiplied as integers, and 24 bits along y and z.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "grid.hpp"

namespace hilum::render {

template <typename T>
inline constexpr bool kIsSmall = sizeof(T) <= 2;

template <typename T>
using Real = std::conditional_t<kIsSmall<T>, float, double>;

using Position = std::array<std::int64_t, 3>;

/// A position on one axis: the voxel below and what is left, limited to the volume.
struct Cell {
    std::int32_t voxel;
    std::uint32_t rest;  ///< in units of 2^-32
};

inline Cell cell_of(std::int64_t position, std::int32_t size) noexcept {
    const auto voxel = static_cast<std::int32_t>(position >> 32);
    if (voxel < 0) {
        return {0, 0};
    }
    if (voxel >= size - 1) {
        return {size - 1, 0};
    }
    return {voxel, static_cast<std::uint32_t>(position)};
}

template <typename T>
struct Sampler {
    using Value = Real<T>;

    explicit Sampler(const Grid& source) noexcept : grid(source), fill(static_cast<T>(source.view.fill)) {}

    [[nodiscard]] T voxel(std::int32_t x, std::int32_t y, std::int32_t z) const noexcept {
        const auto brick = static_cast<std::size_t>((z >> grid.log2) * grid.stride[1] +
                                                    (y >> grid.log2) * grid.stride[0] + (x >> grid.log2));
        const std::int64_t start = grid.starts[brick];
        if (start < 0) {
            return fill;
        }
        const std::int32_t inner = ((((z & grid.mask) << grid.log2) | (y & grid.mask)) << grid.log2) | (x & grid.mask);
        T value{};
        std::memcpy(&value, grid.base + static_cast<std::size_t>(start + inner) * sizeof(T), sizeof(T));
        return value;
    }

    /// Voxels outside count as the nearest inside.
    [[nodiscard]] T limited(std::int32_t x, std::int32_t y, std::int32_t z) const noexcept {
        return voxel(std::clamp(x, 0, grid.size[0] - 1), std::clamp(y, 0, grid.size[1] - 1),
                     std::clamp(z, 0, grid.size[2] - 1));
    }

    /// Between two neighbours along x.
    [[nodiscard]] static Value along_x(T a, T b, std::uint32_t rest) noexcept {
        if constexpr (kIsSmall<T>) {
            constexpr std::int32_t bias = std::is_same_v<T, std::uint16_t> ? 32768 : 0;
            const auto weight = static_cast<std::int32_t>(((rest >> 1) + 0x8000U) >> 16);
            const std::int32_t sum = (a - bias) * (32768 - weight) + (b - bias) * weight;
            return static_cast<float>(sum) * (1.0F / 32768.0F);
        } else {
            const auto low = static_cast<double>(a);
            return low + (static_cast<double>(b) - low) * (rest * (1.0 / 4294967296.0));
        }
    }

    [[nodiscard]] static Value weight(std::uint32_t rest) noexcept {
        if constexpr (kIsSmall<T>) {
            return static_cast<float>(rest >> 8) * (1.0F / 16777216.0F);
        } else {
            return rest * (1.0 / 4294967296.0);
        }
    }

    /// What along_x leaves out.
    static constexpr Value kBias = std::is_same_v<T, std::uint16_t> ? 32768 : 0;

    [[nodiscard]] Value linear(const Position& p) const noexcept {
        const Cell x = cell_of(p[0], grid.size[0]);
        const Cell y = cell_of(p[1], grid.size[1]);
        const Cell z = cell_of(p[2], grid.size[2]);
        const std::int32_t x1 = std::min(x.voxel + 1, grid.size[0] - 1);
        const std::int32_t y1 = std::min(y.voxel + 1, grid.size[1] - 1);
        const std::int32_t z1 = std::min(z.voxel + 1, grid.size[2] - 1);
        const Value a = along_x(voxel(x.voxel, y.voxel, z.voxel), voxel(x1, y.voxel, z.voxel), x.rest);
        const Value b = along_x(voxel(x.voxel, y1, z.voxel), voxel(x1, y1, z.voxel), x.rest);
        const Value c = along_x(voxel(x.voxel, y.voxel, z1), voxel(x1, y.voxel, z1), x.rest);
        const Value d = along_x(voxel(x.voxel, y1, z1), voxel(x1, y1, z1), x.rest);
        const Value wy = weight(y.rest);
        const Value low = a + (b - a) * wy;
        const Value high = c + (d - c) * wy;
        const Value value = low + (high - low) * weight(z.rest);
        return kBias == 0 ? value : value + kBias;
    }

    [[nodiscard]] Value nearest(const Position& p) const noexcept {
        std::array<std::int32_t, 3> at{};
        for (std::size_t axis = 0; axis < 3; ++axis) {
            at[axis] = std::clamp(static_cast<std::int32_t>((p[axis] + (std::int64_t{1} << 31)) >> 32), 0,
                                  grid.size[axis] - 1);
        }
        return static_cast<Value>(voxel(at[0], at[1], at[2]));
    }

    /// Catmull-Rom weights of the four voxels around.
    [[nodiscard]] static std::array<double, 4> taps(double t) noexcept {
        return {((-0.5 * t + 1.0) * t - 0.5) * t, (1.5 * t - 2.5) * t * t + 1.0, ((-1.5 * t + 2.0) * t + 0.5) * t,
                (0.5 * t - 0.5) * t * t};
    }

    [[nodiscard]] Value cubic(const Position& p) const noexcept {
        std::array<std::int32_t, 3> at{};
        std::array<std::array<double, 4>, 3> w{};
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const Cell cell = cell_of(p[axis], grid.size[axis]);
            at[axis] = cell.voxel - 1;
            w[axis] = taps(cell.rest * (1.0 / 4294967296.0));
        }
        double sum = 0.0;
        for (std::int32_t z = 0; z < 4; ++z) {
            for (std::int32_t y = 0; y < 4; ++y) {
                double row = 0.0;
                for (std::int32_t x = 0; x < 4; ++x) {
                    row += w[0][static_cast<std::size_t>(x)] *
                           static_cast<double>(limited(at[0] + x, at[1] + y, at[2] + z));
                }
                sum += row * w[1][static_cast<std::size_t>(y)] * w[2][static_cast<std::size_t>(z)];
            }
        }
        return static_cast<Value>(sum);
    }

    /// Central differences along x, y, z in units per two voxels, by linear interpolation at the six neighbours.
    [[nodiscard]] std::array<Value, 3> gradient(const Position& p) const noexcept {
        std::array<Value, 3> found{};
        for (std::size_t axis = 0; axis < 3; ++axis) {
            Position high = p;
            Position low = p;
            high[axis] += std::int64_t{1} << 32;
            low[axis] -= std::int64_t{1} << 32;
            found[axis] = linear(high) - linear(low);
        }
        return found;
    }

    const Grid& grid;
    T fill;
};

/// To a stored value, rounded to nearest (even) and limited.
template <typename T>
[[nodiscard]] T to_stored(double value) noexcept {
    if constexpr (std::is_floating_point_v<T>) {
        return static_cast<T>(value);
    } else {
        const double limited = std::clamp(value, static_cast<double>(std::numeric_limits<T>::lowest()),
                                          static_cast<double>(std::numeric_limits<T>::max()));
        constexpr double kWhole = 6755399441055744.0;  // 1.5 * 2^52: no fraction is left beside it
        return static_cast<T>((limited + kWhole) - kWhole);
    }
}

}  // namespace hilum::render
