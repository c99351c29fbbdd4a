// SPDX-License-Identifier: Apache-2.0
#include "hilum/mesh/mesh.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>

#include "quadric.hpp"

namespace hilum::mesh {
namespace {

constexpr double kShrink = 0.5;
constexpr double kSwell = -0.53;

Vec place(const Mesh& mesh, std::uint32_t v) noexcept {
    return {mesh.vertices[v][0], mesh.vertices[v][1], mesh.vertices[v][2]};
}

/// Moves each vertex by `part` of the way to the mean of its neighbours. In a closed surface each neighbour is at the
/// end of just one edge out of a vertex.
void move(Mesh& mesh, double part, std::vector<Vec>& sums, std::vector<std::uint32_t>& counts) {
    std::ranges::fill(sums, Vec{});
    std::ranges::fill(counts, 0U);
    for (const auto& t : mesh.triangles) {
        for (std::size_t n = 0; n < 3; ++n) {
            const Vec to = place(mesh, t[(n + 1) % 3]);
            for (std::size_t axis = 0; axis < 3; ++axis) {
                sums[t[n]][axis] += to[axis];
            }
            ++counts[t[n]];
        }
    }
    for (std::size_t v = 0; v < sums.size(); ++v) {
        for (std::size_t axis = 0; counts[v] != 0 && axis < 3; ++axis) {
            float& at = mesh.vertices[v][axis];
            const double mean = sums[v][axis] / counts[v];
            at = static_cast<float>(static_cast<double>(at) + part * (mean - static_cast<double>(at)));
        }
    }
}

std::uint32_t root_of(std::vector<std::uint32_t>& parents, std::uint32_t v) noexcept {
    while (parents[v] != v) {
        parents[v] = parents[parents[v]];
        v = parents[v];
    }
    return v;
}

}  // namespace

void smooth(Mesh& mesh, unsigned passes) {
    std::vector<Vec> sums(mesh.vertices.size());
    std::vector<std::uint32_t> counts(mesh.vertices.size());
    for (unsigned pass = 0; pass < passes; ++pass) {
        move(mesh, kShrink, sums, counts);
        move(mesh, kSwell, sums, counts);
    }
}

void keep_largest(Mesh& mesh, std::size_t count) {
    std::vector<std::uint32_t> parents(mesh.vertices.size());
    std::iota(parents.begin(), parents.end(), 0U);
    for (const auto& t : mesh.triangles) {
        const std::uint32_t a = root_of(parents, t[0]);
        parents[root_of(parents, t[1])] = a;
        parents[root_of(parents, t[2])] = a;
    }
    std::vector<std::uint64_t> sizes(mesh.vertices.size());
    for (const auto& t : mesh.triangles) {
        ++sizes[root_of(parents, t[0])];
    }
    std::vector<std::uint32_t> roots;
    for (std::uint32_t v = 0; v < sizes.size(); ++v) {
        if (sizes[v] != 0) {
            roots.push_back(v);
        }
    }
    std::ranges::stable_sort(roots, [&](std::uint32_t a, std::uint32_t b) { return sizes[a] > sizes[b]; });
    std::vector<bool> kept(mesh.vertices.size());
    for (std::size_t n = 0; n < std::min(count, roots.size()); ++n) {
        kept[roots[n]] = true;
    }
    constexpr std::uint32_t kGone = std::numeric_limits<std::uint32_t>::max();
    std::vector<std::uint32_t> numbers(mesh.vertices.size(), kGone);
    std::uint32_t next = 0;
    for (std::uint32_t v = 0; v < numbers.size(); ++v) {
        if (kept[root_of(parents, v)]) {
            mesh.vertices[next] = mesh.vertices[v];
            numbers[v] = next++;
        }
    }
    mesh.vertices.resize(next);
    std::erase_if(mesh.triangles, [&](const auto& t) { return numbers[t[0]] == kGone; });
    for (auto& t : mesh.triangles) {
        for (std::uint32_t& v : t) {
            v = numbers[v];
        }
    }
}

std::vector<std::array<float, 3>> normals(const Mesh& mesh) {
    std::vector<Vec> sums(mesh.vertices.size());
    for (const auto& t : mesh.triangles) {
        const Vec p = place(mesh, t[0]);
        const Vec normal = cross(place(mesh, t[1]) - p, place(mesh, t[2]) - p);
        for (const std::uint32_t v : t) {
            for (std::size_t axis = 0; axis < 3; ++axis) {
                sums[v][axis] += normal[axis];
            }
        }
    }
    std::vector<std::array<float, 3>> found(sums.size());
    for (std::size_t v = 0; v < sums.size(); ++v) {
        const double length = std::sqrt(dot(sums[v], sums[v]));
        found[v] = {0.0F, 0.0F, 1.0F};
        for (std::size_t axis = 0; length > 0.0 && axis < 3; ++axis) {
            found[v][axis] = static_cast<float>(sums[v][axis] / length);
        }
    }
    return found;
}

}  // namespace hilum::mesh
