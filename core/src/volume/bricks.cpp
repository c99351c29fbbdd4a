// SPDX-License-Identifier: Apache-2.0
#include "hilum/volume/bricks.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#include "hilum/checksum.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/pack/io.hpp"
#include "hilum/parallel.hpp"
#include "kernels.hpp"
#include "samples.hpp"

namespace hilum::volume {
namespace {

constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kEntryBytes = 16;

BrickView view_of(const Layout& layout) noexcept {
    BrickView view;
    view.shape = layout.shape;
    view.type = layout.type;
    view.fill = layout.fill;
    view.slope = layout.slope;
    view.intercept = layout.intercept;
    view.affine = layout.affine;
    return view;
}

std::size_t brick_count(const BrickView& view) noexcept {
    return std::size_t{view.bricks(0)} * view.bricks(1) * view.bricks(2);
}

std::uint64_t entry(std::span<const std::byte> index, std::size_t position) noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, index.data() + 8 * position, sizeof(value));
    return value;
}

/// Offsets of all bricks from the index at the end of a shard (Zarr v3 sharding codec, version 1.0).
std::vector<std::uint64_t> read_index(std::span<const std::byte> shard, const BrickView& view) {
    const std::size_t count = brick_count(view);
    const std::size_t bytes = count * kEntryBytes;
    if (shard.size() < bytes + kChecksumBytes) {
        throw Error(Errc::bad_record, "the shard is shorter than its index");
    }
    const std::size_t start = shard.size() - bytes - kChecksumBytes;
    const std::span<const std::byte> index = shard.subspan(start, bytes);
    std::uint32_t stored = 0;
    std::memcpy(&stored, shard.data() + start + bytes, sizeof(stored));
    if (crc32c(index) != stored) {
        throw Error(Errc::bad_record, "the shard's index fails its checksum", start);
    }
    std::vector<std::uint64_t> offsets(count);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t offset = entry(index, 2 * i);
        const std::uint64_t length = entry(index, 2 * i + 1);
        if (offset == kMissing && length == kMissing) {
            offsets[i] = kMissing;
        } else if (length != view.brick_bytes() || offset > start || length > start - offset ||
                   offset % bytes_of(view.type) != 0) {
            throw Error(Errc::bad_record, "a brick of the shard is not where it can be", start + i * kEntryBytes);
        } else {
            offsets[i] = offset;
        }
    }
    return offsets;
}

BrickRange range_of_box(const BrickView& view, std::uint32_t bz, std::uint32_t by, std::uint32_t bx,
                        std::vector<std::byte>& scratch) {
    Box box{{bz << view.brick_log2, by << view.brick_log2, bx << view.brick_log2}, {}};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        box.size[axis] = std::min(view.edge(), view.shape[axis] - box.first[axis]);
    }
    scratch.resize(std::size_t{box.size[0]} * box.size[1] * box.size[2] * bytes_of(view.type));
    read_box(view, box, scratch, 1);
    return survey_brick({scratch.data(), box.size[0], box.size[1], box.size[2], view.type}, 0, 0, view.fill).range;
}

std::vector<BrickRange> compute_ranges(const BrickView& view) {
    std::vector<BrickRange> ranges(brick_count(view));
    parallel::for_each(view.bricks(0), 0, [&](std::size_t bz) {
        std::vector<std::byte> scratch;
        for (std::uint32_t by = 0; by < view.bricks(1); ++by) {
            for (std::uint32_t bx = 0; bx < view.bricks(2); ++bx) {
                const auto layer = static_cast<std::uint32_t>(bz);
                ranges[view.brick_index(layer, by, bx)] = range_of_box(view, layer, by, bx, scratch);
            }
        }
    });
    return ranges;
}

double determinant(const Affine& m) noexcept {
    return m[0] * (m[5] * m[10] - m[6] * m[9]) - m[1] * (m[4] * m[10] - m[6] * m[8]) +
           m[2] * (m[4] * m[9] - m[5] * m[8]);
}

/// The part of a box that lies in one brick; z, y, x.
struct Piece {
    std::array<std::uint32_t, 3> first{};
    std::array<std::uint32_t, 3> end{};
};

void fill_row(const BrickView& view, std::span<std::byte> out) {
    with_type(view.type, [&]<typename T>() {
        const T fill = static_cast<T>(view.fill);
        for (std::size_t at = 0; at < out.size(); at += sizeof(T)) {
            std::memcpy(out.data() + at, &fill, sizeof(T));
        }
    });
}

