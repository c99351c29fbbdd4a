// SPDX-License-Identifier: Apache-2.0
// Bricks and what keeps them alive: a mapped shard, or memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "hilum/volume/brick_view.hpp"

namespace hilum::volume {

/// What describes the bricks of a shard beside the shard itself.
struct Layout {
    std::array<std::uint32_t, 3> shape{};  ///< voxels along z, y, x
    SampleType type = SampleType::s16;
    double fill = 0.0;
    double slope = 1.0;
    double intercept = 0.0;
    Affine affine = kIdentity;
};

/// Throws invalid_argument or limit_exceeded unless a volume may have this layout: no axis of 0, fewer voxels than
/// limits::kMaxVolumeVoxels, an invertible affine of finite numbers.
void check_layout(const Layout& layout);

/// Owns what its view borrows. Immutable once made, so any number of threads may read it. The file of a mapped shard
/// may be unlinked meanwhile: the mapping stays.
class Bricks {
public:
    /// Maps the shard at `path` (Zarr v3 sharding codec: 32³ uncompressed inner chunks, index with crc32c at the end)
    /// for reading. `ranges` may be empty: then they are computed, which reads everything.
    /// Errors: not_found, io_error; bad_record if size, index or its checksum cannot be right, those of check_layout.
    [[nodiscard]] static Bricks map(const std::string& path, const Layout& layout, std::vector<BrickRange> ranges);

    /// Copies voxels, z, y, x without gaps, into bricks in memory. Errors: buffer_too_small unless `voxels` is as large
    /// as the layout says, those of check_layout.
    [[nodiscard]] static Bricks copy(std::span<const std::byte> voxels, const Layout& layout);

    Bricks(Bricks&& other) noexcept;
    Bricks& operator=(Bricks&& other) noexcept;
    ~Bricks();

    [[nodiscard]] const BrickView& view() const noexcept { return view_; }

private:
    Bricks() = default;
    void release() noexcept;

    std::vector<std::uint64_t> offsets_;
    std::vector<BrickRange> ranges_;
    void* mapping_ = nullptr;  ///< of view_.size bytes: a shard or memory
    BrickView view_;
};

/// A box of voxels: its first voxel and its size, both z, y, x.
struct Box {
    std::array<std::uint32_t, 3> first{};
    std::array<std::uint32_t, 3> size{};
};

/// Copies the voxels of a box into `out`, z, y, x without gaps. `threads` as for parallel::run.
/// Errors: out_of_range if the box is not inside of the volume, buffer_too_small unless `out` is as large as the box.
void read_box(const BrickView& view, const Box& box, std::span<std::byte> out, unsigned threads);

}  // namespace hilum::volume
