// SPDX-License-Identifier: Apache-2.0
#include "hilum/volume/region.hpp"

#include <algorithm>
#include <cmath>

#include "grid_math.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::volume {
namespace {

constexpr double kNearestTie = 0.5 + 1e-6;  ///< on the border of two voxels of a mask it is the upper one
constexpr double kTie = 1e-9;               ///< voxels; what rounding may do to a column

/// Columns from first to last, both included, as real numbers.
struct Interval {
    double first;
    double last;

    void limit(double lower, double upper) noexcept {
        first = std::max(first, lower);
        last = std::min(last, upper);
    }
};

/// A row of voxels as a line: centre of column i is origin + i * step.
struct Line {
    Point origin;
    Point step;
};

void limit_by_layer(const Layer& layer, const Line& line, Interval& columns) noexcept {
    const double slope = dot(layer.normal, line.step);
    const double at = dot(layer.normal, line.origin) - layer.offset;
    const double half = layer.half + kBorderMm;
    if (std::abs(slope) < 1e-12) {
        if (std::abs(at) > half) {
            columns.last = -1.0;
        }
        return;
    }
    const double a = (-half - at) / slope;
    const double b = (half - at) / slope;
    columns.limit(std::min(a, b), std::max(a, b));
}

Point multiplied(const std::array<double, 9>& m, const Point& p) noexcept {
    return {m[0] * p[0] + m[1] * p[1] + m[2] * p[2], m[3] * p[0] + m[4] * p[1] + m[5] * p[2],
            m[6] * p[0] + m[7] * p[1] + m[8] * p[2]};
}

void limit_by_ellipsoid(const Ellipsoid& shape, const Line& line, Interval& columns) noexcept {
    const Point start = multiplied(shape.to_unit, minus(line.origin, shape.centre));
    const Point step = multiplied(shape.to_unit, line.step);
    const double a = dot(step, step);
    if (a <= 0.0) {
        columns.last = -1.0;
        return;
    }
    const double middle = -dot(start, step) / a;
    const Point nearest{start[0] + middle * step[0], start[1] + middle * step[1], start[2] + middle * step[2]};
    // A border of kBorderMm, in the units of this direction.
    const double border = kBorderMm * std::sqrt(a / std::max(dot(line.step, line.step), 1e-24));
    const double left = (1.0 + border) * (1.0 + border) - dot(nearest, nearest);
    if (left < 0.0) {
        columns.last = -1.0;
        return;
    }
    const double half = std::sqrt(left / a);
    columns.limit(middle - half, middle + half);
}

/// Columns at which the line enters and leaves the polygon, ascending; none for a line at a right angle to its plane,
/// which is inside or not.
bool crossings(const Polygon& polygon, const Line& line, std::vector<double>& found) {
    const Point from = minus(line.origin, polygon.origin);
    const std::array<double, 2> start{dot(polygon.u, from), dot(polygon.v, from)};
    std::array<double, 2> step{dot(polygon.u, line.step), dot(polygon.v, line.step)};
    const double length = step[0] * step[0] + step[1] * step[1];
    const bool upright = length < 1e-12;
    if (upright) {
        step = {1.0, 0.0};
    }
    found.clear();
    const auto side = [&](const std::array<double, 2>& p) {
        return step[0] * (p[1] - start[1]) - step[1] * (p[0] - start[0]);
    };
    for (std::size_t n = 0; n < polygon.points.size(); ++n) {
        const std::array<double, 2>& p = polygon.points[n];
        const std::array<double, 2>& q = polygon.points[n + 1 < polygon.points.size() ? n + 1 : 0];
        const double a = side(p);
        const double b = side(q);
        if ((a > 0.0) == (b > 0.0)) {
            continue;
        }
        const double share = a / (a - b);
        const double along =
            step[0] * (p[0] + share * (q[0] - p[0]) - start[0]) + step[1] * (p[1] + share * (q[1] - p[1]) - start[1]);
        found.push_back(along / (upright ? 1.0 : length));
    }
    std::ranges::sort(found);
    if (!upright) {
        return true;
    }
    const auto after = std::ranges::count_if(found, [](double at) { return at > 0.0; });
    return after % 2 == 1;
}

/// Adds columns to the end, joined with what is there.
void add(std::vector<Span>& out, std::uint32_t first, std::uint32_t last) {
    if (!out.empty() && first <= out.back().last) {
        out.back().last = std::max(out.back().last, last);
    } else {
        out.push_back({first, last});
    }
}

void add_interval(const Interval& columns, std::vector<Span>& out) {
    const double first = std::ceil(columns.first - kTie);
    const double last = std::floor(columns.last + kTie);
    if (first <= last && last >= 0.0) {
        add(out, static_cast<std::uint32_t>(std::max(first, 0.0)), static_cast<std::uint32_t>(last) + 1U);
    }
}

/// Keeps of spans what the mask has.
void keep_masked(const GridMask& mask, std::uint32_t slice, std::uint32_t row, std::vector<Span>& spans) {
    const std::array<double, 12>& m = mask.mapping;
    const std::vector<Span> all(spans);
    spans.clear();
    for (const Span& span : all) {
        for (std::uint32_t i = span.first; i < span.last; ++i) {
            std::array<double, 3> at{};
            bool inside = true;
            for (std::size_t axis = 0; axis < 3; ++axis) {
                at[axis] = std::floor(m[4 * axis] * i + m[4 * axis + 1] * row + m[4 * axis + 2] * slice +
                                      m[4 * axis + 3] + kNearestTie);
                inside = inside && at[axis] >= 0.0 && at[axis] < mask.shape[2 - axis];
            }
            if (!inside) {
                continue;
            }
            const std::size_t index =
                (static_cast<std::size_t>(at[2]) * mask.shape[1] + static_cast<std::size_t>(at[1])) * mask.shape[2] +
                static_cast<std::size_t>(at[0]);
            if (mask.voxels[index] >= mask.least) {
                add(spans, i, i + 1U);
            }
        }
    }
}

void check_polygon(const Polygon& polygon, const Box& box) {
    bool good = finite(polygon.origin) && finite(polygon.u) && finite(polygon.v);
    for (const std::array<double, 2>& point : polygon.points) {
        good = good && finite(point);
    }
    if (!good) {
        throw Error(Errc::invalid_argument, "a polygon of numbers that are not finite");
    }
    const std::uint64_t rows = std::uint64_t{box.size[0]} * box.size[1];
    if (rows * polygon.points.size() > limits::kMaxPolygonWork) {
        throw Error(Errc::limit_exceeded, "a polygon of too many points for the rows that it covers");
    }
}

void check_mask(const GridMask& mask) {
    if (!finite(mask.mapping)) {
        throw Error(Errc::invalid_argument, "a mask whose place is not finite");
    }
    if (mask.voxels.size() != std::uint64_t{mask.shape[0]} * mask.shape[1] * mask.shape[2]) {
        throw Error(Errc::buffer_too_small, "a mask is not as large as its shape");
    }
}

}  // namespace

