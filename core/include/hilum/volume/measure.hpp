// SPDX-License-Identifier: Apache-2.0
// Numbers out of a volume: statistics and histograms of regions, values along a line.
#pragma once

#include <cstdint>
#include <span>

#include "hilum/volume/brick_view.hpp"
#include "hilum/volume/region.hpp"

namespace hilum::volume {

/// Of stored values. Without any value: count 0, the others NaN.
struct Moments {
    std::uint64_t count = 0;
    std::uint64_t not_numbers = 0;  ///< voxels that are NaN; they count nowhere else
    double least = 0.0;
    double greatest = 0.0;
    double mean = 0.0;
    double squares = 0.0;  ///< sum of (value - mean)²
};

/// The same result for any number of threads (as for parallel::run). Errors: those of check_region.
[[nodiscard]] Moments measure(const BrickView& view, const Region& region, unsigned threads);

/// Counts of the values stored * slope + intercept between edges: count n is of edges[n] <= value < edges[n + 1], the
/// last one includes its upper edge. Errors: those of check_region; invalid_argument unless `edges` are finite,
/// ascending and one more than `counts`.
void histogram(const BrickView& view, const Region& region, double slope, double intercept,
               std::span<const double> edges, std::span<std::uint64_t> counts, unsigned threads);

/// Stored values at start + n * step (mm), of the nearest voxel or linear between eight. A point is inside up to half a
/// voxel beyond the outermost centres, where the outermost values count; NaN outside. Errors: invalid_argument for
/// numbers that are not finite.
void sample_line(const BrickView& view, const Point& start, const Point& step, bool linear, std::span<double> out);

}  // namespace hilum::volume
