// SPDX-License-Identifier: Apache-2.0
#include "hilum/volume/measure.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <type_traits>
#include <vector>

#include "grid_math.hpp"
#include "hilum/error.hpp"
#include "hilum/parallel.hpp"
#include "samples.hpp"

namespace hilum::volume {
namespace {

constexpr double kHalfVoxel = 0.5 + 1e-9;  ///< beyond a centre; what rounding may do is inside
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Two sets of values as one.
void join(Moments& into, const Moments& other) noexcept {
    into.not_numbers += other.not_numbers;
    if (other.count == 0) {
        return;
    }
    if (into.count == 0) {
        const std::uint64_t not_numbers = into.not_numbers;
        into = other;
        into.not_numbers = not_numbers;
        return;
    }
    const auto a = static_cast<double>(into.count);
    const auto b = static_cast<double>(other.count);
    const double shift = other.mean - into.mean;
    into.mean += shift * (b / (a + b));
    into.squares += other.squares + shift * shift * (a * b / (a + b));
    into.least = std::min(into.least, other.least);
    into.greatest = std::max(into.greatest, other.greatest);
    into.count += other.count;
}

/// Sums of up to 16-bit integers: exact.
template <typename T>
class Sums {
public:
    void add(const T* values, std::size_t count) noexcept {
        std::int32_t sum = 0;
        std::uint32_t low = 0;  // of the squares, in two halves that cannot overflow
        std::uint32_t high = 0;
        T least = values[0];
        T greatest = values[0];
        for (std::size_t n = 0; n < count; ++n) {
            const T value = values[n];
            const std::int32_t wide = value;
            const std::uint32_t square = static_cast<std::uint32_t>(wide) * static_cast<std::uint32_t>(wide);
            sum += wide;
            low += square & 0xFFFFU;
            high += square >> 16U;
            least = value < least ? value : least;
            greatest = value > greatest ? value : greatest;
        }
        sum_ += sum;
        squares_ += (std::uint64_t{high} << 16U) + low;
        least_ = std::min(least_, least);
        greatest_ = std::max(greatest_, greatest);
        count_ += count;
    }
    void add_one(double value, std::size_t count) noexcept {
        const auto wide = static_cast<std::int64_t>(value);
        sum_ += wide * static_cast<std::int64_t>(count);
        squares_ += static_cast<std::uint64_t>(wide * wide) * count;
        least_ = std::min(least_, static_cast<T>(wide));
        greatest_ = std::max(greatest_, static_cast<T>(wide));
        count_ += count;
    }
    [[nodiscard]] Moments moments() const noexcept {
        if (count_ == 0) {
            return {};
        }
        const auto count = static_cast<double>(count_);
        const double mean = static_cast<double>(sum_) / count;
        // Both products are exact in 128 bits, so nothing is lost where the mean is large and the deviation is not.
        using Wide = unsigned __int128;
        const Wide product = Wide{count_} * squares_;
        const auto magnitude = static_cast<std::uint64_t>(sum_ < 0 ? -sum_ : sum_);
        const auto squares = static_cast<double>(product - Wide{magnitude} * magnitude) / count;
        return {count_, 0, static_cast<double>(least_), static_cast<double>(greatest_), mean, squares};
    }

private:
    std::int64_t sum_ = 0;
    std::uint64_t squares_ = 0;
    std::uint64_t count_ = 0;
    T least_ = std::numeric_limits<T>::max();
    T greatest_ = std::numeric_limits<T>::lowest();
};

/// Of all other types: differences from the first value, as double.
template <typename T>
    requires(sizeof(T) > 2)
class Sums<T> {
public:
    void add(const T* values, std::size_t count) noexcept {
        for (std::size_t n = 0; n < count; ++n) {
            add_one(static_cast<double>(values[n]), 1);
        }
    }
    void add_one(double value, std::size_t count) noexcept {
        if (std::isnan(value)) {
            not_numbers_ += count;
            return;
        }
        if (count_ == 0) {
            pivot_ = value;
        }
        const double shifted = value - pivot_;
        const auto times = static_cast<double>(count);
        sum_ += shifted * times;
        squares_ += shifted * shifted * times;
        least_ = std::min(least_, value);
        greatest_ = std::max(greatest_, value);
        count_ += count;
    }
    [[nodiscard]] Moments moments() const noexcept {
        if (count_ == 0) {
            return {0, not_numbers_, 0.0, 0.0, 0.0, 0.0};
        }
        const auto count = static_cast<double>(count_);
        const double squares = std::max(0.0, squares_ - sum_ * sum_ / count);
        return {count_, not_numbers_, least_, greatest_, pivot_ + sum_ / count, squares};
    }

private:
    double pivot_ = 0.0;
    double sum_ = 0.0;
    double squares_ = 0.0;
    double least_ = std::numeric_limits<double>::infinity();
    double greatest_ = -std::numeric_limits<double>::infinity();
    std::uint64_t count_ = 0;
    std::uint64_t not_numbers_ = 0;
};

/// Rows of bricks that a region touches: what one thread does at a time.
class Tiles {
public:
    Tiles(const BrickView& view, const Region& region) : view_(view), region_(region) {
        const Box& box = region.box;
        if (box.size[0] != 0 && box.size[1] != 0 && box.size[2] != 0) {
            for (std::size_t axis = 0; axis < 2; ++axis) {
                first_[axis] = box.first[axis] >> view.brick_log2;
                count_[axis] = ((box.first[axis] + box.size[axis] - 1U) >> view.brick_log2) - first_[axis] + 1U;
            }
        }
    }
    [[nodiscard]] std::size_t count() const noexcept { return std::size_t{count_[0]} * count_[1]; }

