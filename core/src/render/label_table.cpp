// SPDX-License-Identifier: Apache-2.0
#include "label_table.hpp"

#include <algorithm>
#include <cmath>

#include "hilum/error.hpp"
#include "transfer.hpp"

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
    : is_mask(labels.is_mask), grid(checked(labels).view) {
    for (std::size_t value = 0; value < 256; ++value) {
        const LabelStyle& style = labels.styles[value < labels.styles.size() ? value : 0];
        is_hidden.push_back(style.is_shown ? 0 : ~0U);
        opacity.push_back(static_cast<float>(1.0 - std::pow(1.0 - static_cast<double>(style.opacity), step / unit)));
        tint.push_back(style.tint);
        for (std::size_t i = 0; i < 3; ++i) {
            colour[i].push_back(style.colour[i] * kMostColour);
        }
        has_opacity = has_opacity || opacity.back() > 0.0F;
    }
    is_plain = is_hidden[0] == 0 && !(opacity[0] > 0.0F) && !(tint[0] > 0.0F);
    turn = product(grid.inverse, volume.forward);
    shift = grid.to_voxel(origin_of(volume.view));
    inverse_ = product(volume.inverse, grid.forward);
    back_ = volume.to_voxel(origin_of(grid.view));
}

Vec3 LabelTable::place(const Position& p) const noexcept {
    const Vec3 voxel{static_cast<double>(p[0]) * kVoxel, static_cast<double>(p[1]) * kVoxel,
                     static_cast<double>(p[2]) * kVoxel};
    return plus(shift, multiply(turn, voxel));
}

std::uint8_t LabelTable::at(const Vec3& place) const noexcept {
    std::array<std::int32_t, 3> found{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const double rounded = std::floor(place[axis] + 0.5);
        if (!(rounded >= 0.0 && rounded < grid.size[axis])) {
            return 0;
        }
        found[axis] = static_cast<std::int32_t>(rounded);
    }
    return voxel(found[0], found[1], found[2]);
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
        const Vec3 along{turn[axis], turn[3 + axis], turn[6 + axis]};
        found[axis] = share(plus(place, along), value) - share(plus(place, along, -1.0), value);
    }
    return found;
}

unsigned LabelTable::corners(std::int32_t x, std::int32_t y, std::int32_t z, std::uint8_t value) const noexcept {
    const auto is_near_end = [&](std::int32_t at, std::size_t axis) {
        return at < 0 || at >= grid.size[axis] - 1 || (at & grid.mask) == grid.mask;
    };
    unsigned found = 0;
    if (is_near_end(x, 0) || is_near_end(y, 1) || is_near_end(z, 2)) {
        for (unsigned corner = 0; corner < 8; ++corner) {
            // Modulo 2^32: what does not fit is outside.
            const auto moved = [&](std::int32_t at, unsigned axis) {
                return static_cast<std::int32_t>(static_cast<std::uint32_t>(at) + (corner >> axis & 1U));
            };
            found |= (voxel(moved(x, 0), moved(y, 1), moved(z, 2)) == value ? 1U : 0U) << corner;
        }
        return found;
    }
    const auto brick = static_cast<std::size_t>((z >> grid.log2) * grid.stride[1] + (y >> grid.log2) * grid.stride[0] +
                                                (x >> grid.log2));
    if (grid.starts[brick] < 0) {
        return static_cast<std::uint8_t>(grid.view.fill) == value ? 0xFFU : 0U;
    }
    const std::size_t edge = std::size_t{1} << grid.log2;
    const std::int32_t inner = ((((z & grid.mask) << grid.log2) | (y & grid.mask)) << grid.log2) | (x & grid.mask);
    const std::byte* const from = grid.base + static_cast<std::size_t>(grid.starts[brick] + inner);
    const auto is_value = [&](unsigned corner) {
        const std::size_t distance =
            (corner & 1U) + ((corner & 2U) != 0 ? edge : 0) + ((corner & 4U) != 0 ? edge * edge : 0);
        return static_cast<std::uint8_t>(from[distance]) == value ? 1U : 0U;
    };
    for (unsigned corner = 0; corner < 8; ++corner) {
        found |= is_value(corner) << corner;
    }
    return found;
}

void LabelTable::mark(const CellGrid& cells, std::vector<std::uint8_t>& active) const {
    if (opacity[0] > 0.0F) {  // it is everywhere
        std::ranges::fill(active, std::uint8_t{1});
        return;
    }
    std::vector<std::uint32_t> seen_before(257);
    for (std::size_t value = 0; value < 256; ++value) {
        seen_before[value + 1] = seen_before[value] + (opacity[value] > 0.0F ? 1U : 0U);
    }
    const volume::BrickView& view = grid.view;
    for (std::uint32_t z = 0; z < view.bricks(0); ++z) {
        for (std::uint32_t y = 0; y < view.bricks(1); ++y) {
            for (std::uint32_t x = 0; x < view.bricks(2); ++x) {
                const std::size_t brick = view.brick_index(z, y, x);
                const auto fill = static_cast<float>(view.fill);
                const volume::BrickRange range =
                    grid.starts[brick] < 0 ? volume::BrickRange{fill, fill} : view.ranges[brick];
                const auto least = static_cast<std::size_t>(std::clamp(range.least, 0.0F, 255.0F));
                const auto greatest = static_cast<std::size_t>(std::clamp(range.greatest, 0.0F, 255.0F));
                if (seen_before[greatest + 1] > seen_before[std::min(least, greatest)]) {
                    const double edge = view.edge();
                    const Vec3 first{x * edge, y * edge, z * edge};
                    mark_box(first, {first[0] + edge, first[1] + edge, first[2] + edge}, cells, active);
                }
            }
        }
    }
}

/// Voxels of the labels from `first` to, not including, `last`.
void LabelTable::mark_box(const Vec3& first, const Vec3& last, const CellGrid& cells,
                          std::vector<std::uint8_t>& active) const {
    std::array<double, 3> low{1e30, 1e30, 1e30};
    std::array<double, 3> high{-1e30, -1e30, -1e30};
    for (unsigned corner = 0; corner < 8; ++corner) {
        Vec3 voxel{};
        for (std::size_t axis = 0; axis < 3; ++axis) {
            voxel[axis] = ((corner >> axis & 1U) != 0 ? last[axis] : first[axis]) - 0.5;
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
        const double end = cells.shape[axis] - 1;
        from[axis] = static_cast<std::int32_t>(std::clamp(std::floor((low[axis] - 1.0) / edge), 0.0, end));
        to[axis] = static_cast<std::int32_t>(std::clamp(std::floor((high[axis] + 1.0) / edge), 0.0, end));
    }
    for (std::int32_t z = from[2]; z <= to[2]; ++z) {
        for (std::int32_t y = from[1]; y <= to[1]; ++y) {
            const auto at = active.begin() + static_cast<std::ptrdiff_t>(cells.index(from[0], y, z));
            std::fill(at, at + (to[0] - from[0] + 1), std::uint8_t{1});
        }
    }
}

}  // namespace hilum::render
