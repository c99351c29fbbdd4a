// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/shutter.hpp"

#include <algorithm>
#include <cmath>

#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::pixel {
namespace {

constexpr std::int64_t kFurthest = 1 << 20;  ///< of a coordinate: far outside of every image, small enough to square

bool is_near(std::int64_t value) noexcept {
    return value >= -kFurthest && value <= kFurthest;
}

/// Hides all of a row but [first, end), in columns of the mask.
void hide_outside(std::uint8_t* row, std::size_t columns, std::int64_t first, std::int64_t end) noexcept {
    const auto width = static_cast<std::int64_t>(columns);
    first = std::clamp<std::int64_t>(first, 0, width);
    end = std::clamp<std::int64_t>(end, first, width);
    std::fill(row, row + first, std::uint8_t{0xFF});
    std::fill(row + end, row + width, std::uint8_t{0xFF});
}

void add_rectangle(const ShutterRectangle& r, const Region& part, std::span<std::uint8_t> mask) noexcept {
    for (std::uint32_t y = 0; y < part.rows; ++y) {
        const std::int64_t line = std::int64_t{part.y} + y + 1;
        const bool visible = line >= r.upper && line <= r.lower;
        const std::int64_t first = visible ? r.left - 1 - part.x : 0;
        const std::int64_t end = visible ? r.right - part.x : 0;
        hide_outside(mask.data() + std::size_t{y} * part.columns, part.columns, first, end);
    }
}

/// A pixel is inside when its centre is: the radius counts pixels along a row, so rows count `aspect` of them.
void add_circle(const ShutterCircle& c, const Region& part, double aspect, std::span<std::uint8_t> mask) noexcept {
    const auto radius = static_cast<double>(c.radius);
    for (std::uint32_t y = 0; y < part.rows; ++y) {
        const double down = static_cast<double>(std::int64_t{part.y} + y + 1 - c.row) * aspect;
        const double square = radius * radius - down * down;
        std::uint8_t* row = mask.data() + std::size_t{y} * part.columns;
        if (square < 0.0) {
            std::fill(row, row + part.columns, std::uint8_t{0xFF});
            continue;
        }
        const auto half = static_cast<std::int64_t>(std::floor(std::sqrt(square)));
        const std::int64_t center = c.column - 1 - part.x;
        hide_outside(row, part.columns, center - half, center + half + 1);
    }
}

/// Where a line of pixel centres crosses the polygon's edges: visible between the first and the second, the third and
/// the fourth, ... Pixels on an edge are visible.
void add_polygon(std::span<const ShutterVertex> vertices, const Region& part, std::span<std::uint8_t> mask) {
    std::vector<double> crossings;
    std::vector<std::uint8_t> visible(part.columns);
    const auto show = [&](double first, double last) {
        const double from = std::max(std::ceil(first - 1e-9) - 1.0 - part.x, 0.0);
        const double to = std::min(std::floor(last + 1e-9) - part.x, static_cast<double>(part.columns));
        if (from < to) {
            std::fill(visible.begin() + static_cast<std::ptrdiff_t>(from),
                      visible.begin() + static_cast<std::ptrdiff_t>(to), std::uint8_t{1});
        }
    };
    for (std::uint32_t y = 0; y < part.rows; ++y) {
        const std::int64_t line = std::int64_t{part.y} + y + 1;
        crossings.clear();
        std::ranges::fill(visible, std::uint8_t{0});
        for (std::size_t i = 0; i < vertices.size(); ++i) {
            const ShutterVertex& a = vertices[i];
            const ShutterVertex& b = vertices[(i + 1) % vertices.size()];
            if (a.row == b.row && a.row == line) {  // an edge along the line is visible
                show(static_cast<double>(std::min(a.column, b.column)),
                     static_cast<double>(std::max(a.column, b.column)));
            }
            if ((a.row <= line) != (b.row <= line)) {
                const double share = static_cast<double>(line - a.row) / static_cast<double>(b.row - a.row);
                crossings.push_back(static_cast<double>(a.column) + share * static_cast<double>(b.column - a.column));
            }
            if (a.row == line) {
                show(static_cast<double>(a.column), static_cast<double>(a.column));
            }
        }
        std::ranges::sort(crossings);
        for (std::size_t i = 0; i + 1 < crossings.size(); i += 2) {
            show(crossings[i], crossings[i + 1]);
        }
        std::uint8_t* row = mask.data() + std::size_t{y} * part.columns;
        for (std::uint32_t x = 0; x < part.columns; ++x) {
            row[x] = visible[x] != 0 ? row[x] : std::uint8_t{0xFF};
        }
    }
}

bool all_near(std::span<const ShutterVertex> vertices) noexcept {
    return std::ranges::all_of(vertices, [](const ShutterVertex& v) { return is_near(v.row) && is_near(v.column); });
}

}  // namespace

std::string defect_of(const Shutter& s) {
    if (const auto& r = s.rectangle) {
        if (!is_near(r->left) || !is_near(r->right) || !is_near(r->upper) || !is_near(r->lower)) {
            return "an edge of the rectangular shutter, (0018,1602) to (0018,1608), is out of range";
        }
        if (r->left > r->right) {
            return "Shutter Left Vertical Edge (0018,1602) is right of the Right Vertical Edge (0018,1604)";
        }
        if (r->upper > r->lower) {
            return "Shutter Upper Horizontal Edge (0018,1606) is below the Lower Horizontal Edge (0018,1608)";
        }
    }
    if (const auto& c = s.circle) {
        if (!is_near(c->row) || !is_near(c->column)) {
            return "Center of Circular Shutter (0018,1610) is out of range";
        }
        if (c->radius < 0 || c->radius > kFurthest) {
            return "Radius of Circular Shutter (0018,1612) is out of range";
        }
    }
    if (!s.polygon.empty() && s.polygon.size() < 3) {
        return "Vertices of the Polygonal Shutter (0018,1620) are fewer than three";
    }
    if (s.polygon.size() > limits::kMaxShutterVertices) {
        return "Vertices of the Polygonal Shutter (0018,1620) are more than the limit";
    }
    if (!all_near(s.polygon)) {
        return "a vertex of Vertices of the Polygonal Shutter (0018,1620) is out of range";
    }
    return {};
}

void add_shutter(const Shutter& shutter, const Region& part, double pixel_aspect, std::span<std::uint8_t> mask) {
    if (shutter.rectangle) {
        add_rectangle(*shutter.rectangle, part, mask);
    }
    if (shutter.circle) {
        add_circle(*shutter.circle, part, pixel_aspect, mask);
    }
    if (!shutter.polygon.empty()) {
        if (std::uint64_t{part.rows} * shutter.polygon.size() > limits::kMaxShutterWork) {
            throw Error(Errc::limit_exceeded, "Vertices of the Polygonal Shutter (0018,1620) are more than the limit");
        }
        add_polygon(shutter.polygon, part, mask);
    }
    if (shutter.bitmap) {
        add_plane(*shutter.bitmap, part, mask);
    }
}

}  // namespace hilum::pixel
