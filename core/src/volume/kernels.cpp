// SPDX-License-Identifier: Apache-2.0
#include "kernels.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "samples.hpp"

namespace hilum::volume {
namespace {

constexpr std::uint32_t kEdge = 1U << kBrickLog2;

/// The part of a slab below a brick.
struct Part {
    std::uint32_t first_row = 0;
    std::uint32_t first_column = 0;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
};

Part part_of(const Slab& slab, std::uint32_t by, std::uint32_t bx) noexcept {
    Part part{by * kEdge, bx * kEdge, 0, 0};
    part.rows = std::min(kEdge, slab.rows - part.first_row);
    part.columns = std::min(kEdge, slab.columns - part.first_column);
    return part;
}

template <typename T>
const T* row_of(const Slab& slab, std::uint32_t slice, std::uint32_t row) noexcept {
    return reinterpret_cast<const T*>(slab.data) + (std::size_t{slice} * slab.rows + row) * slab.columns;
}

/// The next float down or up where rounding went the other way.
template <typename T>
float round_down(T value) noexcept {
    const auto rounded = static_cast<float>(value);
    return static_cast<double>(rounded) > static_cast<double>(value)
               ? std::nextafter(rounded, -std::numeric_limits<float>::infinity())
               : rounded;
}

template <typename T>
float round_up(T value) noexcept {
    const auto rounded = static_cast<float>(value);
    return static_cast<double>(rounded) < static_cast<double>(value)
               ? std::nextafter(rounded, std::numeric_limits<float>::infinity())
               : rounded;
}

template <typename T>
struct Extremes {
    T least = std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
    T greatest =
        std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();

    void add(const T* values, std::size_t count) noexcept {
        T low = least;
        T high = greatest;
        for (std::size_t i = 0; i < count; ++i) {  // a comparison with NaN is false: NaN changes nothing
            low = values[i] < low ? values[i] : low;
            high = values[i] > high ? values[i] : high;
        }
        least = low;
        greatest = high;
    }
};

template <typename T>
bool all_are(const T* values, std::size_t count, T wanted) noexcept {
    return std::all_of(values, values + count,
                       [&](const T& value) { return std::memcmp(&value, &wanted, sizeof(T)) == 0; });
}

template <typename T>
Survey survey(const Slab& slab, const Part& part, T fill) noexcept {
    Extremes<T> extremes;
    for (std::uint32_t z = 0; z < slab.depth; ++z) {
        for (std::uint32_t y = 0; y < part.rows; ++y) {
            extremes.add(row_of<T>(slab, z, part.first_row + y) + part.first_column, part.columns);
        }
    }
    Survey found;
    found.range = {round_down(extremes.least), round_up(extremes.greatest)};
    if (extremes.greatest < extremes.least) {
        found.range = {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
    }
    found.is_fill = !(extremes.least < fill) && !(extremes.greatest > fill);
    for (std::uint32_t z = 0; found.is_fill && z < slab.depth; ++z) {
        for (std::uint32_t y = 0; found.is_fill && y < part.rows; ++y) {
            found.is_fill = all_are(row_of<T>(slab, z, part.first_row + y) + part.first_column, part.columns, fill);
        }
    }
    return found;
}

template <typename T>
void fill_with(const Slab& slab, const Part& part, T fill, T* brick) noexcept {
    if (slab.depth < kEdge || part.rows < kEdge || part.columns < kEdge) {
        std::fill_n(brick, std::size_t{kEdge} * kEdge * kEdge, fill);
    }
    for (std::uint32_t z = 0; z < slab.depth; ++z) {
        for (std::uint32_t y = 0; y < part.rows; ++y) {
            std::memcpy(brick + (std::size_t{z} * kEdge + y) * kEdge,
                        row_of<T>(slab, z, part.first_row + y) + part.first_column, part.columns * sizeof(T));
        }
    }
}

/// Mean of `count` (1, 2, 4 or 8) integers whose sum is given: to the nearest, halves up.
template <typename T>
T mean_of(std::int64_t sum, unsigned log2_count) noexcept {
    return static_cast<T>((sum + ((std::int64_t{1} << log2_count) >> 1)) >> log2_count);
}

/// Rows of the up to 2x2 that lie below a row of the next level.
struct Rows {
    std::array<const void*, 4> rows{};
    unsigned log2_count = 0;
};

Rows rows_below(const Slab& slab, std::uint32_t slice, std::uint32_t row, std::size_t sample) noexcept {
    Rows found;
    const std::uint32_t slices = std::min(2U, slab.depth - 2 * slice);
    const std::uint32_t rows = std::min(2U, slab.rows - 2 * row);
    std::size_t count = 0;
    for (std::uint32_t z = 0; z < slices; ++z) {
        for (std::uint32_t y = 0; y < rows; ++y) {
            found.rows[count++] =
                slab.data + ((std::size_t{2} * slice + z) * slab.rows + 2 * row + y) * slab.columns * sample;
        }
    }
    found.log2_count = (slices == 2 ? 1U : 0U) + (rows == 2 ? 1U : 0U);
    return found;
}

template <typename T>
void halve_integers(const Rows& below, std::uint32_t columns, T* out) noexcept {
    const std::size_t count = std::size_t{1} << below.log2_count;
    for (std::uint32_t x = 0; x < columns / 2; ++x) {
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const T* row = static_cast<const T*>(below.rows[i]) + 2 * std::size_t{x};
            sum += std::int64_t{row[0]} + std::int64_t{row[1]};
        }
        out[x] = mean_of<T>(sum, below.log2_count + 1);
    }
    if (columns % 2 != 0) {
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < count; ++i) {
            sum += static_cast<const T*>(below.rows[i])[columns - 1];
        }
        out[columns / 2] = mean_of<T>(sum, below.log2_count);
    }
}

template <typename T>
void halve_reals(const Rows& below, std::uint32_t columns, T* out) noexcept {
    const std::size_t count = std::size_t{1} << below.log2_count;
    for (std::uint32_t x = 0; x < columns; x += 2) {
        double sum = 0.0;
        unsigned numbers = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const T* row = static_cast<const T*>(below.rows[i]);
            for (std::uint32_t at = x; at < std::min(x + 2, columns); ++at) {
                if (!std::isnan(row[at])) {
                    sum += static_cast<double>(row[at]);
                    ++numbers;
                }
            }
        }
        out[x / 2] = numbers == 0 ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(sum / numbers);
    }
}

}  // namespace

Survey survey_brick(const Slab& slab, std::uint32_t by, std::uint32_t bx, double fill) noexcept {
    return with_type(slab.type,
                     [&]<typename T>() { return survey(slab, part_of(slab, by, bx), static_cast<T>(fill)); });
}

void fill_brick(const Slab& slab, std::uint32_t by, std::uint32_t bx, double fill, std::byte* brick) noexcept {
    with_type(slab.type, [&]<typename T>() {
        fill_with(slab, part_of(slab, by, bx), static_cast<T>(fill), reinterpret_cast<T*>(brick));
    });
}

void halve_row(const Slab& slab, std::uint32_t slice, std::uint32_t row, std::byte* out) noexcept {
    const Rows below = rows_below(slab, slice, row, bytes_of(slab.type));
    with_type(slab.type, [&]<typename T>() {
        if constexpr (std::is_floating_point_v<T>) {
            halve_reals(below, slab.columns, reinterpret_cast<T*>(out));
        } else {
            halve_integers(below, slab.columns, reinterpret_cast<T*>(out));
        }
    });
}

}  // namespace hilum::volume
