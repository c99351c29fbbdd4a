// SPDX-License-Identifier: Apache-2.0
#include "grid.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "hilum/error.hpp"

namespace hilum::render {
namespace {

constexpr double kMostMillimetres = 1e9;
constexpr double kMostStep = 1048576.0;  // voxels
constexpr std::int64_t kOne = std::int64_t{1} << 32;

double cofactor(const Mat3& m, std::size_t a, std::size_t b, std::size_t c, std::size_t d) noexcept {
    return m[a] * m[d] - m[b] * m[c];
}

Mat3 invert(const Mat3& m) {
    const double determinant =
        m[0] * cofactor(m, 4, 5, 7, 8) - m[1] * cofactor(m, 3, 5, 6, 8) + m[2] * cofactor(m, 3, 4, 6, 7);
    if (!std::isfinite(determinant) || determinant == 0.0) {
        throw Error(Errc::bad_value, "the volume's affine is not invertible");
    }
    const double f = 1.0 / determinant;
    return {f * cofactor(m, 4, 5, 7, 8),  -f * cofactor(m, 1, 2, 7, 8), f * cofactor(m, 1, 2, 4, 5),
            -f * cofactor(m, 3, 5, 6, 8), f * cofactor(m, 0, 2, 6, 8),  -f * cofactor(m, 0, 2, 3, 5),
            f * cofactor(m, 3, 4, 6, 7),  -f * cofactor(m, 0, 1, 6, 7), f * cofactor(m, 0, 1, 3, 4)};
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) noexcept {
    const std::int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

std::int64_t ceil_div(std::int64_t a, std::int64_t b) noexcept {
    const std::int64_t q = a / b;
    return q * b < a ? q + 1 : q;
}

std::int64_t to_fixed(double voxels) noexcept {
    const double scaled = voxels * 4294967296.0;
    return static_cast<std::int64_t>(scaled + std::copysign(0.5, scaled));
}

/// Far enough from the border not to need exact arithmetic.
bool is_inside(const Grid& grid, const Vec3& p) noexcept {
    bool inside = true;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        inside = inside && p[axis] > -0.49 && p[axis] < grid.size[axis] - 0.51;
    }
    return inside;
}

/// Samples that may be inside: a little more than those that are.
bool clip(const Grid& grid, const Vec3& start, const Vec3& step, double& low, double& high) noexcept {
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const double least = -0.5;
        const double greatest = grid.size[axis] - 0.5;
        if (std::abs(step[axis]) < 1e-12) {
            if (start[axis] < least - 1e-6 || start[axis] > greatest + 1e-6) {
                return false;
            }
            continue;
        }
        const double a = (least - start[axis]) / step[axis];
        const double b = (greatest - start[axis]) / step[axis];
        low = std::max(low, std::min(a, b) - 2.0);
        high = std::min(high, std::max(a, b) + 2.0);
    }
    return low <= high;
}

}  // namespace

Vec3 multiply(const Mat3& m, const Vec3& v) noexcept {
    return {m[0] * v[0] + m[1] * v[1] + m[2] * v[2], m[3] * v[0] + m[4] * v[1] + m[5] * v[2],
            m[6] * v[0] + m[7] * v[1] + m[8] * v[2]};
}