void read_piece(const BrickView& view, const Box& box, const Piece& piece, std::span<std::byte> out) {
    const std::size_t sample = bytes_of(view.type);
    const std::size_t inside = view.edge() - 1U;
    const auto [z0, y0, x0] = piece.first;
    const std::size_t bytes = (piece.end[2] - x0) * sample;
    const std::byte* brick =
        view.brick(view.brick_index(z0 >> view.brick_log2, y0 >> view.brick_log2, x0 >> view.brick_log2));
    for (std::uint32_t z = z0; z < piece.end[0]; ++z) {
        for (std::uint32_t y = y0; y < piece.end[1]; ++y) {
            const std::size_t line = std::size_t{z - box.first[0]} * box.size[1] + (y - box.first[1]);
            std::byte* to = out.data() + (line * box.size[2] + (x0 - box.first[2])) * sample;
            if (brick != nullptr) {
                const std::size_t row = ((z & inside) << view.brick_log2) + (y & inside);
                std::memcpy(to, brick + ((row << view.brick_log2) + (x0 & inside)) * sample, bytes);
            } else {
                fill_row(view, {to, bytes});
            }
        }
    }
}

/// Copies what lies in one brick layer of the box.
void read_layer(const BrickView& view, const Box& box, std::uint32_t bz, std::span<std::byte> out) {
    const auto next = [&](std::uint32_t at) { return ((at >> view.brick_log2) + 1) << view.brick_log2; };
    const std::array<std::uint32_t, 3> end{box.first[0] + box.size[0], box.first[1] + box.size[1],
                                           box.first[2] + box.size[2]};
    Piece piece;
    piece.first[0] = std::max(bz << view.brick_log2, box.first[0]);
    piece.end[0] = std::min(next(piece.first[0]), end[0]);
    for (std::uint32_t y = box.first[1]; y < end[1]; y = next(y)) {
        piece.first[1] = y;
        piece.end[1] = std::min(next(y), end[1]);
        for (std::uint32_t x = box.first[2]; x < end[2]; x = next(x)) {
            piece.first[2] = x;
            piece.end[2] = std::min(next(x), end[2]);
            read_piece(view, box, piece, out);
        }
    }
}

/// Zeros. Large pages, as the rays of one image touch many; that they are refused does no harm.
void* allocate(std::size_t bytes) {
    void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        throw std::bad_alloc();
    }
#if defined(MADV_HUGEPAGE)
    ::madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

}  // namespace

void check_layout(const Layout& layout) {
    std::uint64_t voxels = 1;
    for (const std::uint32_t size : layout.shape) {
        if (size == 0) {
            throw Error(Errc::invalid_argument, "a volume has at least one voxel along each axis");
        }
        if (size > limits::kMaxVolumeVoxels / voxels) {
            throw Error(Errc::limit_exceeded, "the volume has more than 2^36 voxels");
        }
        voxels *= size;
    }
    const bool finite =
        std::all_of(layout.affine.begin(), layout.affine.end(), [](double v) { return std::isfinite(v); });
    if (!finite || determinant(layout.affine) == 0.0) {
        throw Error(Errc::invalid_argument, "the affine of a volume must be finite and invertible");
    }
    if (!std::isfinite(layout.slope) || !std::isfinite(layout.intercept) || layout.slope == 0.0) {
        throw Error(Errc::invalid_argument, "slope and intercept must be finite, the slope not 0");
    }
    with_type(layout.type, [&]<typename T>() {
        if constexpr (!std::is_floating_point_v<T>) {
            if (!(layout.fill >= static_cast<double>(std::numeric_limits<T>::lowest()) &&
                  layout.fill <= static_cast<double>(std::numeric_limits<T>::max())) ||
                layout.fill != std::floor(layout.fill)) {
                throw Error(Errc::invalid_argument, "the fill value is none of the samples' type");
            }
        }
    });
}

