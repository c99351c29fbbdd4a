// SPDX-License-Identifier: Apache-2.0
#include "transfer.hpp"

#include <algorithm>
#include <cmath>

#include "hilum/error.hpp"

namespace hilum::render {
namespace {

/// Red, green, blue or opacity at `value`; points ascending.
template <typename Point, typename Part>
double interpolate(const std::vector<Point>& points, double value, Part part) noexcept {
    if (!(value > points.front().value)) {
        return part(points.front());
    }
    const auto after = std::ranges::find_if(points, [&](const Point& p) { return p.value >= value; });
    if (after == points.end()) {
        return part(points.back());
    }
    const Point& below = *(after - 1);
    const double t = (value - below.value) / (after->value - below.value);
    return part(below) + (part(*after) - part(below)) * t;
}

bool is_part(float value) noexcept {
    return value >= 0.0F && value <= 1.0F;
}

template <typename Point>
bool ascends(const std::vector<Point>& points) noexcept {
    for (std::size_t i = 0; i < points.size(); ++i) {
        if (!(std::abs(points[i].value) <= 1e12) || (i > 0 && points[i].value < points[i - 1].value)) {
            return false;
        }
    }
    return !points.empty();
}

void check(const TransferFunction& f) {
    if (!ascends(f.colours) || !ascends(f.opacities) || !(f.unit > 1e-6 && f.unit < 1e6)) {
        throw Error(Errc::invalid_argument, "a transfer function needs points with ascending values");
    }
    const bool fit =
        std::ranges::all_of(
            f.colours, [](const ColourPoint& p) { return is_part(p.red) && is_part(p.green) && is_part(p.blue); }) &&
        std::ranges::all_of(f.opacities, [](const OpacityPoint& p) { return is_part(p.opacity); });
    if (!fit) {
        throw Error(Errc::invalid_argument, "colours and opacities of a transfer function are from 0 to 1");
    }
}

std::uint32_t ten_bits(double part) noexcept {
    return static_cast<std::uint32_t>(part * 1023.0 + 0.5);
}

}  // namespace

TransferTable::TransferTable(const volume::BrickView& view, const TransferFunction& function, double step) {
    check(function);
    if (!(std::abs(view.slope) > 0.0) || !std::isfinite(view.slope) || !std::isfinite(view.intercept)) {
        throw Error(Errc::bad_value, "the volume's rescale slope and intercept are no numbers");
    }
    const double low = std::min(function.colours.front().value, function.opacities.front().value);
    double high = std::max(function.colours.back().value, function.opacities.back().value);
    high = high > low ? high : low + 1.0;
    const double entries = (kEntries - 1) / (high - low);
    scale = static_cast<float>(view.slope * entries);
    offset = static_cast<float>((view.intercept - low) * entries);
    std::int32_t visible = 0;
    for (std::int32_t i = 0; i < kEntries; ++i) {
        const double value = low + i / entries;
        const double alpha = interpolate(function.opacities, value, [](const OpacityPoint& p) { return p.opacity; });
        opacity.push_back(static_cast<float>(1.0 - std::pow(1.0 - alpha, step / function.unit)));
        colour.push_back(
            ten_bits(interpolate(function.colours, value, [](const ColourPoint& p) { return p.red; })) << 20U |
            ten_bits(interpolate(function.colours, value, [](const ColourPoint& p) { return p.green; })) << 10U |
            ten_bits(interpolate(function.colours, value, [](const ColourPoint& p) { return p.blue; })));
        visible_before_.push_back(visible);
        visible += opacity.back() > 0.0F ? 1 : 0;
    }
    visible_before_.push_back(visible);
}

bool TransferTable::may_show(float least, float greatest) const noexcept {
    constexpr auto kLast = static_cast<float>(kEntries - 1);
    const float a = std::clamp(least * scale + offset, 0.0F, kLast);
    const float b = std::clamp(greatest * scale + offset, 0.0F, kLast);
    // One entry more on both sides, for what rounding may do. Without numbers the first entry is shown.
    const bool numbers = least <= greatest;
    const auto from = numbers ? std::max(0, static_cast<std::int32_t>(std::min(a, b)) - 1) : 0;
    const auto to = numbers ? std::min(kEntries, static_cast<std::int32_t>(std::max(a, b)) + 3) : 1;
    return visible_before_[static_cast<std::size_t>(to)] > visible_before_[static_cast<std::size_t>(from)];
}

std::vector<std::uint8_t> TransferTable::active(const CellGrid& cells) const {
    std::vector<std::uint8_t> found(cells.least.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
        found[i] = may_show(cells.least[i], cells.greatest[i]) ? 1 : 0;
    }
    return found;
}

Light::Light(const Grid& grid, const Shading& shading) : ambient(shading.ambient), diffuse(shading.diffuse) {
    if (!(is_part(ambient) && is_part(diffuse) && is_part(shading.specular) && shading.power >= 0.0F &&
          shading.power <= 1000.0F)) {
        throw Error(Errc::invalid_argument, "ambient, diffuse and specular are from 0 to 1, the power from 0 to 1000");
    }
    const Mat3& m = grid.inverse;
    const auto product = [&](std::size_t a, std::size_t b) {
        return m[3 * a] * m[3 * b] + m[3 * a + 1] * m[3 * b + 1] + m[3 * a + 2] * m[3 * b + 2];
    };
    metric = {static_cast<float>(product(0, 0)),       static_cast<float>(product(1, 1)),
              static_cast<float>(product(2, 2)),       static_cast<float>(2.0 * product(0, 1)),
              static_cast<float>(2.0 * product(0, 2)), static_cast<float>(2.0 * product(1, 2))};
    for (std::size_t i = 0; i < kEntries; ++i) {
        const double cosine = static_cast<double>(i) / (kEntries - 1);
        gloss[i] = static_cast<float>(static_cast<double>(shading.specular) *
                                      std::pow(cosine, static_cast<double>(shading.power)));
    }
}

std::array<float, 3> Light::toward(const Grid& grid, const Vec3& step) const noexcept {
    const Vec3 mm = multiply(grid.forward, step);
    const double length = std::sqrt(dot(mm, mm));
    const double f = length > 0.0 ? 1.0 / length : 0.0;
    return {static_cast<float>(step[0] * f), static_cast<float>(step[1] * f), static_cast<float>(step[2] * f)};
}

}  // namespace hilum::render
