// SPDX-License-Identifier: Apache-2.0
// Labels made ready for the samples of one image.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "hilum/render/labels.hpp"
#include "sample.hpp"

namespace hilum::render {

/// One of the labels. Borrows from it.
class LabelTable {
public:
    /// `step` of a ray in mm, `unit` of the transfer function. Throws invalid_argument for styles that are none.
    LabelTable(const Labels& labels, const Grid& volume, double step, double unit);

    /// Label voxels at a place in the volume, in fixed point.
    [[nodiscard]] Vec3 place(const Position& p) const noexcept;
    /// Value of the voxel that a place lies in; 0 outside.
    [[nodiscard]] std::uint8_t at(const Vec3& place) const noexcept;
    /// The same of a voxel.
    [[nodiscard]] std::uint8_t voxel(std::int32_t x, std::int32_t y, std::int32_t z) const noexcept {
        const bool is_inside = x >= 0 && y >= 0 && z >= 0 && x < grid.size[0] && y < grid.size[1] && z < grid.size[2];
        return is_inside ? Sampler<std::uint8_t>(grid).voxel(x, y, z) : std::uint8_t{0};
    }
    /// Bit c: voxel (x + c % 2, y + c / 2 % 2, z + c / 4) has this value.
    [[nodiscard]] unsigned corners(std::int32_t x, std::int32_t y, std::int32_t z, std::uint8_t value) const noexcept;
    /// Central differences of the share of `value` along the axes of the volume.
    [[nodiscard]] std::array<float, 3> gradient(const Vec3& place, std::uint8_t value) const noexcept;
    /// Marks the cells of the volume that what has an opacity may touch.
    void mark(const CellGrid& cells, std::vector<std::uint8_t>& active) const;

    // Of each of the 256 values.
    std::vector<std::uint32_t> is_hidden;      ///< 0 or all bits
    std::vector<float> opacity;                ///< of one step
    std::vector<float> tint;                   ///< how much of `colour` is in its samples
    std::array<std::vector<float>, 3> colour;  ///< as in the transfer table: up to 1023
    bool is_mask = false;
    bool has_opacity = false;  ///< shows itself where the volume is transparent
    bool is_plain = false;     ///< value 0 changes nothing
    Grid grid;
    Mat3 turn{};  ///< volume voxels to label voxels
    Vec3 shift{};

private:
    /// Share of `value` at a place: linear between voxels.
    [[nodiscard]] float share(const Vec3& place, std::uint8_t value) const noexcept;
    void mark_box(const Vec3& first, const Vec3& last, const CellGrid& cells, std::vector<std::uint8_t>& active) const;

    Vec3 back_{};  ///< volume voxel of label voxel (0, 0, 0)
    Mat3 inverse_{};
};

}  // namespace hilum::render
