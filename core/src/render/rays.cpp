// SPDX-License-Identifier: Apache-2.0
#include "rays.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::render {
namespace {

double length(const Vec3& v) noexcept {
    return std::sqrt(dot(v, v));
}

Vec3 scaled(const Vec3& v, double factor) noexcept {
    return {v[0] * factor, v[1] * factor, v[2] * factor};
}

/// The eight outermost points of a volume, in mm.
std::array<Vec3, 8> corners(const volume::BrickView& view) noexcept {
    std::array<Vec3, 8> found{};
    const volume::Affine& a = view.affine;
    for (std::size_t c = 0; c < 8; ++c) {
        const double i = (c & 1U) != 0 ? view.shape[2] - 0.5 : -0.5;
        const double j = (c & 2U) != 0 ? view.shape[1] - 0.5 : -0.5;
        const double k = (c & 4U) != 0 ? view.shape[0] - 0.5 : -0.5;
        for (std::size_t axis = 0; axis < 3; ++axis) {
            const std::size_t row = 4 * axis;
            found[c][axis] = a[row] * i + a[row + 1] * j + a[row + 2] * k + a[row + 3];
        }
    }
    return found;
}

/// Voxels that the rays of a tile can touch in one block.
struct Bounds {
    Vec3 least;
    Vec3 greatest;

    void add(const Vec3& p) noexcept {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            least[axis] = std::min(least[axis], p[axis]);
            greatest[axis] = std::max(greatest[axis], p[axis]);
        }
    }
};

constexpr Bounds kNothing{{1e300, 1e300, 1e300}, {-1e300, -1e300, -1e300}};

}  // namespace

DepthRange depth_range(const volume::BrickView& view, const Camera& camera) {
    check_point(camera.origin, "the origin of the image");
    check_point(camera.eye, "the eye");
    if (!(std::abs(length(camera.direction) - 1.0) < 1e-6)) {
        throw Error(Errc::invalid_argument, "the direction of the camera is no unit vector");
    }
    if (!(camera.step > 1e-6 && camera.step < 1e6)) {
        throw Error(Errc::invalid_argument, "the step must be from 0.000001 to 1000000 mm");
    }
    const Grid grid(view);
    check_step(grid, camera.right, "the distance of two columns");
    check_step(grid, camera.down, "the distance of two rows");
    check_step(grid, scaled(camera.direction, camera.step), "the step");
    double least = std::numeric_limits<double>::max();
    double most = std::numeric_limits<double>::lowest();
    for (const Vec3& corner : corners(view)) {
        const Vec3 from = plus(corner, camera.perspective ? camera.eye : camera.origin, -1.0);
        const double along = dot(from, camera.direction);
        least = std::min(least, along);
        most = std::max(most, camera.perspective ? length(from) : along);
    }
    least = camera.perspective ? std::max(least, 0.0) : least;
    DepthRange found;
    const double begin = std::floor(least / camera.step);
    const double count = std::max(0.0, std::floor(most / camera.step) - begin + 1.0);
    if (count > limits::kMaxRaySamples) {
        throw Error(Errc::limit_exceeded, "a ray of more samples than the limit: the step is too short");
    }
    found.first = begin * camera.step;
    found.samples = static_cast<std::uint32_t>(count);
    return found;
}

RowRays::RowRays(const Grid& grid, std::span<const Row> source, std::uint32_t c, std::uint32_t s)
    : Rays(static_cast<std::uint32_t>(source.size()), c, s) {
    made_.reserve(source.size());
    for (const Row& row : source) {
        const Vec3 depth = multiply(grid.inverse, row.depth);
        made_.push_back(
            {plus(grid.to_voxel(row.origin), depth, -0.5 * (s - 1.0)), multiply(grid.inverse, row.step), depth});
    }
}

Line RowRays::line(std::uint32_t row, std::uint32_t column) const noexcept {
    const Made& made = made_[row];
    return {plus(made.origin, made.step, column), made.depth};
}

CameraRays::CameraRays(const Grid& grid, const Camera& camera, ImageSize size, const DepthRange& depth) noexcept
    : Rays(size.rows, size.columns, depth.samples), grid_(grid), camera_(camera), first_(depth.first) {
    origin_ = grid.to_voxel(plus(camera.origin, camera.direction, first_));
    right_ = multiply(grid.inverse, camera.right);
    down_ = multiply(grid.inverse, camera.down);
    step_ = multiply(grid.inverse, scaled(camera.direction, camera.step));
    is_regular = true;
    is_fan = camera.perspective;
    before = camera.perspective ? first_ / camera.step : 0.0;
}

