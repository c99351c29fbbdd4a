// SPDX-License-Identifier: Apache-2.0
// Frames to bricks: one time point of a volume with its pyramid, decoded on all cores, a layer of bricks at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "hilum/pixel/modality_lut.hpp"
#include "hilum/volume/brick_view.hpp"
#include "hilum/volume/bricks.hpp"

namespace hilum::volume {

/// A slice of the volume: frame `first`, mixed with frame `second` where `weight` (0 to 1, of the second) is not 0.
struct Slice {
    std::uint32_t first = 0;
    std::uint32_t second = 0;
    double weight = 0.0;
};

struct Plan {
    Layout layout;                        ///< of level 0
    std::vector<Slice> slices;            ///< layout.shape[0] of them
    SampleType source = SampleType::s16;  ///< of the frames; also the volume's, unless there are rescales
    /// Of each frame where they differ: the volume then holds modality values as f32. Else empty.
    std::vector<pixel::Rescale> rescales;
};

/// Writes the stored values of a frame, shape[1] x shape[2] of the source type, to the span; called on many threads.
using ReadFrame = std::function<void(std::uint32_t frame, std::span<std::byte> out)>;

struct Level {
    std::array<std::uint32_t, 3> shape{};
    std::vector<BrickRange> ranges;
    std::uint64_t bytes = 0;  ///< of the shard
};

/// Voxels of the next level of the pyramid: half as many along each axis, rounded up.
[[nodiscard]] std::array<std::uint32_t, 3> halved(const std::array<std::uint32_t, 3>& shape) noexcept;

/// Writes one new shard (Zarr v3 sharding codec, uncompressed 32³ inner chunks, index with CRC-32C at the end) for each
/// path: level 0, then each half as large as the one before, the mean of 2x2x2 voxels. Bricks of nothing but fill are
/// left out. The same plan gives the same bytes for any number of threads. Holds two layers of bricks in memory.
/// Errors: those of check_layout and `read`; invalid_argument for slices or rescales that do not fit, no_space,
/// read_only, io_error. What was written so far is left to the caller to remove.
[[nodiscard]] std::vector<Level> build(const Plan& plan, const ReadFrame& read, std::span<const std::string> paths,
                                       unsigned threads);

}  // namespace hilum::volume
