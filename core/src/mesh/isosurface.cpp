// SPDX-License-Identifier: Apache-2.0
// Marching cubes, slab by slab: which voxels are inside is one bit each, so that only cells on the surface are touched.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "../volume/grid_math.hpp"
#include "../volume/samples.hpp"
#include "cases.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/mesh/mesh.hpp"
#include "hilum/parallel.hpp"

namespace hilum::mesh {
namespace {

using volume::BrickView;

constexpr std::uint32_t kLayers = 32;  ///< of cells in a slab
constexpr double kNear = 1.0 / 256.0;
constexpr unsigned kWord = 64;

/// The volume with one point more at each side if the surface is to be closed: these are outside.
struct Points {
    Points(const BrickView& from, const Isosurface& what) : view(from), wanted(what), pad(what.closed ? 1U : 0U) {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            size[axis] = view.shape[2 - axis] + 2U * pad;
        }
        words = (size[0] + kWord - 1U) / kWord;
    }
    const BrickView& view;
    const Isosurface& wanted;
    std::uint32_t pad;
    std::array<std::uint32_t, 3> size{};  ///< points along x, y, z
    std::size_t words = 0;                ///< of a row of bits
};

/// Stored values as the type compares them: inside is value >= least and value <= greatest.
template <typename T>
struct Bounds {
    T least;
    T greatest;
    bool empty = false;

    explicit Bounds(const Isosurface& wanted)
        : least(std::numeric_limits<T>::lowest()), greatest(std::numeric_limits<T>::max()) {
        if constexpr (std::is_floating_point_v<T>) {
            least = wanted.below ? -std::numeric_limits<T>::infinity() : rounded(wanted.threshold, true);
            greatest = wanted.below ? rounded(wanted.threshold, false) : std::numeric_limits<T>::infinity();
        } else if (wanted.below) {
            empty = wanted.threshold < static_cast<double>(least);
            greatest = limited(std::floor(wanted.threshold));
        } else {
            empty = wanted.threshold > static_cast<double>(greatest);
            least = limited(std::ceil(wanted.threshold));
        }
    }
    [[nodiscard]] bool holds(T value) const noexcept { return value >= least && value <= greatest; }

private:
    static T limited(double value) noexcept {
        constexpr auto lowest = static_cast<double>(std::numeric_limits<T>::lowest());
        constexpr auto highest = static_cast<double>(std::numeric_limits<T>::max());
        return static_cast<T>(std::clamp(value, lowest, highest));
    }
    /// Nearest value of the type on that side.
    static T rounded(double value, bool up) noexcept {
        constexpr auto highest = static_cast<double>(std::numeric_limits<T>::max());
        auto found = static_cast<T>(std::clamp(value, -highest, highest));
        if (up ? static_cast<double>(found) < value : static_cast<double>(found) > value) {
            found = std::nextafter(found, (up ? T{1} : T{-1}) * std::numeric_limits<T>::infinity());
        }
        return found;
    }
};

/// One plane of points: bits of what is inside, and the vertices on its edges along x and y.
struct Plane {
    std::vector<std::uint64_t> inside;
    std::vector<std::uint32_t> x;
    std::vector<std::uint32_t> y;
};

/// Bit i: value i is inside.
template <typename T>
std::uint64_t compare(const T* values, std::uint32_t count, const Bounds<T>& bounds) noexcept {
    std::array<std::uint8_t, 32> flags{};
    for (std::size_t i = 0; i < count; ++i) {
        flags[i] = bounds.holds(values[i]) ? 1U : 0U;
    }
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < flags.size(); i += 8) {
        std::uint64_t eight = 0;
        std::memcpy(&eight, flags.data() + i, sizeof(eight));
        bits |= ((eight * 0x0102040810204080ULL) >> 56U) << i;
    }
    return bits;
}

void set_bits(std::uint64_t* row, std::uint64_t bits, std::size_t at) noexcept {
    const unsigned shift = static_cast<unsigned>(at % kWord);
    row[at / kWord] |= bits << shift;
    if (shift != 0 && (bits >> (kWord - shift)) != 0) {
        row[at / kWord + 1] |= bits >> (kWord - shift);
    }
}