Line CameraRays::line(std::uint32_t row, std::uint32_t column) const noexcept {
    if (!camera_.perspective) {
        return {plus(plus(origin_, right_, column), down_, row), step_};
    }
    const Vec3 pixel = plus(plus(camera_.origin, camera_.right, column), camera_.down, row);
    Vec3 way = plus(pixel, camera_.eye, -1.0);
    const double far = length(way);
    way = far > 0.0 ? scaled(way, 1.0 / far) : camera_.direction;
    return {grid_.to_voxel(plus(camera_.eye, way, first_)), multiply(grid_.inverse, scaled(way, camera_.step))};
}

Clip::Clip(const Grid& grid, std::span<const ClipPlane> planes) {
    const Mat3& m = grid.forward;
    const volume::Affine& a = grid.view.affine;
    for (const ClipPlane& plane : planes) {
        check_point(plane.normal, "the normal of a clipping plane");
        if (!(std::abs(plane.offset) <= 1e12)) {
            throw Error(Errc::invalid_argument, "the offset of a clipping plane is not finite");
        }
        const Vec3& n = plane.normal;
        planes_.push_back({{m[0] * n[0] + m[3] * n[1] + m[6] * n[2], m[1] * n[0] + m[4] * n[1] + m[7] * n[2],
                            m[2] * n[0] + m[5] * n[1] + m[8] * n[2]},
                           plane.offset - dot(n, {a[3], a[7], a[11]})});
    }
}

void Clip::cut(const Line& line, Track& track) const noexcept {
    for (const ClipPlane& plane : planes_) {
        const double at_start = dot(plane.normal, line.start) - plane.offset;
        const double slope = dot(plane.normal, line.step);
        if (std::abs(slope) < 1e-12) {
            track.last = at_start < 0.0 ? track.first : track.last;
            continue;
        }
        const double crossing = std::clamp(-at_start / slope, -1.0, 1.0 + limits::kMaxRaySamples);
        if (slope > 0.0) {
            track.first = std::max(track.first, static_cast<std::int64_t>(std::ceil(crossing)));
        } else {
            track.last = std::min(track.last, static_cast<std::int64_t>(std::floor(crossing)) + 1);
        }
    }
}

TileMaker::TileMaker(const Rays& rays, const Grid& grid, const Clip& clip, const CellGrid& cells) noexcept
    : rays_(rays),
      grid_(grid),
      clip_(clip),
      cells_(cells),
      across_((rays.columns + kTile - 1) / kTile),
      down_((rays.rows + kTile - 1) / kTile) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
        reach_[axis] = length({grid.inverse[3 * axis], grid.inverse[3 * axis + 1], grid.inverse[3 * axis + 2]});
    }
}

/// How far, in mm for each step from the eye, rays of one length reach beyond the plane through the ends of the outer
/// ones: 1 - cos of the greatest angle to the middle.
double TileMaker::bulge(const Tile& tile) const noexcept {
    const Vec3 middle = multiply(grid_.forward, tile.lines[ray_at(tile.rows / 2, tile.columns / 2)].step);
    double found = 0.0;
    for (const std::size_t corner : {ray_at(0, 0), ray_at(0, kTile - 1), ray_at(kTile - 1, 0), kTileRays - 1}) {
        found = std::max(found, length(middle) - dot(multiply(grid_.forward, tile.lines[corner].step), middle) /
                                                     std::max(1e-300, length(middle)));
    }
    return found;
}

TileMaker::Outline TileMaker::outline(const Tile& tile) const noexcept {
    Outline found;
    for (std::uint32_t r = 0; r < kTile; r += rays_.is_regular ? kTile - 1 : 1) {
        found.lines[found.count++] = ray_at(r, 0);
        found.lines[found.count++] = ray_at(r, kTile - 1);
    }
    found.bulge = rays_.is_fan ? bulge(tile) : 0.0;
    return found;
}

