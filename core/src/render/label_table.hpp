// SPDX-License-Identifier: Apache-2.0
// Labels made ready for the samples of one image.
#pragma once

#include <array>
#include <cstdint>
#include <span>
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
    /// Central differences of the share of `value` along the axes of the volume.
    [[nodiscard]] std::array<float, 3> gradient(const Vec3& place, std::uint8_t value) const noexcept;

    [[nodiscard]] const LabelStyle& style(std::uint8_t value) const noexcept {
        return styles_[value < styles_.size() ? value : 0];
    }
    [[nodiscard]] float opacity(std::uint8_t value) const noexcept {
        return opacities_[value < opacities_.size() ? value : 0];
    }
    [[nodiscard]] bool is_mask() const noexcept { return is_mask_; }
    [[nodiscard]] bool shows_itself() const noexcept { return shows_itself_; }
    /// Marks the cells of the volume that the labels may touch.
    void mark(const CellGrid& cells, std::vector<std::uint8_t>& active) const;

private:
    /// Share of `value` at a place: linear between voxels.
    [[nodiscard]] float share(const Vec3& place, std::uint8_t value) const noexcept;

    Grid grid_;
    std::span<const LabelStyle> styles_;
    std::vector<float> opacities_;  ///< of one step
    bool is_mask_;
    bool shows_itself_ = false;
    Mat3 turn_{};  ///< volume voxels to label voxels
    Vec3 shift_{};
    Vec3 back_{};  ///< volume voxel of label voxel (0, 0, 0)
    Mat3 inverse_{};
};

}  // namespace hilum::render