template <typename Run>
void for_bits(std::uint64_t word, std::size_t base, Run&& run) {
    for (; word != 0; word &= word - 1) {
        run(base + static_cast<std::size_t>(std::countr_zero(word)));
    }
}

/// Bit i: bit i + 1 of the row.
std::uint64_t following(const std::uint64_t* row, std::size_t word, std::size_t words) noexcept {
    return (row[word] >> 1U) | (word + 1 < words ? row[word + 1] << (kWord - 1U) : 0U);
}

/// Bits of a word that belong to points 0 to count - 1.
std::uint64_t within(std::size_t word, std::size_t count) noexcept {
    const std::size_t first = word * kWord;
    return first >= count ? 0U : count - first >= kWord ? ~0ULL : (1ULL << (count - first)) - 1U;
}

template <typename T>
class Slab {
public:
    Slab(const Points& points, const Bounds<T>& bounds, std::atomic<std::uint64_t>& total)
        : p_(points), bounds_(bounds), total_(total), rows_(points.size[1]), columns_(points.size[0]) {
        for (Plane& plane : planes_) {
            plane.inside.resize(p_.words * rows_);
            plane.x.resize(rows_ * columns_);
            plane.y.resize(rows_ * columns_);
        }
        z_.resize(rows_ * columns_);
        region_.resize(p_.words);
    }

    /// Cells of layers first to last - 1. Vertices on the edges of plane `last` belong to the next slab, which begins
    /// with them, in the same order; here they have the numbers that follow on our own.
    Mesh run(std::uint32_t first, std::uint32_t last) {
        const bool is_last = last + 1U == p_.size[2];
        load(first, planes_[0]);
        number_plane(first, planes_[0], true);
        for (std::uint32_t k = first; k < last; ++k) {
            Plane& low = planes_[(k - first) % 2U];
            Plane& high = planes_[(k - first + 1U) % 2U];
            load(k + 1U, high);
            number_columns(k, low, high);
            number_plane(k + 1U, high, k + 1U < last || is_last);
            cells(low, high);
            const std::uint64_t grown = made_.vertices.size() - counted_;
            counted_ = made_.vertices.size();
            if (total_.fetch_add(grown) + grown > p_.wanted.vertices) {
                throw Error(Errc::limit_exceeded,
                            "the surface has more than " + std::to_string(p_.wanted.vertices) +
                                " vertices: choose another threshold, a region or a coarser level");
            }
        }
        return std::move(made_);
    }

private:
    void load(std::uint32_t k, Plane& plane) {
        std::ranges::fill(plane.inside, 0U);
        const BrickView& view = p_.view;
        if (bounds_.empty || k < p_.pad || k - p_.pad >= view.shape[0]) {
            return;
        }
        for (std::uint32_t j = 0; j < view.shape[1]; ++j) {
            load_row(k - p_.pad, j, plane.inside.data() + (j + p_.pad) * p_.words);
        }
    }

    void load_row(std::uint32_t k, std::uint32_t j, std::uint64_t* row) {
        const BrickView& view = p_.view;
        if (p_.wanted.region != nullptr) {
            volume::region_spans(view, *p_.wanted.region, k, j, spans_);
            if (spans_.empty()) {
                return;
            }
        }
        const std::uint32_t edge = view.edge();
        std::array<T, 32> values;
        for (std::uint32_t i = 0; i < view.shape[2]; i += edge) {
            const std::size_t index = volume::brick_of(view, i, j, k);
            const std::byte* brick = view.brick(index);
            const volume::BrickRange& range = view.ranges[index];
            const std::uint32_t count = std::min(edge, view.shape[2] - i);
            std::uint64_t bits = 0;
            if (brick == nullptr) {
                bits = bounds_.holds(static_cast<T>(view.fill)) ? (1ULL << count) - 1U : 0U;
            } else if (static_cast<double>(range.greatest) >= static_cast<double>(bounds_.least) &&
                       static_cast<double>(range.least) <= static_cast<double>(bounds_.greatest)) {
                std::memcpy(values.data(), brick + volume::inner(view, i, j, k) * sizeof(T), count * sizeof(T));
                bits = compare(values.data(), count, bounds_);
            }
            if (bits != 0) {
                set_bits(row, bits, i + p_.pad);
            }
        }
        if (p_.wanted.region != nullptr) {
            keep_region(row);
        }
    }

