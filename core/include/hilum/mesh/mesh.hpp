// SPDX-License-Identifier: Apache-2.0
// Surfaces as triangles: out of a volume, smoothed, decimated.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "hilum/limits.hpp"
#include "hilum/volume/brick_view.hpp"
#include "hilum/volume/region.hpp"

namespace hilum::mesh {

/// Triangles run counter-clockwise seen from outside.
struct Mesh {
    std::vector<std::array<float, 3>> vertices;  ///< x, y, z in patient coordinates (LPS), mm
    std::vector<std::array<std::uint32_t, 3>> triangles;
};

/// What is inside: stored values of at least `threshold`, or of at most it (`below`).
struct Isosurface {
    double threshold = 0.0;
    bool below = false;
    /// Close the surface half a voxel beyond the outermost centres. Else it ends there, at borders.
    bool closed = true;
    const volume::Region* region = nullptr;             ///< what is outside of it does not count as inside
    std::uint64_t vertices = limits::kMaxMeshVertices;  ///< at most so many
};

/// Marching cubes with linear interpolation; voxels that are NaN are outside. Two inside corners across a face are
/// apart. Each edge of a triangle has exactly one other triangle (but at the border of a surface that is not closed),
/// no two vertices have the same place: a vertex keeps 1/256 of a voxel away from voxels. The same mesh for any number
/// of threads. Errors: limit_exceeded for more vertices than it may have, invalid_argument, those of check_region.
[[nodiscard]] Mesh isosurface(const volume::BrickView& view, const Isosurface& wanted, unsigned threads);

/// What decimate stops at.
struct Decimation {
    std::uint64_t faces = 0;  ///< at most so many triangles, if that can be
    double error = 0.0;       ///< mm: root mean square distance to the planes of the triangles it stands for; 0: any
};

/// Collapses edges by quadric error (Garland and Heckbert), the least first, never such that the surface would touch
/// itself along an edge, a triangle turned over or a border moved: what was closed stays closed.
void decimate(Mesh& mesh, const Decimation& wanted);

/// Taubin's smoothing: shrinks and swells `passes` times, so that the size stays.
void smooth(Mesh& mesh, unsigned passes);

/// Keeps the `count` connected pieces of most triangles.
void keep_largest(Mesh& mesh, std::size_t count);

/// Unit vectors at the vertices, outwards: of the triangles around, by their areas.
[[nodiscard]] std::vector<std::array<float, 3>> normals(const Mesh& mesh);

}  // namespace hilum::mesh