void check_region(const BrickView& view, const Region& region) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
        if (std::uint64_t{region.box.first[axis]} + region.box.size[axis] > view.shape[axis]) {
            throw Error(Errc::out_of_range, "the box is not inside of the volume");
        }
    }
    for (const Layer& layer : region.layers) {
        if (!finite(layer.normal) || !std::isfinite(layer.offset) || !(layer.half >= 0.0)) {
            throw Error(Errc::invalid_argument, "a region of numbers that are not finite");
        }
    }
    if (region.ellipsoid && !(finite(region.ellipsoid->to_unit) && finite(region.ellipsoid->centre))) {
        throw Error(Errc::invalid_argument, "an ellipsoid of numbers that are not finite");
    }
    if (region.polygon) {
        check_polygon(*region.polygon, region.box);
    }
    if (region.mask) {
        check_mask(*region.mask);
    }
}

void region_spans(const BrickView& view, const Region& region, std::uint32_t slice, std::uint32_t row,
                  std::vector<Span>& out) {
    out.clear();
    const Box& box = region.box;
    if (slice < box.first[0] || slice - box.first[0] >= box.size[0] || row < box.first[1] ||
        row - box.first[1] >= box.size[1] || box.size[2] == 0) {
        return;
    }
    const Affine& m = view.affine;
    const Line line{to_patient(m, 0.0, row, slice), {m[0], m[4], m[8]}};
    Interval columns{static_cast<double>(box.first[2]), static_cast<double>(box.first[2] + box.size[2] - 1U)};
    for (const Layer& layer : region.layers) {
        limit_by_layer(layer, line, columns);
    }
    if (region.ellipsoid) {
        limit_by_ellipsoid(*region.ellipsoid, line, columns);
    }
    if (!(columns.first <= columns.last + kTie)) {
        return;
    }
    thread_local std::vector<double> found;
    if (region.polygon) {
        if (!crossings(*region.polygon, line, found)) {
            return;
        }
        if (const double length = std::hypot(dot(region.polygon->u, line.step), dot(region.polygon->v, line.step));
            length >= 1e-6) {
            const double border = kBorderMm / length;
            for (std::size_t n = 0; n + 1 < found.size(); n += 2) {
                add_interval(
                    {std::max(columns.first, found[n] - border), std::min(columns.last, found[n + 1] + border)}, out);
            }
        } else {
            add_interval(columns, out);
        }
    } else {
        add_interval(columns, out);
    }
    if (region.mask && !out.empty()) {
        keep_masked(*region.mask, slice, row, out);
    }
}

}  // namespace hilum::volume