bool TileMaker::meets(const Tile& tile, const Outline& outer, Block& block) const noexcept {
    Bounds bounds = kNothing;
    for (std::size_t i = 0; i < outer.count; ++i) {
        const Line& line = tile.lines[outer.lines[i]];
        bounds.add(plus(line.start, line.step, static_cast<double>(block.index * 8)));
        bounds.add(plus(line.start, line.step, static_cast<double>(block.index * 8 + 7)));
    }
    const double out = outer.bulge * (rays_.before + static_cast<double>(block.index * 8 + 7));
    block.is_inner = true;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const double most = grid_.size[axis] - 1.0;
        const double margin = 0.01 + out * reach_[axis];
        if (bounds.greatest[axis] + margin < -0.5 || bounds.least[axis] - margin > most + 0.5) {
            return false;
        }
        block.is_inner = block.is_inner && bounds.least[axis] - margin >= 0.0 && bounds.greatest[axis] + margin < most;
        block.box.low[axis] = static_cast<std::int32_t>(std::clamp(bounds.least[axis] - margin, 0.0, most));
        block.box.high[axis] = static_cast<std::int32_t>(std::clamp(bounds.greatest[axis] + margin, 0.0, most));
    }
    return true;
}

Box TileMaker::cells_of(const Box& voxels) const noexcept {
    Box found;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        found.low[axis] = voxels.low[axis] >> cells_.log2;
        found.high[axis] = voxels.high[axis] >> cells_.log2;
    }
    return found;
}

bool TileMaker::is_active(const Box& box, std::span<const std::uint8_t> active) const noexcept {
    for (std::int32_t z = box.low[2]; z <= box.high[2]; ++z) {
        for (std::int32_t y = box.low[1]; y <= box.high[1]; ++y) {
            const auto row =
                active.subspan(cells_.index(box.low[0], y, z), static_cast<std::size_t>(box.high[0] - box.low[0]) + 1);
            if (std::ranges::any_of(row, [](std::uint8_t set) { return set != 0; })) {
                return true;
            }
        }
    }
    return false;
}

void TileMaker::bound(Block& block) const noexcept {
    const Box box = cells_of(block.box);
    block.least = std::numeric_limits<float>::infinity();
    block.greatest = -std::numeric_limits<float>::infinity();
    for (std::int32_t z = box.low[2]; z <= box.high[2]; ++z) {
        for (std::int32_t y = box.low[1]; y <= box.high[1]; ++y) {
            const std::size_t from = cells_.index(box.low[0], y, z);
            for (std::size_t i = from; i <= from + static_cast<std::size_t>(box.high[0] - box.low[0]); ++i) {
                block.least = std::min(block.least, cells_.least[i]);
                block.greatest = std::max(block.greatest, cells_.greatest[i]);
            }
        }
    }
}

void TileMaker::trace(std::size_t index, Tile& tile) const {
    tile.row = static_cast<std::uint32_t>(index / across_) * kTile;
    tile.column = static_cast<std::uint32_t>(index % across_) * kTile;
    tile.rows = std::min(kTile, rays_.rows - tile.row);
    tile.columns = std::min(kTile, rays_.columns - tile.column);
    Step step({});
    for (std::uint32_t r = 0; r < kTile; ++r) {
        for (std::uint32_t c = 0; c < kTile; ++c) {
            Line& line = tile.lines[ray_at(r, c)];
            Track& track = tile.tracks[ray_at(r, c)];
            line = rays_.line(tile.row + std::min(r, tile.rows - 1), tile.column + std::min(c, tile.columns - 1));
            if (line.step != step.voxels) {  // most rays are parallel
                step = Step(line.step);
            }
            track = r < tile.rows && c < tile.columns ? make_track(grid_, line.start, step, rays_.samples) : Track{};
            clip_.cut(line, track);
        }
    }
}

void TileMaker::make(std::size_t index, Tile& tile, std::span<const std::uint8_t> active) const {
    trace(index, tile);
    std::int64_t first = std::numeric_limits<std::int64_t>::max();
    std::int64_t last = 0;
    for (const Track& track : tile.tracks) {
        if (track.first < track.last) {
            first = std::min(first, track.first);
            last = std::max(last, track.last);
        }
    }
    tile.blocks.clear();
    const Outline outer = outline(tile);
    for (std::int64_t index_of_block = first >> 3; index_of_block * 8 < last; ++index_of_block) {
        Block block;
        block.index = index_of_block;
        if (!meets(tile, outer, block)) {
            continue;
        }
        if (active.empty()) {
            bound(block);
        } else if (!is_active(cells_of(block.box), active)) {
            continue;
        }
        tile.blocks.push_back(block);
    }
}

}  // namespace hilum::render
