// SPDX-License-Identifier: Apache-2.0
// Rays: blocks of eight samples to one value.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "rays.hpp"
#include "sample.hpp"

namespace hilum::render::kernels {

/// Sums of up to 16 bits are exact: in 16ths, at most limits::kMaxRaySamples of them.
inline constexpr float kSumScale = 16.0F;

/// The extreme of the samples in `blocks`, which are sorted so that the first can hold the most extreme value; a block
/// that cannot change the result ends the search. NaN if there is no sample that is a number.
template <typename T, bool Maximum>
double extreme(const Sampler<T>& sampler, const Track& track, std::span<const Block> blocks,
               Interpolation interpolation, bool skip) noexcept {
    using Value = Real<T>;
    constexpr Value kWorst = Maximum ? -std::numeric_limits<Value>::infinity() : std::numeric_limits<Value>::infinity();
    Value found = kWorst;
    for (const Block& block : blocks) {
        if (skip && (Maximum ? static_cast<double>(found) >= static_cast<double>(block.greatest)
                             : static_cast<double>(found) <= static_cast<double>(block.least))) {
            break;
        }
        const std::int64_t end = std::min(track.last, block.index * 8 + 8);
        for (std::int64_t k = std::max(track.first, block.index * 8); k < end; ++k) {
            const Position p = track.at(k);
            const Value value = interpolation == Interpolation::nearest  ? sampler.nearest(p)
                                : interpolation == Interpolation::linear ? sampler.linear(p)
                                                                         : sampler.cubic(p);
            if (Maximum ? value > found : value < found) {
                found = value;
            }
        }
    }
    return found == kWorst ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(found);
}

/// The mean of all samples that are numbers, NaN if none is; `blocks` ascending.
template <typename T>
double mean(const Sampler<T>& sampler, const Track& track, std::span<const Block> blocks,
            Interpolation interpolation) noexcept {
    double sum = 0.0;
    std::int64_t count = 0;
    for (const Block& block : blocks) {
        const std::int64_t end = std::min(track.last, block.index * 8 + 8);
        for (std::int64_t k = std::max(track.first, block.index * 8); k < end; ++k) {
            const Position p = track.at(k);
            const Real<T> value = interpolation == Interpolation::nearest  ? sampler.nearest(p)
                                  : interpolation == Interpolation::linear ? sampler.linear(p)
                                                                           : sampler.cubic(p);
            if constexpr (kIsSmall<T>) {
                sum += static_cast<double>(std::nearbyint(value * kSumScale));
                ++count;
            } else if (std::isfinite(value)) {
                sum += value;
                ++count;
            }
        }
    }
    if (count == 0) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    return sum / static_cast<double>(count) / (kIsSmall<T> ? double{kSumScale} : 1.0);
}

/// The same for all rays of a tile of linear samples, where uses_vectors() says so. `values`: one for each ray.
template <typename T>
void extremes_8(const Grid& grid, const CellGrid& cells, const Tile& tile, bool maximum, bool skip,
                std::span<double, kTileRays> values) noexcept;
template <typename T>
void means_8(const Grid& grid, const Tile& tile, std::span<double, kTileRays> values) noexcept;

}  // namespace hilum::render::kernels
