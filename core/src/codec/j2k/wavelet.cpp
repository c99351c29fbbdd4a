// SPDX-License-Identifier: Apache-2.0
#include "wavelet.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace hilum::codec::j2k {
namespace {

/// The lowest resolution: rows of the LL band as they are.
class LowestRows final : public Synthesis {
public:
    explicit LowestRows(RowSource& rows) noexcept : rows_(rows) {}
    const std::uint32_t* next() override { return rows_.row(at_++); }
    void skip_to(std::uint32_t first) override { at_ = first; }

private:
    RowSource& rows_;
    std::uint32_t at_ = 0;
};

/// What both filters share: the rows that are alive, in a ring, and the horizontal filter that fills it.
template <typename Sample, unsigned kRing>
class Level : public Synthesis {
public:
    Level(std::unique_ptr<Synthesis> lower, const Rect& area, const std::array<RowSource*, 3>& bands)
        : kernels_(wavelet_kernels()),
          lower_(std::move(lower)),
          bands_(bands),
          width_(area.width()),
          height_(area.height()),
          parity_x_(area.x0 & 1U),
          parity_y_(area.y0 & 1U) {
        stride_ = (std::size_t{width_} + 15) / 16 * 16;
        ring_ = std::make_unique_for_overwrite<Sample[]>(stride_ * (kRing + 1) + 64);
    }

    void skip_to(std::uint32_t first) override {
        constexpr std::uint32_t kBefore = kReach + 2;
        if (first <= kBefore) {
            lower_->skip_to(0);
        } else {
            // rows before the filled ones are zeros, which reach no row that is asked for
            std::fill_n(ring_.get(), stride_ * (kRing + 1), Sample{});
            filled_ = first - kBefore;
            low_at_ = static_cast<std::uint32_t>(filled_ + 1 - parity_y_) / 2;
            high_at_ = static_cast<std::uint32_t>(filled_) - low_at_;
            lower_->skip_to(low_at_);
        }
        next_ = first;
        skipped(filled_);
    }

protected:
    /// Rows before `filled` will not be there.
    virtual void skipped(std::int64_t filled) = 0;
    [[nodiscard]] Sample* row(std::int64_t index) noexcept {
        return ring_.get() + stride_ * (static_cast<std::uint64_t>(index) % kRing);
    }
    [[nodiscard]] Sample* scratch() noexcept { return ring_.get() + stride_ * kRing; }
    /// Whether row `index` is a high one.
    [[nodiscard]] bool is_high(std::int64_t index) const noexcept {
        return ((static_cast<std::uint64_t>(index) + parity_y_) & 1U) != 0;
    }
    /// Rows mirrored at both ends, F.3.7.
    [[nodiscard]] std::int64_t mirrored(std::int64_t index) const noexcept {
        const std::int64_t last = std::int64_t{height_} - 1;
        return index < 0 ? -index : (index > last ? 2 * last - index : index);
    }
    /// The next pair of bands' rows, low or high by turns.
    std::pair<const Sample*, const Sample*> sources(bool high) {
        const std::uint32_t* left = high ? bands_[1]->row(high_at_) : lower_->next();
        const std::uint32_t* right = high ? bands_[2]->row(high_at_) : bands_[0]->row(low_at_);
        ++(high ? high_at_ : low_at_);
        return {reinterpret_cast<const Sample*>(left), reinterpret_cast<const Sample*>(right)};
    }

    const WaveletKernels& kernels_;
    std::unique_ptr<Synthesis> lower_;
    std::array<RowSource*, 3> bands_;
    std::uint32_t width_, height_;
    unsigned parity_x_, parity_y_;
    std::int64_t filled_ = 0, next_ = 0;

private:
    std::uint32_t low_at_ = 0, high_at_ = 0;
    std::size_t stride_ = 0;
    std::unique_ptr<Sample[]> ring_;
};

class Level53 final : public Level<std::int32_t, 4> {
public:
    using Level::Level;

    const std::uint32_t* next() override {
        const std::int64_t at = next_++;
        if (height_ == 1) {
            fill_to(0);
            if (is_high(0)) {
                std::for_each_n(row(0), width_, [](std::int32_t& v) { v /= 2; });
            }
        } else if (!is_high(at)) {
            update(at);
        } else {
            update(at - 1);
            update(at + 1);
            kernels_.predict53(row(at), row(mirrored(at - 1)), row(mirrored(at + 1)), width_);
        }
        return reinterpret_cast<const std::uint32_t*>(row(at));
    }

private:
    void skipped(std::int64_t) override {}
    void fill_to(std::int64_t index) {
        for (; filled_ <= index; ++filled_) {
            const auto [low, high] = sources(is_high(filled_));
            kernels_.horizontal53(low, high, row(filled_), scratch(), width_, parity_x_);
        }
    }
    /// A low row, once.
    void update(std::int64_t index) {
        if (index < updated_ || index >= height_) {
            return;
        }
        updated_ = index + 1;
        fill_to(std::min<std::int64_t>(index + 1, std::int64_t{height_} - 1));
        kernels_.update53(row(index), row(mirrored(index - 1)), row(mirrored(index + 1)), width_);
    }

    std::int64_t updated_ = 0;
};

class Level97 final : public Level<float, 8> {
public:
    using Level::Level;

    const std::uint32_t* next() override {
        const std::int64_t at = next_++;
        if (height_ == 1) {
            fill_to(0);
        } else {
            step(3, at);
        }
        return reinterpret_cast<const std::uint32_t*>(row(at));
    }

private:
    void skipped(std::int64_t filled) override { done_.fill(filled); }
    void fill_to(std::int64_t index) {
        for (; filled_ <= index; ++filled_) {
            const bool high_row = is_high(filled_);
            const auto [low, high] = sources(high_row);
            const float scale = height_ == 1 ? 1.0F : (high_row ? kHighScale : kLowScale);
            kernels_.horizontal97(low, high, row(filled_), scratch(), width_, parity_x_, scale);
        }
    }
    /// Lifting steps 0 to 3 (delta and beta on low rows, gamma and alpha on high ones) up to `index`, each once. Asked
    /// for a row of the other kind, a step reaches the ones beside it.
    void step(unsigned number, std::int64_t index) {
        index = std::min<std::int64_t>(index, std::int64_t{height_} - 1);
        for (; done_[number] <= index; ++done_[number]) {
            const std::int64_t at = done_[number];
            if (is_high(at) != (number % 2 != 0)) {
                if (number > 0) {
                    step(number - 1, at);
                }
                continue;
            }
            if (number == 0) {
                fill_to(std::min<std::int64_t>(at + 1, std::int64_t{height_} - 1));
            } else {
                step(number - 1, at + 1);
            }
            kernels_.lift97(row(at), row(mirrored(at - 1)), row(mirrored(at + 1)), kLiftFactors[number], width_);
        }
    }

    std::array<std::int64_t, 4> done_{};
};

}  // namespace

std::unique_ptr<Synthesis> make_synthesis(const TileComponent& component, unsigned resolution,
                                          const std::vector<std::array<RowSource*, 3>>& bands) {
    std::unique_ptr<Synthesis> rows = std::make_unique<LowestRows>(*bands[0][0]);
    for (unsigned r = 1; r <= resolution; ++r) {
        const Rect& area = component.resolutions[r].area;
        if (component.coding.reversible) {
            rows = std::make_unique<Level53>(std::move(rows), area, bands[r]);
        } else {
            rows = std::make_unique<Level97>(std::move(rows), area, bands[r]);
        }
    }
    return rows;
}

}  // namespace hilum::codec::j2k
