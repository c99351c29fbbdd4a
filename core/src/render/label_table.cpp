// SPDX-License-Identifier: Apache-2.0
#include "label_table.hpp"

#include <algorithm>
#include <cmath>

#include "hilum/error.hpp"

namespace hilum::render {
namespace {

constexpr double kVoxel = 1.0 / 4294967296.0;

bool is_part(float value) noexcept {
    return value >= 0.0F && value <= 1.0F;
}

const Labels& checked(const Labels& labels) {
    if (labels.view.type != SampleType::u8) {
        throw Error(Errc::invalid_argument, "labels are unsigned samples of 8 bits");
    }
    for (const double value : labels.view.affine) {
        if (!(std::abs(value) <= 1e9)) {
            throw Error(Errc::invalid_argument, "the affine of labels is not finite or too large");
        }
    }
    const bool fit = std::ranges::all_of(labels.styles, [](const LabelStyle& s) {
        return is_part(s.opacity) && is_part(s.tint) && std::ranges::all_of(s.colour, is_part);
    });
    if (labels.styles.empty() || labels.styles.size() > 256 || !fit) {
        throw Error(Errc::invalid_argument, "labels have 1 to 256 styles with parts from 0 to 1");
    }
    return labels;
}

Mat3 product(const Mat3& a, const Mat3& b) noexcept {
    Mat3 found{};
    for (std::size_t r = 0; r < 3; ++r) {
        for (std::size_t c = 0; c < 3; ++c) {
            found[3 * r + c] = a[3 * r] * b[c] + a[3 * r + 1] * b[3 + c] + a[3 * r + 2] * b[6 + c];
        }
    }
    return found;
}

Vec3 origin_of(const volume::BrickView& view) noexcept {
    return {view.affine[3], view.affine[7], view.affine[11]};
}

}  // namespace

LabelTable::LabelTable(const Labels& labels, const Grid& volume, double step, double unit)
    : grid_(checked(labels).view), styles_(labels.styles), is_mask_(labels.is_mask) {
    for (const LabelStyle& style : styles_) {
        opacities_.push_back(static_cast<float>(1.0 - std::pow(1.0 - static_cast<double>(style.opacity), step / unit)));
        shows_itself_ = shows_itself_ || style.opacity > 0.0F;
    }
    turn_ = product(grid_.inverse, volume.forward);
    shift_ = grid_.to_voxel(origin_of(volume.view));
    inverse_ = product(volume.inverse, grid_.forward);
    back_ = volume.to_voxel(origin_of(grid_.view));
}

Vec3 LabelTable::place(const Position& p) const noexcept {
    const Vec3 voxel{static_cast<double>(p[0]) * kVoxel, static_cast<double>(p[1]) * kVoxel,
                     static_cast<double>(p[2]) * kVoxel};
    return plus(shift_, multiply(turn_, voxel));
}

std::uint8_t LabelTable::at(const Vec3& place) const noexcept {
    std::array<std::int32_t, 3> voxel{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const double rounded = std::floor(place[axis] + 0.5);
        if (!(rounded >= 0.0 && rounded < grid_.size[axis])) {
            return 0;
        }
        voxel[axis] = static_cast<std::int32_t>(rounded);
    }
    return Sampler<std::uint8_t>(grid_).voxel(voxel[0], voxel[1], voxel[2]);
}

float LabelTable::share(const Vec3& place, std::uint8_t value) const noexcept {
    float sum = 0.0F;
    const Vec3 low{std::floor(place[0]), std::floor(place[1]), std::floor(place[2])};
    for (unsigned corner = 0; corner < 8; ++corner) {
        Vec3 voxel = low;
        double weight = 1.0;
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const double rest = place[axis] - low[axis];
            const bool upper = (corner >> axis & 1U) != 0;
            voxel[axis] += upper ? 1.0 : 0.0;
            weight *= upper ? rest : 1.0 - rest;
        }
        sum += at(voxel) == value ? static_cast<float>(weight) : 0.0F;
    }
    return sum;
}

std::array<float, 3> LabelTable::gradient(const Vec3& place, std::uint8_t value) const noexcept {
    std::array<float, 3> found{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const Vec3 along{turn_[axis], turn_[3 + axis], turn_[6 + axis]};
        found[axis] = share(plus(place, along), value) - share(plus(place, along, -1.0), value);
    }
    return found;
}

void LabelTable::mark(const CellGrid& cells, std::vector<std::uint8_t>& active) const {
    std::array<double, 3> low{1e30, 1e30, 1e30};
    std::array<double, 3> high{-1e30, -1e30, -1e30};
    for (unsigned corner = 0; corner < 8; ++corner) {
        Vec3 voxel{};
        for (std::size_t axis = 0; axis < 3; ++axis) {
            voxel[axis] = (corner >> axis & 1U) != 0 ? grid_.size[axis] - 0.5 : -0.5;
        }
        const Vec3 there = plus(back_, multiply(inverse_, voxel));
        for (std::size_t axis = 0; axis < 3; ++axis) {
            low[axis] = std::min(low[axis], there[axis]);
            high[axis] = std::max(high[axis], there[axis]);
        }
    }
    std::array<std::int32_t, 3> from{};
    std::array<std::int32_t, 3> to{};
    const double edge = static_cast<double>(1U << cells.log2);
    for (std::size_t axis = 0; axis < 3; ++axis) {  // one voxel more on both sides, for what rounding may do
        const double last = cells.shape[axis] - 1;
        from[axis] = static_cast<std::int32_t>(std::clamp(std::floor((low[axis] - 1.0) / edge), 0.0, last));
        to[axis] = static_cast<std::int32_t>(std::clamp(std::floor((high[axis] + 1.0) / edge), 0.0, last));
    }
    for (std::int32_t z = from[2]; z <= to[2]; ++z) {
        for (std::int32_t y = from[1]; y <= to[1]; ++y) {
            for (std::int32_t x = from[0]; x <= to[0]; ++x) {
                active[cells.index(x, y, z)] = 1;
            }
        }
    }
}

}  // namespace hilum::render