    void keep_region(std::uint64_t* row) {
        std::ranges::fill(region_, 0U);
        for (const volume::Span& span : spans_) {
            for (std::size_t at = span.first + p_.pad; at < span.last + p_.pad;) {
                const std::size_t last = std::min<std::size_t>(span.last + p_.pad, (at / kWord + 1) * kWord);
                region_[at / kWord] |= within(0, last - at) << (at % kWord);
                at = last;
            }
        }
        for (std::size_t word = 0; word < p_.words; ++word) {
            row[word] &= region_[word];
        }
    }

    /// A stored value; NaN at points beyond the volume.
    [[nodiscard]] double value(const std::array<std::uint32_t, 3>& at) const noexcept {
        std::array<std::uint32_t, 3> voxel{};
        for (std::size_t axis = 0; axis < 3; ++axis) {
            voxel[axis] = at[axis] - p_.pad;  // wraps around to a large number before the first voxel
            if (voxel[axis] >= p_.view.shape[2 - axis]) {
                return std::numeric_limits<double>::quiet_NaN();
            }
        }
        return volume::voxel<T>(p_.view, voxel[0], voxel[1], voxel[2]);
    }

    /// The vertex on the edge from a point to the next one along an axis.
    void push(const std::array<std::uint32_t, 3>& from, std::size_t axis) {
        std::array<std::uint32_t, 3> to = from;
        ++to[axis];
        const double threshold = p_.wanted.threshold;
        const double a = value(from);
        const double b = value(to);
        double share = (threshold - a) / (b - a);
        // Halfway where no value tells: at the border of the volume or the region, beside NaN and infinity.
        if (!(share >= 0.0 && share <= 1.0)) {
            share = 0.5;
        }
        share = std::clamp(share, kNear, 1.0 - kNear);
        std::array<double, 3> at{};
        for (std::size_t n = 0; n < 3; ++n) {
            at[n] = static_cast<double>(from[n]) - p_.pad + (n == axis ? share : 0.0);
        }
        const volume::Point mm = volume::to_patient(p_.view.affine, at[0], at[1], at[2]);
        made_.vertices.push_back({static_cast<float>(mm[0]), static_cast<float>(mm[1]), static_cast<float>(mm[2])});
    }

    void number_plane(std::uint32_t k, Plane& plane, bool ours) {
        const auto number = [&](std::size_t i, std::size_t j, std::size_t axis, std::vector<std::uint32_t>& to) {
            to[j * columns_ + i] = next_++;
            if (ours) {
                push({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(j), k}, axis);
            }
        };
        for (std::size_t j = 0; j < rows_; ++j) {
            const std::uint64_t* row = plane.inside.data() + j * p_.words;
            for (std::size_t word = 0; word < p_.words; ++word) {
                const std::uint64_t changes = (row[word] ^ following(row, word, p_.words)) & within(word, columns_ - 1);
                for_bits(changes, word * kWord, [&](std::size_t i) { number(i, j, 0, plane.x); });
            }
            for (std::size_t word = 0; j + 1 < rows_ && word < p_.words; ++word) {
                const std::uint64_t changes = row[word] ^ row[p_.words + word];
                for_bits(changes, word * kWord, [&](std::size_t i) { number(i, j, 1, plane.y); });
            }
        }
    }

    void number_columns(std::uint32_t k, const Plane& low, const Plane& high) {
        for (std::size_t word = 0; word < low.inside.size(); ++word) {
            const auto j = static_cast<std::uint32_t>(word / p_.words);
            for_bits(low.inside[word] ^ high.inside[word], word % p_.words * kWord, [&](std::size_t i) {
                z_[j * columns_ + i] = next_++;
                push({static_cast<std::uint32_t>(i), j, k}, 2);
            });
        }
    }

