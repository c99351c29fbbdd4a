// SPDX-License-Identifier: Apache-2.0
// Squared distances to planes, as a quadratic form.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

namespace hilum::mesh {

using Vec = std::array<double, 3>;

[[nodiscard]] inline Vec operator-(const Vec& a, const Vec& b) noexcept {
    return {a[0] - b[0], a[1] - b[1], a[2] - b[2]};
}
[[nodiscard]] inline Vec cross(const Vec& a, const Vec& b) noexcept {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}
[[nodiscard]] inline double dot(const Vec& a, const Vec& b) noexcept {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
[[nodiscard]] inline Vec middle(const Vec& a, const Vec& b) noexcept {
    return {(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2};
}

/// p' A p + 2 b' p + c, of planes with weights.
struct Quadric {
    std::array<double, 6> a{};  ///< xx, xy, xz, yy, yz, zz
    Vec b{};
    double c = 0.0;
    double weight = 0.0;

    /// The plane through `point` at a right angle to `normal`, whose length is twice the weight: of a triangle, the
    /// cross product of two sides.
    void add_plane(const Vec& normal, const Vec& point) noexcept {
        const double length = std::sqrt(dot(normal, normal));
        if (length <= 0.0) {
            return;
        }
        const double w = length / 2;
        const Vec n{normal[0] / length, normal[1] / length, normal[2] / length};
        const double d = -dot(n, point);
        const std::array<double, 6> products{n[0] * n[0], n[0] * n[1], n[0] * n[2],
                                             n[1] * n[1], n[1] * n[2], n[2] * n[2]};
        for (std::size_t i = 0; i < a.size(); ++i) {
            a[i] += w * products[i];
        }
        for (std::size_t i = 0; i < b.size(); ++i) {
            b[i] += w * d * n[i];
        }
        c += w * d * d;
        weight += w;
    }

    void add(const Quadric& other) noexcept {
        for (std::size_t i = 0; i < a.size(); ++i) {
            a[i] += other.a[i];
        }
        for (std::size_t i = 0; i < b.size(); ++i) {
            b[i] += other.b[i];
        }
        c += other.c;
        weight += other.weight;
    }

    [[nodiscard]] double at(const Vec& p) const noexcept {
        const double value = a[0] * p[0] * p[0] + a[3] * p[1] * p[1] + a[5] * p[2] * p[2] +
                             2 * (a[1] * p[0] * p[1] + a[2] * p[0] * p[2] + a[4] * p[1] * p[2] + dot(b, p)) + c;
        return std::max(value, 0.0);
    }

    /// Where it is least, drawn a little to `towards`: that settles what planes in few directions leave open.
    [[nodiscard]] Vec least(const Vec& towards) const noexcept {
        const double pull = 1e-3 * (a[0] + a[3] + a[5]) / 3 + 1e-30;
        const double xx = a[0] + pull;
        const double yy = a[3] + pull;
        const double zz = a[5] + pull;
        const Vec right{pull * towards[0] - b[0], pull * towards[1] - b[1], pull * towards[2] - b[2]};
        const double c0 = yy * zz - a[4] * a[4];
        const double c1 = a[2] * a[4] - a[1] * zz;
        const double c2 = a[1] * a[4] - a[2] * yy;
        const double scale = 1.0 / (xx * c0 + a[1] * c1 + a[2] * c2);
        return {scale * (c0 * right[0] + c1 * right[1] + c2 * right[2]),
                scale * (c1 * right[0] + (xx * zz - a[2] * a[2]) * right[1] + (a[1] * a[2] - xx * a[4]) * right[2]),
                scale * (c2 * right[0] + (a[1] * a[2] - xx * a[4]) * right[1] + (xx * yy - a[1] * a[1]) * right[2])};
    }
};

}  // namespace hilum::mesh
