// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "check.hpp"
#include "hilum/mesh/mesh.hpp"
#include "hilum/volume/bricks.hpp"
#include "hilum/volume/measure.hpp"

namespace {

using hilum::Errc;
using hilum::SampleType;
using namespace hilum::mesh;
using hilum::volume::Bricks;
using hilum::volume::Layout;

template <typename T>
Bricks bricks_of(const std::vector<T>& values, SampleType type, std::array<std::uint32_t, 3> shape) {
    Layout layout;
    layout.shape = shape;
    layout.type = type;
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return Bricks::copy(bytes, layout);
}

Bricks noise(std::uint32_t side, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<std::int16_t> values(std::size_t{side} * side * side);
    for (std::int16_t& value : values) {
        value = static_cast<std::int16_t>(random() % 5U);
    }
    return bricks_of(values, SampleType::s16, {side, side, side});
}

Bricks ball(std::uint32_t side, double radius) {
    std::vector<float> values;
    const double centre = (side - 1) / 2.0;
    for (std::uint32_t z = 0; z < side; ++z) {
        for (std::uint32_t y = 0; y < side; ++y) {
            for (std::uint32_t x = 0; x < side; ++x) {
                values.push_back(
                    static_cast<float>(radius - std::sqrt((x - centre) * (x - centre) + (y - centre) * (y - centre) +
                                                          (z - centre) * (z - centre))));
            }
        }
    }
    return bricks_of(values, SampleType::f32, {side, side, side});
}

/// Each edge is there once in each direction.
bool is_closed(const Mesh& mesh) {
    std::map<std::pair<std::uint32_t, std::uint32_t>, int> edges;
    for (const auto& t : mesh.triangles) {
        for (std::size_t n = 0; n < 3; ++n) {
            ++edges[{t[n], t[(n + 1) % 3]}];
        }
    }
    for (const auto& [edge, count] : edges) {
        const auto back = edges.find({edge.second, edge.first});
        if (count != 1 || back == edges.end() || back->second != 1) {
            return false;
        }
    }
    return true;
}

double volume_of(const Mesh& mesh) {
    double sum = 0.0;
    for (const auto& t : mesh.triangles) {
        std::array<std::array<double, 3>, 3> p{};
        for (std::size_t n = 0; n < 3; ++n) {
            for (std::size_t axis = 0; axis < 3; ++axis) {
                p[n][axis] = static_cast<double>(mesh.vertices[t[n]][axis]);
            }
        }
        sum += p[0][0] * (p[1][1] * p[2][2] - p[1][2] * p[2][1]) - p[0][1] * (p[1][0] * p[2][2] - p[1][2] * p[2][0]) +
               p[0][2] * (p[1][0] * p[2][1] - p[1][1] * p[2][0]);
    }
    return sum / 6.0;
}

HILUM_TEST("every configuration of corners gives a closed surface, and integers at the threshold no double vertex", {
    for (std::uint32_t seed = 0; seed < 4; ++seed) {
        const Bricks volume = noise(35, seed);
        Isosurface wanted;
        wanted.threshold = 2.0;
        const Mesh mesh = isosurface(volume.view(), wanted, 2);
        HILUM_CHECK(mesh.triangles.size() > 10000);
        HILUM_CHECK(is_closed(mesh));
        HILUM_CHECK(volume_of(mesh) > 0.0);
        std::map<std::array<float, 3>, int> places;
        for (const auto& vertex : mesh.vertices) {
            ++places[vertex];
        }
        HILUM_CHECK(places.size() == mesh.vertices.size());
    }
});

HILUM_TEST("threads make no difference to a surface", {
    const Bricks volume = noise(70, 9);
    Isosurface wanted;
    wanted.threshold = 3.0;
    const Mesh one = isosurface(volume.view(), wanted, 1);
    const Mesh four = isosurface(volume.view(), wanted, 4);
    HILUM_CHECK(one.vertices == four.vertices && one.triangles == four.triangles);
});

HILUM_TEST("decimation keeps what is closed closed and the volume as it is", {
    const Bricks volume = ball(48, 20.0);
    const Mesh whole = isosurface(volume.view(), {}, 1);
    const double truth = 4.0 / 3.0 * 3.14159265358979 * 20.0 * 20.0 * 20.0;
    HILUM_CHECK(std::abs(volume_of(whole) / truth - 1.0) < 2e-3);
    for (const std::uint64_t faces : {4000U, 500U}) {
        Mesh mesh = whole;
        decimate(mesh, {faces, 0.0});
        HILUM_CHECK(mesh.triangles.size() <= faces && mesh.triangles.size() > faces - 10);
        HILUM_CHECK(is_closed(mesh));
        HILUM_CHECK(mesh.vertices.size() == mesh.triangles.size() / 2 + 2);
        HILUM_CHECK(std::abs(volume_of(mesh) / truth - 1.0) < 0.02);
        for (const auto& normal : normals(mesh)) {
            HILUM_CHECK(std::abs(std::hypot(normal[0], normal[1], normal[2]) - 1.0F) < 1e-5F);
        }
    }
    Mesh wild = isosurface(noise(24, 3).view(), {2.0}, 1);
    decimate(wild, {100, 0.0});
    HILUM_CHECK(is_closed(wild));
    HILUM_CHECK_THROWS(Errc::invalid_argument, [&] {
        decimate(wild, {1, -1.0});
        return 0;
    }());
});

HILUM_TEST("a surface that is not closed ends at the volume, and decimation leaves its border", {
    std::vector<float> slope;
    for (int z = 0; z < 20; ++z) {
        for (int n = 0; n < 400; ++n) {
            slope.push_back(static_cast<float>(z) + 0.01F * static_cast<float>(n % 20));
        }
    }
    Isosurface wanted;
    wanted.threshold = 9.5;
    wanted.closed = false;
    Mesh mesh = isosurface(bricks_of(slope, SampleType::f32, {20, 20, 20}).view(), wanted, 1);
    HILUM_CHECK(mesh.vertices.size() == 400 && mesh.triangles.size() == std::size_t{2} * 19 * 19);
    decimate(mesh, {10, 0.0});
    HILUM_CHECK(mesh.vertices.size() >= 76 && mesh.triangles.size() < 200);
});

HILUM_TEST("smoothing keeps the size, and of pieces the largest stay", {
    Mesh mesh = isosurface(ball(48, 20.0).view(), {}, 1);
    const double before = volume_of(mesh);
    smooth(mesh, 10);
    HILUM_CHECK(std::abs(volume_of(mesh) / before - 1.0) < 5e-3);
    std::vector<std::uint8_t> two(std::size_t{20} * 20 * 20);
    const auto put = [&](std::size_t from, std::size_t to) {
        for (std::size_t k = from; k < to; ++k) {
            for (std::size_t j = from; j < to; ++j) {
                std::memset(two.data() + (k * 20 + j) * 20 + from, 1, to - from);
            }
        }
    };
    put(2, 4);
    put(8, 15);
    Mesh pieces = isosurface(bricks_of(two, SampleType::u8, {20, 20, 20}).view(), {0.5}, 1);
    const std::size_t all = pieces.triangles.size();
    keep_largest(pieces, 2);
    HILUM_CHECK(pieces.triangles.size() == all);
    keep_largest(pieces, 1);
    HILUM_CHECK(pieces.triangles.size() < all && is_closed(pieces) && pieces.vertices[0][0] > 5.0F);
    keep_largest(pieces, 0);
    HILUM_CHECK(pieces.triangles.empty() && pieces.vertices.empty());
    smooth(pieces, 1);
    decimate(pieces, {0, 1.0});
    HILUM_CHECK(normals(pieces).empty());
});

HILUM_TEST("NaN, infinity and thresholds beyond the type", {
    std::vector<float> odd(27, 0.0F);
    odd[13] = std::numeric_limits<float>::infinity();
    odd[14] = std::numeric_limits<float>::quiet_NaN();
    const Bricks volume = bricks_of(odd, SampleType::f32, {3, 3, 3});
    const Mesh mesh = isosurface(volume.view(), {1.0}, 1);
    HILUM_CHECK(mesh.vertices.size() == 6 && is_closed(mesh));
    for (const auto& vertex : mesh.vertices) {
        HILUM_CHECK(std::isfinite(vertex[0]) && std::isfinite(vertex[1]) && std::isfinite(vertex[2]));
    }
    const Bricks small = noise(5, 1);
    HILUM_CHECK(isosurface(small.view(), {1e9}, 1).triangles.empty());
    HILUM_CHECK(isosurface(small.view(), {-1e9, true}, 1).triangles.empty());
    const Mesh box = isosurface(small.view(), {-1e9}, 1);  // all of it
    HILUM_CHECK(is_closed(box) && volume_of(box) > 110.0);
    HILUM_CHECK_THROWS(Errc::invalid_argument, isosurface(volume.view(), {std::nan("")}, 1));
});

HILUM_TEST("places whose squares are no numbers are left alone", {
    Mesh mesh = isosurface(noise(8, 2).view(), {2.0}, 1);
    const std::size_t before = mesh.triangles.size();
    for (auto& vertex : mesh.vertices) {
        vertex[0] *= 1e30F;
        vertex[1] = std::numeric_limits<float>::infinity();
    }
    decimate(mesh, {1, 0.0});
    HILUM_CHECK(mesh.triangles.size() == before);
});

HILUM_TEST("a surface of too many vertices is refused before it is there", {
    std::vector<std::uint8_t> checkers(std::size_t{200} * 200 * 200);
    for (std::size_t n = 0; n < checkers.size(); ++n) {
        checkers[n] = static_cast<std::uint8_t>((n + n / 200 + n / 40000) % 2);
    }
    const Bricks volume = bricks_of(checkers, SampleType::u8, {200, 200, 200});
    HILUM_CHECK_THROWS(Errc::limit_exceeded, isosurface(volume.view(), {0.5}, 2));
});

HILUM_TEST("a region cuts a surface and bounds numbers", {
    const Bricks volume = ball(40, 15.0);
    hilum::volume::Region half;
    half.box = {{0, 0, 0}, {40, 40, 20}};
    Isosurface wanted;
    wanted.region = &half;
    const Mesh mesh = isosurface(volume.view(), wanted, 2);
    HILUM_CHECK(is_closed(mesh));
    const double truth = 2.0 / 3.0 * 3.14159265358979 * 15.0 * 15.0 * 15.0;
    HILUM_CHECK(std::abs(volume_of(mesh) / truth - 1.0) < 0.02);
    half.layers.push_back({{1, 0, 0}, 0.0, 4.0});
    const hilum::volume::Moments found = hilum::volume::measure(volume.view(), half, 2);
    HILUM_CHECK(found.count == 5U * 40 * 40);
    half.box.size[0] = 41;
    HILUM_CHECK_THROWS(Errc::out_of_range, hilum::volume::measure(volume.view(), half, 1));
});

}  // namespace

HILUM_TEST_MAIN