double dot(const Vec3& a, const Vec3& b) noexcept {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

Vec3 plus(const Vec3& a, const Vec3& b, double factor) noexcept {
    return {a[0] + factor * b[0], a[1] + factor * b[1], a[2] + factor * b[2]};
}

Grid::Grid(const volume::BrickView& source)
    : view(source),
      base(source.base),
      size{static_cast<std::int32_t>(source.shape[2]), static_cast<std::int32_t>(source.shape[1]),
           static_cast<std::int32_t>(source.shape[0])},
      stride{static_cast<std::int32_t>(source.bricks(2)),
             static_cast<std::int32_t>(source.bricks(2) * source.bricks(1))},
      log2(source.brick_log2),
      mask(static_cast<std::int32_t>(source.edge()) - 1) {
    const volume::Affine& a = source.affine;
    forward = {a[0], a[1], a[2], a[4], a[5], a[6], a[8], a[9], a[10]};
    inverse = invert(forward);
    const Vec3 moved = multiply(inverse, {a[3], a[7], a[11]});
    offset = {-moved[0], -moved[1], -moved[2]};
    const std::size_t sample = bytes_of(source.type);
    starts.reserve(source.offsets.size());
    std::int64_t furthest = 0;
    for (const std::uint64_t brick : source.offsets) {
        if (brick == volume::kMissing) {
            starts.push_back(-1);
            continue;
        }
        if (brick % sample != 0) {
            throw Error(Errc::bad_value, "a brick is not aligned to its samples");
        }
        starts.push_back(static_cast<std::int64_t>(brick / sample));
        furthest = std::max(furthest, starts.back());
    }
    const std::int64_t brick_samples = std::int64_t{1} << (3 * log2);
    // Vectors read pairs, of a missing brick at the place of the first byte: there has to be one.
    const bool is_stored = std::ranges::any_of(starts, [](std::int64_t start) { return start >= 0; });
    if (sample == 2 && log2 != 0 && is_stored && furthest + brick_samples <= std::numeric_limits<std::int32_t>::max()) {
        near.assign(starts.begin(), starts.end());
        first = static_cast<std::uint32_t>(std::max<std::int64_t>(starts.front(), 0));
        is_dense = log2 == volume::kBrickLog2;
        for (std::size_t i = 0; i < starts.size() && is_dense; ++i) {
            is_dense = starts[i] == std::int64_t{first} + static_cast<std::int64_t>(i) * brick_samples;
        }
    }
}

Step::Step(const Vec3& of) noexcept : voxels(of), fixed{to_fixed(of[0]), to_fixed(of[1]), to_fixed(of[2])} {}

Track make_track(const Grid& grid, const Vec3& start, const Step& step, std::int64_t count) noexcept {
    Track track;
    track.step = step.fixed;
    double low = 0.0;
    auto high = static_cast<double>(count - 1);
    if (is_inside(grid, start) && is_inside(grid, plus(start, step.voxels, high))) {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            track.start[axis] = to_fixed(start[axis]);
        }
        track.last = count;
        return track;
    }
    if (!clip(grid, start, step.voxels, low, high)) {
        return track;
    }
    track.base = static_cast<std::int64_t>(low) & ~std::int64_t{7};
    // `low` may exceed the true begin by nothing: the margin of clip() is two samples.
    std::int64_t least = track.base;
    std::int64_t most = std::min(count - 1, static_cast<std::int64_t>(high) + 1);
    for (std::size_t axis = 0; axis < 3; ++axis) {
        track.start[axis] = to_fixed(start[axis] + static_cast<double>(track.base) * step.voxels[axis]);
        const std::int64_t from = -(kOne / 2);
        const std::int64_t to = std::int64_t{grid.size[axis]} * kOne - kOne / 2 - 1;
        const std::int64_t s = track.start[axis];
        if (const std::int64_t d = track.step[axis]; d > 0) {
            least = std::max(least, track.base + ceil_div(from - s, d));
            most = std::min(most, track.base + floor_div(to - s, d));
        } else if (d < 0) {
            least = std::max(least, track.base + ceil_div(s - to, -d));
            most = std::min(most, track.base + floor_div(s - from, -d));
        } else if (s < from || s > to) {
            return Track{};
        }
    }
    track.first = least;
    track.last = std::max(least, most + 1);
    return track;
}

void check_point(const Vec3& mm, const char* what) {
    for (const double value : mm) {
        if (!(std::abs(value) <= kMostMillimetres)) {
            throw Error(Errc::invalid_argument, std::string(what) + " is not finite or too far away");
        }
    }
}

void check_step(const Grid& grid, const Vec3& mm, const char* what) {
    check_point(mm, what);
    for (const double value : multiply(grid.inverse, mm)) {
        if (!(std::abs(value) <= kMostStep)) {
            throw Error(Errc::invalid_argument, std::string(what) + " is longer than 1048576 voxels");
        }
    }
}

}  // namespace hilum::render