    void cells(const Plane& low, const Plane& high) {
        for (std::size_t j = 0; j + 1 < rows_; ++j) {
            const std::array<const std::uint64_t*, 4> rows{
                low.inside.data() + j * p_.words, low.inside.data() + (j + 1) * p_.words,
                high.inside.data() + j * p_.words, high.inside.data() + (j + 1) * p_.words};
            for (std::size_t word = 0; word < p_.words; ++word) {
                std::array<std::uint64_t, 8> corners{};
                std::uint64_t any = 0;
                std::uint64_t all = ~0ULL;
                for (std::size_t n = 0; n < 4; ++n) {
                    corners[2 * n] = rows[n][word];
                    corners[2 * n + 1] = following(rows[n], word, p_.words);
                    any |= corners[2 * n] | corners[2 * n + 1];
                    all &= corners[2 * n] & corners[2 * n + 1];
                }
                for_bits(any & ~all & within(word, columns_ - 1), 0, [&](std::size_t bit) {
                    std::size_t inside = 0;
                    for (std::size_t n = 0; n < 8; ++n) {
                        inside |= ((corners[n] >> bit) & 1U) << n;
                    }
                    cell(low, high, j * columns_ + word * kWord + bit, inside);
                });
            }
        }
    }

    void cell(const Plane& low, const Plane& high, std::size_t at, std::size_t inside) {
        const auto vertex = [&](std::uint8_t edge) -> std::uint32_t {
            const Plane& plane = (edge & 2U) != 0 ? high : low;
            const std::size_t second = edge & 1U;
            switch (edge >> 2U) {
                case 0:
                    return plane.x[at + second * columns_];
                case 1:
                    return plane.y[at + second];
                default:
                    return z_[at + second + ((edge >> 1U) & 1U) * columns_];
            }
        };
        const Case& found = cases()[inside];
        for (std::size_t n = 0; n < std::size_t{3} * found.triangles; n += 3) {
            made_.triangles.push_back({vertex(found.edges[n]), vertex(found.edges[n + 1]), vertex(found.edges[n + 2])});
        }
    }

    const Points& p_;
    const Bounds<T>& bounds_;
    std::atomic<std::uint64_t>& total_;
    std::size_t rows_;
    std::size_t columns_;
    std::array<Plane, 2> planes_;
    std::vector<std::uint32_t> z_;
    std::vector<std::uint64_t> region_;
    std::vector<volume::Span> spans_;
    Mesh made_;
    std::uint32_t next_ = 0;
    std::uint64_t counted_ = 0;
};

/// The slabs as one mesh. A left-handed affine turns triangles over: they are turned back.
Mesh join(std::vector<Mesh>& slabs, bool turn) {
    Mesh all;
    std::size_t vertices = 0;
    std::size_t triangles = 0;
    for (const Mesh& slab : slabs) {
        vertices += slab.vertices.size();
        triangles += slab.triangles.size();
    }
    all.vertices.reserve(vertices);
    all.triangles.reserve(triangles);
    for (Mesh& slab : slabs) {
        const auto first = static_cast<std::uint32_t>(all.vertices.size());
        all.vertices.insert(all.vertices.end(), slab.vertices.begin(), slab.vertices.end());
        for (const std::array<std::uint32_t, 3>& t : slab.triangles) {
            all.triangles.push_back({first + t[0], first + t[turn ? 2 : 1], first + t[turn ? 1 : 2]});
        }
        slab = {};
    }
    return all;
}

}  // namespace

Mesh isosurface(const BrickView& view, const Isosurface& wanted, unsigned threads) {
    if (!std::isfinite(wanted.threshold)) {
        throw Error(Errc::invalid_argument, "a threshold must be a finite number");
    }
    if (wanted.region != nullptr) {
        volume::check_region(view, *wanted.region);
    }
    const Points points(view, wanted);
    const std::uint32_t layers = points.size[2] - 1U;
    if (std::ranges::any_of(points.size, [](std::uint32_t n) { return n < 2; })) {
        return {};
    }
    if (std::uint64_t{points.size[0]} * points.size[1] > limits::kMaxRenderedPixels) {
        throw Error(Errc::limit_exceeded, "slices too large for a surface");
    }
    std::vector<Mesh> slabs((layers + kLayers - 1U) / kLayers);
    std::atomic<std::uint64_t> total{0};
    volume::with_type(view.type, [&]<typename T>() {
        const Bounds<T> bounds(wanted);
        parallel::for_each(slabs.size(), threads, [&](std::size_t n) {
            const std::uint32_t first = static_cast<std::uint32_t>(n) * kLayers;
            slabs[n] = Slab<T>(points, bounds, total).run(first, std::min(first + kLayers, layers));
        });
    });
    return join(slabs, volume::determinant(view.affine) < 0.0);
}

}  // namespace hilum::mesh