Bricks Bricks::map(const std::string& path, const Layout& layout, std::vector<BrickRange> ranges) {
    check_layout(layout);
    const pack::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
        throw pack::system_error("a shard cannot be opened", errno);
    }
    Bricks bricks;
    bricks.view_ = view_of(layout);
    BrickView& view = bricks.view_;
    if (!ranges.empty() && ranges.size() != brick_count(view)) {
        throw Error(Errc::bad_record, "ranges of another number of bricks");
    }
    view.size = static_cast<std::size_t>(pack::file_size(file.get()));
    if (view.size == 0) {
        throw Error(Errc::bad_record, "the shard is empty");
    }
    void* mapping = ::mmap(nullptr, view.size, PROT_READ, MAP_SHARED, file.get(), 0);
    if (mapping == MAP_FAILED) {
        throw pack::system_error("a shard cannot be mapped", errno);
    }
    bricks.mapping_ = mapping;
    view.base = static_cast<const std::byte*>(mapping);
    bricks.offsets_ = read_index({view.base, view.size}, view);
    view.offsets = bricks.offsets_;
    bricks.ranges_ = ranges.empty() ? compute_ranges(view) : std::move(ranges);
    view.ranges = bricks.ranges_;
    return bricks;
}

Bricks Bricks::copy(std::span<const std::byte> voxels, const Layout& layout) {
    check_layout(layout);
    Bricks bricks;
    bricks.view_ = view_of(layout);
    BrickView& view = bricks.view_;
    const std::size_t slice = std::size_t{layout.shape[1]} * layout.shape[2] * bytes_of(layout.type);
    if (voxels.size() != slice * layout.shape[0]) {
        throw Error(Errc::buffer_too_small, "the voxels are not as many as the shape says");
    }
    const std::size_t count = brick_count(view);
    view.size = count * view.brick_bytes();
    auto* const memory = static_cast<std::byte*>(allocate(view.size));
    bricks.mapping_ = memory;
    bricks.offsets_.resize(count);
    bricks.ranges_.resize(count);
    parallel::for_each(view.bricks(0), 0, [&](std::size_t layer) {
        const auto bz = static_cast<std::uint32_t>(layer);
        const std::uint32_t first = bz * view.edge();
        const Slab slab{voxels.data() + first * slice, std::min(view.edge(), layout.shape[0] - first), layout.shape[1],
                        layout.shape[2], layout.type};
        for (std::uint32_t by = 0; by < view.bricks(1); ++by) {
            for (std::uint32_t bx = 0; bx < view.bricks(2); ++bx) {
                const std::size_t index = view.brick_index(bz, by, bx);
                bricks.offsets_[index] = index * view.brick_bytes();
                bricks.ranges_[index] = survey_brick(slab, by, bx, layout.fill).range;
                fill_brick(slab, by, bx, layout.fill, memory + bricks.offsets_[index]);
            }
        }
    });
    view.base = memory;
    view.offsets = bricks.offsets_;
    view.ranges = bricks.ranges_;
    return bricks;
}

Bricks::Bricks(Bricks&& other) noexcept
    : offsets_(std::move(other.offsets_)),
      ranges_(std::move(other.ranges_)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      view_(std::exchange(other.view_, BrickView{})) {}

Bricks& Bricks::operator=(Bricks&& other) noexcept {
    if (this != &other) {
        release();
        offsets_ = std::move(other.offsets_);
        ranges_ = std::move(other.ranges_);
        mapping_ = std::exchange(other.mapping_, nullptr);
        view_ = std::exchange(other.view_, BrickView{});
    }
    return *this;
}

Bricks::~Bricks() {
    release();
}

void Bricks::release() noexcept {
    if (mapping_ != nullptr) {
        ::munmap(mapping_, view_.size);
        mapping_ = nullptr;
    }
}

void read_box(const BrickView& view, const Box& box, std::span<std::byte> out, unsigned threads) {
    std::size_t voxels = 1;
    for (std::size_t axis = 0; axis < 3; ++axis) {
        if (box.size[axis] == 0 || box.first[axis] >= view.shape[axis] ||
            box.size[axis] > view.shape[axis] - box.first[axis]) {
            throw Error(Errc::out_of_range, "the box is not inside of the volume");
        }
        voxels *= box.size[axis];
    }
    if (out.size() != voxels * bytes_of(view.type)) {
        throw Error(Errc::buffer_too_small, "the output is not as large as the box");
    }
    const std::uint32_t first = box.first[0] >> view.brick_log2;
    const std::uint32_t last = (box.first[0] + box.size[0] - 1) >> view.brick_log2;
    parallel::for_each(last - first + 1, out.size() < (std::size_t{1} << 20) ? 1 : threads, [&](std::size_t layer) {
        read_layer(view, box, first + static_cast<std::uint32_t>(layer), out);
    });
}

}  // namespace hilum::volume
