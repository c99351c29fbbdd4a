// SPDX-License-Identifier: Apache-2.0
// Images of rays: which rays, cut to what is shown, and for tiles of them the blocks of samples that can matter.
//
// Samples of a ray are handled in blocks of eight, block b being samples 8b to 8b + 7 whatever is left out, so that
// leaving out blocks, tiles and threads change nothing.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "grid.hpp"
#include "hilum/cpu.hpp"
#include "hilum/render/camera.hpp"
#include "hilum/render/cell_grid.hpp"

namespace hilum::render {

inline constexpr std::uint32_t kTile = 8;  ///< pixels along each side
inline constexpr std::size_t kTileRays = std::size_t{kTile} * kTile;
inline constexpr std::size_t kLanes = 8;  ///< rays of a bundle
inline constexpr std::size_t kBundles = kTileRays / kLanes;

/// Which ray of a tile is at a pixel: bundles of 4 x 2 neighbours one after another, as those see more in common than
/// eight in a row.
[[nodiscard]] constexpr std::size_t ray_at(std::size_t row, std::size_t column) noexcept {
    return ((row >> 1U << 1U) + (column >> 2U)) * kLanes + ((row & 1U) << 2U) + (column & 3U);
}

/// Bundle number `index` of what there is of each ray.
template <typename Rays>
[[nodiscard]] constexpr auto bundle_of(Rays&& rays, std::size_t index) noexcept {
    return std::span(rays).subspan(index * kLanes).template first<kLanes>();
}

/// A ray in voxels: start + k * step.
struct Line {
    Vec3 start{};
    Vec3 step{};
};

/// The rays of an image. `samples` of each.
struct Rays {
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::uint32_t samples = 0;

    Rays(std::uint32_t r, std::uint32_t c, std::uint32_t s) noexcept : rows(r), columns(c), samples(s) {}
    Rays(const Rays&) = delete;
    Rays& operator=(const Rays&) = delete;
    virtual ~Rays() = default;
    [[nodiscard]] virtual Line line(std::uint32_t row, std::uint32_t column) const noexcept = 0;

    bool is_regular = false;  ///< the four outer rays of a rectangle bound the others, but for their bulge
    bool is_fan = false;      ///< rays of one step length out of one point
    double before = 0.0;      ///< steps from that point to sample 0
};

/// Through the thickness of a slab. The rows must outlive it.
struct RowRays final : Rays {
    RowRays(const Grid& grid, std::span<const Row> source, std::uint32_t c, std::uint32_t s);
    [[nodiscard]] Line line(std::uint32_t row, std::uint32_t column) const noexcept override;

private:
    struct Made {
        Vec3 origin, step, depth;
    };
    std::vector<Made> made_;
};

struct CameraRays final : Rays {
    CameraRays(const Grid& grid, const Camera& camera, ImageSize size, const DepthRange& depth) noexcept;
    [[nodiscard]] Line line(std::uint32_t row, std::uint32_t column) const noexcept override;

private:
    const Grid& grid_;
    const Camera& camera_;
    double first_;
    Vec3 origin_, right_, down_, step_;  ///< orthographic, in voxels
};

/// Half-spaces in voxels.
struct Clip {
    Clip(const Grid& grid, std::span<const ClipPlane> planes);
    void cut(const Line& line, Track& track) const noexcept;

private:
    std::vector<ClipPlane> planes_;
};

/// Voxels along x, y, z.
struct Box {
    std::array<std::int32_t, 3> low{};
    std::array<std::int32_t, 3> high{};  ///< included
};

/// Eight samples of all rays of a tile.
struct Block {
    std::int64_t index = 0;
    Box box;             ///< the voxels below all of its samples
    float least = 0.0F;  ///< bounds of every value in it
    float greatest = 0.0F;
    bool is_inner = false;  ///< every sample has all its neighbours in the volume
};

struct Tile {
    std::uint32_t row = 0;
    std::uint32_t column = 0;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::array<Line, kTileRays> lines;    ///< at ray_at(); beyond the image the nearest in it
    std::array<Track, kTileRays> tracks;  ///< beyond the image without samples
    std::vector<Block> blocks;            ///< ascending; those that touch the volume and can matter

    /// `body(ray, index of the pixel)` for every ray in the image.
    template <typename Body>
    void for_pixels(std::uint32_t image_columns, Body&& body) const {
        for (std::uint32_t r = 0; r < rows; ++r) {
            for (std::uint32_t c = 0; c < columns; ++c) {
                body(ray_at(r, c), std::size_t{row + r} * image_columns + column + c);
            }
        }
    }
};

/// Makes the tiles of an image. `active`: one byte for each cell, 0 if nothing in it matters; empty: all do.
class TileMaker {
public:
    TileMaker(const Rays& rays, const Grid& grid, const Clip& clip, const CellGrid& cells) noexcept;

    [[nodiscard]] std::size_t count() const noexcept { return std::size_t{across_} * down_; }
    /// Tile number `index`; reuses what `tile` has allocated. Blocks have bounds when `active` is empty.
    void make(std::size_t index, Tile& tile, std::span<const std::uint8_t> active = {}) const;

private:
    /// The rays that bound a tile.
    struct Outline {
        std::array<std::size_t, 2 * kTile> lines{};
        std::size_t count = 0;
        double bulge = 0.0;
    };

    [[nodiscard]] double bulge(const Tile& tile) const noexcept;
    [[nodiscard]] Outline outline(const Tile& tile) const noexcept;
    [[nodiscard]] bool meets(const Tile& tile, const Outline& outer, Block& block) const noexcept;
    [[nodiscard]] bool is_active(const Box& box, std::span<const std::uint8_t> active) const noexcept;
    [[nodiscard]] Box cells_of(const Box& voxels) const noexcept;
    void bound(Block& block) const noexcept;
    void trace(std::size_t index, Tile& tile) const;

    const Rays& rays_;
    const Grid& grid_;
    const Clip& clip_;
    const CellGrid& cells_;
    std::uint32_t across_;
    std::uint32_t down_;
    Vec3 reach_;  ///< voxels along each axis that 1 mm may be
};

/// Calls `body` with a value of the C++ type of `type`.
template <typename Body>
void with_sample_type(SampleType type, Body&& body) {
    switch (type) {
        case SampleType::u8:
            return body(std::uint8_t{});
        case SampleType::s8:
            return body(std::int8_t{});
        case SampleType::u16:
            return body(std::uint16_t{});
        case SampleType::s16:
            return body(std::int16_t{});
        case SampleType::u32:
            return body(std::uint32_t{});
        case SampleType::s32:
            return body(std::int32_t{});
        case SampleType::f32:
            return body(float{});
        case SampleType::f64:
            return body(double{});
    }
}

/// Samples of which the vector kernels know.
template <typename T>
inline constexpr bool kHasVectors = std::is_integral_v<T> && sizeof(T) == 2;

template <typename T>
[[nodiscard]] bool uses_vectors(const Grid& grid, const Execution& execution) noexcept {
    return kHasVectors<T> && execution.simd && cpu::features().avx2 && !grid.near.empty();
}

}  // namespace hilum::render