    /// Calls run(samples or nullptr for fill, count) for all that lies inside of tile `index`.
    template <typename T, typename Run>
    void visit(std::size_t index, Run&& run) const {
        const auto z = static_cast<std::uint32_t>(index / count_[1]) + first_[0];
        const auto y = static_cast<std::uint32_t>(index % count_[1]) + first_[1];
        const std::uint32_t edge = view_.edge();
        std::vector<Span> spans;
        std::vector<T> row(edge);
        for (std::uint32_t k = z * edge; k < std::min((z + 1) * edge, view_.shape[0]); ++k) {
            for (std::uint32_t j = y * edge; j < std::min((y + 1) * edge, view_.shape[1]); ++j) {
                region_spans(view_, region_, k, j, spans);
                for (const Span& span : spans) {
                    visit_span<T>(span, j, k, row, run);
                }
            }
        }
    }

private:
    template <typename T, typename Run>
    void visit_span(const Span& span, std::uint32_t j, std::uint32_t k, std::vector<T>& row, Run& run) const {
        for (std::uint32_t i = span.first; i < span.last;) {
            const std::uint32_t next = std::min(span.last, ((i >> view_.brick_log2) + 1U) << view_.brick_log2);
            const std::byte* brick = view_.brick(brick_of(view_, i, j, k));
            if (brick == nullptr) {
                run(static_cast<const T*>(nullptr), next - i);
            } else {
                std::memcpy(row.data(), brick + inner(view_, i, j, k) * sizeof(T), (next - i) * sizeof(T));
                run(static_cast<const T*>(row.data()), next - i);
            }
            i = next;
        }
    }

