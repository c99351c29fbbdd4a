// SPDX-License-Identifier: Apache-2.0
#include "hilum/volume/build.hpp"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
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

constexpr std::uint32_t kEdge = 1U << kBrickLog2;

/// One shard while it is being written, layer by layer.
class ShardWriter {
public:
    ShardWriter(const std::string& path, const std::array<std::uint32_t, 3>& shape, SampleType type, double fill)
        : file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640)) {
        if (!file_) {
            throw pack::system_error("a shard cannot be made", errno);
        }
        view_.shape = shape;
        view_.type = type;
        view_.fill = fill;
        level_.shape = shape;
    }

    [[nodiscard]] const BrickView& view() const noexcept { return view_; }

    /// The next layer of bricks: their ranges first, which says where each will be, then their bytes.
    void add(const Slab& slab, unsigned threads) {
        const std::uint32_t rows = view_.bricks(1);
        const std::uint32_t columns = view_.bricks(2);
        const std::size_t first = offsets_.size();
        std::vector<Survey> surveys(std::size_t{rows} * columns);
        parallel::for_each(rows, threads, [&](std::size_t by) {
            for (std::uint32_t bx = 0; bx < columns; ++bx) {
                surveys[by * columns + bx] = survey_brick(slab, static_cast<std::uint32_t>(by), bx, view_.fill);
            }
        });
        for (const Survey& survey : surveys) {
            offsets_.push_back(survey.is_fill ? kMissing : position_);
            level_.ranges.push_back(survey.range);
            position_ += survey.is_fill ? 0 : view_.brick_bytes();
        }
        parallel::for_each(rows, threads,
                           [&](std::size_t by) { write_row(slab, static_cast<std::uint32_t>(by), first); });
    }

    [[nodiscard]] Level finish() {
        std::vector<std::uint64_t> index;
        index.reserve(2 * offsets_.size());
        for (const std::uint64_t offset : offsets_) {
            index.push_back(offset);
            index.push_back(offset == kMissing ? kMissing : view_.brick_bytes());
        }
        std::uint32_t checksum = crc32c(std::as_bytes(std::span(index)));
        write({{index.data(), index.size() * sizeof(std::uint64_t)}, {&checksum, sizeof(checksum)}}, position_);
        level_.bytes = position_ + index.size() * sizeof(std::uint64_t) + sizeof(checksum);
        file_.reset();
        return std::move(level_);
    }

private:
    void write(std::vector<iovec> pieces, std::uint64_t offset) {
        const int failed = pack::write_all(pack::Io::system(), file_.get(), pieces, offset);
        if (failed != 0) {
            throw pack::system_error("a shard cannot be written", -failed);
        }
    }

    /// The bricks of a row that are not missing lie one after the other.
    void write_row(const Slab& slab, std::uint32_t by, std::size_t first) {
        const std::uint32_t columns = view_.bricks(2);
        const std::span<const std::uint64_t> offsets = std::span(offsets_).subspan(first + by * columns, columns);
        const auto present = static_cast<std::size_t>(
            std::count_if(offsets.begin(), offsets.end(), [](std::uint64_t offset) { return offset != kMissing; }));
        if (present == 0) {
            return;
        }
        const auto bricks = std::make_unique_for_overwrite<std::byte[]>(present * view_.brick_bytes());
        std::size_t at = 0;
        for (std::uint32_t bx = 0; bx < columns; ++bx) {
            if (offsets[bx] != kMissing) {
                fill_brick(slab, by, bx, view_.fill, bricks.get() + at);
                at += view_.brick_bytes();
            }
        }
        write({{bricks.get(), at}}, *std::min_element(offsets.begin(), offsets.end()));
    }

    pack::Descriptor file_;
    BrickView view_;
    Level level_;
    std::vector<std::uint64_t> offsets_;
    std::uint64_t position_ = 0;
};

/// A shard and the slices that wait until they are a layer.
struct Stage {
    ShardWriter writer;
    std::unique_ptr<std::byte[]> slices;
    std::uint32_t waiting = 0;

    explicit Stage(ShardWriter&& opened)
        : writer(std::move(opened)),
          slices(std::make_unique_for_overwrite<std::byte[]>(slice_bytes() * std::min(kEdge, shape()[0]))) {}

    [[nodiscard]] const std::array<std::uint32_t, 3>& shape() const noexcept { return writer.view().shape; }
    [[nodiscard]] std::size_t slice_bytes() const noexcept {
        return std::size_t{shape()[1]} * shape()[2] * bytes_of(writer.view().type);
    }
    [[nodiscard]] Slab slab() const noexcept {
        return {slices.get(), waiting, shape()[1], shape()[2], writer.view().type};
    }
};

/// Writes the layer that a stage has gathered and hands its halves up. Layers are of an even number of slices, so pairs
/// are never torn, but at the end.
void flush(std::vector<Stage>& stages, std::size_t level, bool last, unsigned threads) {
    Stage& stage = stages[level];
    const Slab slab = stage.slab();
    if (slab.depth != 0) {
        stage.writer.add(slab, threads);
    }
    if (level + 1 < stages.size()) {
        Stage& next = stages[level + 1];
        const std::uint32_t slices = (slab.depth + 1) / 2;
        const std::uint32_t rows = next.shape()[1];
        const std::size_t row_bytes = next.slice_bytes() / rows;
        std::byte* to = next.slices.get() + next.waiting * next.slice_bytes();
        parallel::for_each(std::size_t{slices} * rows, threads, [&](std::size_t line) {
            halve_row(slab, static_cast<std::uint32_t>(line / rows), static_cast<std::uint32_t>(line % rows),
                      to + line * row_bytes);
        });
        next.waiting += slices;
        if (last || next.waiting == kEdge) {
            flush(stages, level + 1, last, threads);
        }
    }
    stage.waiting = 0;
}