    const BrickView& view_;
    const Region& region_;
    std::array<std::uint32_t, 2> first_{};
    std::array<std::uint32_t, 2> count_{};
};

/// The bin of a value; edges.size() if there is none.
std::size_t bin_of(double value, std::span<const double> edges, double scale) noexcept {
    const std::size_t bins = edges.size() - 1;
    if (!(value >= edges[0] && value <= edges[bins])) {
        return edges.size();
    }
    auto bin = std::min(static_cast<std::size_t>((value - edges[0]) * scale), bins - 1);
    while (bin > 0 && value < edges[bin]) {
        --bin;
    }
    while (bin + 1 < bins && value >= edges[bin + 1]) {
        ++bin;
    }
    return bin;
}

void check_edges(std::span<const double> edges, std::size_t counts) {
    bool good = edges.size() >= 2 && edges.size() == counts + 1 && finite(edges);
    for (std::size_t n = 1; good && n < edges.size(); ++n) {
        good = edges[n] > edges[n - 1];
    }
    if (!good) {
        throw Error(Errc::invalid_argument, "edges of a histogram must be finite and ascending, one more than bins");
    }
}

template <typename T>
double linear_at(const BrickView& view, const std::array<double, 3>& at) noexcept {
    std::array<std::uint32_t, 3> low{};
    std::array<std::uint32_t, 3> high{};
    std::array<double, 3> part{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        const std::uint32_t last = view.shape[2 - axis] - 1U;
        const double place = std::clamp(at[axis], 0.0, static_cast<double>(last));
        low[axis] = std::min(static_cast<std::uint32_t>(place), last);
        high[axis] = std::min(low[axis] + 1U, last);
        part[axis] = place - low[axis];
    }
    double found = 0.0;
    for (unsigned corner = 0; corner < 8; ++corner) {
        double weight = 1.0;
        std::array<std::uint32_t, 3> index{};
        for (unsigned axis = 0; axis < 3; ++axis) {
            const bool upper = ((corner >> axis) & 1U) != 0;
            weight *= upper ? part[axis] : 1.0 - part[axis];
            index[axis] = upper ? high[axis] : low[axis];
        }
        if (weight > 0.0) {
            found += weight * voxel<T>(view, index[0], index[1], index[2]);
        }
    }
    return found;
}

template <typename T>
double nearest_at(const BrickView& view, const std::array<double, 3>& at) noexcept {
    std::array<std::uint32_t, 3> index{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
        index[axis] =
            std::min(static_cast<std::uint32_t>(std::max(0.0, std::floor(at[axis] + 0.5))), view.shape[2 - axis] - 1U);
    }
    return voxel<T>(view, index[0], index[1], index[2]);
}

}  // namespace

Moments measure(const BrickView& view, const Region& region, unsigned threads) {
    check_region(view, region);
    const Tiles tiles(view, region);
    std::vector<Moments> found(tiles.count());
    with_type(view.type, [&]<typename T>() {
        parallel::for_each(found.size(), threads, [&](std::size_t index) {
            Sums<T> sums;
            tiles.visit<T>(index, [&](const T* values, std::size_t count) {
                if (values != nullptr) {
                    sums.add(values, count);
                } else {
                    sums.add_one(view.fill, count);
                }
            });
            found[index] = sums.moments();
        });
    });
    Moments all;
    for (const Moments& one : found) {
        join(all, one);
    }
    if (all.count == 0) {
        all.least = all.greatest = all.mean = all.squares = kNaN;
    }
    return all;
}

void histogram(const BrickView& view, const Region& region, double slope, double intercept,
               std::span<const double> edges, std::span<std::uint64_t> counts, unsigned threads) {
    check_region(view, region);
    check_edges(edges, counts.size());
    const Tiles tiles(view, region);
    const double scale = static_cast<double>(counts.size()) / (edges.back() - edges.front());
    std::ranges::fill(counts, 0);
    std::mutex lock;
    with_type(view.type, [&]<typename T>() {
        parallel::for_each(tiles.count(), threads, [&](std::size_t index) {
            std::vector<std::uint64_t> own(counts.size());
            const auto add = [&](double stored, std::size_t times) {
                const std::size_t bin = bin_of(stored * slope + intercept, edges, scale);
                if (bin < own.size()) {
                    own[bin] += times;
                }
            };
            tiles.visit<T>(index, [&](const T* values, std::size_t count) {
                if (values == nullptr) {
                    add(view.fill, count);
                    return;
                }
                for (std::size_t n = 0; n < count; ++n) {
                    add(static_cast<double>(values[n]), 1);
                }
            });
            const std::scoped_lock held(lock);
            for (std::size_t n = 0; n < own.size(); ++n) {
                counts[n] += own[n];
            }
        });
    });
}

void sample_line(const BrickView& view, const Point& start, const Point& step, bool linear, std::span<double> out) {
    if (!finite(start) || !finite(step)) {
        throw Error(Errc::invalid_argument, "a line of numbers that are not finite");
    }
    with_type(view.type, [&]<typename T>() {
        for (std::size_t n = 0; n < out.size(); ++n) {
            const auto along = static_cast<double>(n);
            const Point at = to_voxel(
                view.affine, {start[0] + along * step[0], start[1] + along * step[1], start[2] + along * step[2]});
            bool inside = true;
            for (std::size_t axis = 0; axis < 3; ++axis) {
                inside = inside && at[axis] >= -kHalfVoxel && at[axis] <= view.shape[2 - axis] - 1U + kHalfVoxel;
            }
            out[n] = !inside ? kNaN : linear ? linear_at<T>(view, at) : nearest_at<T>(view, at);
        }
    });
}

}  // namespace hilum::volume