template <typename T>
T mixed(T a, T b, double weight) noexcept {
    const double value = static_cast<double>(a) + (static_cast<double>(b) - static_cast<double>(a)) * weight;
    if constexpr (std::is_floating_point_v<T>) {
        return static_cast<T>(value);
    } else {
        return static_cast<T>(std::floor(value + 0.5));  // between a and b, so it fits
    }
}

/// Makes slices of frames.
class SliceReader {
public:
    SliceReader(const Plan& plan, const ReadFrame& read) noexcept
        : plan_(plan), read_(read), pixels_(std::size_t{plan.layout.shape[1]} * plan.layout.shape[2]) {}

    void operator()(const Slice& slice, std::span<std::byte> out) const {
        read_frame(slice.first, out);
        if (slice.weight == 0.0) {
            return;
        }
        const auto other = std::make_unique_for_overwrite<std::byte[]>(out.size());
        read_frame(slice.second, {other.get(), out.size()});
        with_type(plan_.layout.type, [&]<typename T>() {
            auto* a = reinterpret_cast<T*>(out.data());
            const auto* b = reinterpret_cast<const T*>(other.get());
            for (std::size_t i = 0; i < pixels_; ++i) {
                a[i] = mixed(a[i], b[i], slice.weight);
            }
        });
    }

private:
    void read_frame(std::uint32_t frame, std::span<std::byte> out) const {
        if (plan_.rescales.empty()) {
            read_(frame, out);
            return;
        }
        const std::size_t bytes = pixels_ * bytes_of(plan_.source);
        const auto stored = std::make_unique_for_overwrite<std::byte[]>(bytes);
        read_(frame, {stored.get(), bytes});
        const pixel::Rescale rescale = plan_.rescales[frame];
        auto* values = reinterpret_cast<float*>(out.data());
        with_type(plan_.source, [&]<typename T>() {
            const auto* from = reinterpret_cast<const T*>(stored.get());
            for (std::size_t i = 0; i < pixels_; ++i) {
                values[i] = static_cast<float>(rescale(static_cast<double>(from[i])));
            }
        });
    }

    const Plan& plan_;
    const ReadFrame& read_;
    std::size_t pixels_;
};

void check_plan(const Plan& plan) {
    check_layout(plan.layout);
    const SampleType expected = plan.rescales.empty() ? plan.source : SampleType::f32;
    if (plan.layout.type != expected) {
        throw Error(Errc::invalid_argument, "the volume's type is not that of its frames");
    }
    if (plan.slices.size() != plan.layout.shape[0]) {
        throw Error(Errc::invalid_argument, "there are not as many slices as the shape says");
    }
    for (const Slice& slice : plan.slices) {
        const std::uint32_t most = std::max(slice.first, slice.weight == 0.0 ? 0U : slice.second);
        if (!(slice.weight >= 0.0 && slice.weight <= 1.0) || (!plan.rescales.empty() && most >= plan.rescales.size())) {
            throw Error(Errc::invalid_argument, "a slice names no frame, or a weight that is not 0 to 1");
        }
    }
    if (std::uint64_t{plan.layout.shape[1]} * plan.layout.shape[2] * 8 > limits::kMaxFrameBytes) {
        throw Error(Errc::limit_exceeded, "a slice is larger than 4 GiB");
    }
}

}  // namespace

std::array<std::uint32_t, 3> halved(const std::array<std::uint32_t, 3>& shape) noexcept {
    return {shape[0] / 2 + shape[0] % 2, shape[1] / 2 + shape[1] % 2, shape[2] / 2 + shape[2] % 2};
}

std::vector<Level> build(const Plan& plan, const ReadFrame& read, std::span<const std::string> paths,
                         unsigned threads) {
    check_plan(plan);
    if (paths.empty()) {
        throw Error(Errc::invalid_argument, "a volume has at least one level");
    }
    std::vector<Stage> stages;
    std::array<std::uint32_t, 3> shape = plan.layout.shape;
    for (const std::string& path : paths) {
        stages.emplace_back(ShardWriter(path, shape, plan.layout.type, plan.layout.fill));
        shape = halved(shape);
    }
    Stage& base = stages.front();
    const SliceReader read_slice(plan, read);
    const std::size_t count = plan.slices.size();
    for (std::size_t first = 0; first < count; first += kEdge) {
        const std::size_t depth = std::min<std::size_t>(kEdge, count - first);
        parallel::for_each(depth, threads, [&](std::size_t at) {
            read_slice(plan.slices[first + at], {base.slices.get() + at * base.slice_bytes(), base.slice_bytes()});
        });
        base.waiting = static_cast<std::uint32_t>(depth);
        flush(stages, 0, first + depth == count, threads);
    }
    std::vector<Level> levels;
    for (Stage& stage : stages) {
        levels.push_back(stage.writer.finish());
    }
    return levels;
}

}  // namespace hilum::volume
