// SPDX-License-Identifier: Apache-2.0
// Rows of one sample a pixel.
#pragma once

#include <cstdint>

#include "sample.hpp"

namespace hilum::render::kernels {

template <typename T>
void fill_row(std::byte* out, std::size_t count, T value) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        std::memcpy(out + i * sizeof(T), &value, sizeof(T));
    }
}

/// Writes the samples of `track` that are inside; sample k to the k-th pixel of `out`.
template <typename T>
void any_row(const Grid& grid, const Track& track, Interpolation interpolation, std::byte* out) noexcept {
    const Sampler<T> sampler(grid);
    for (std::int64_t k = track.first; k < track.last; ++k) {
        const Position p = track.at(k);
        const Real<T> value = interpolation == Interpolation::nearest  ? sampler.nearest(p)
                              : interpolation == Interpolation::linear ? sampler.linear(p)
                                                                       : sampler.cubic(p);
        const T stored = to_stored<T>(static_cast<double>(value));
        std::memcpy(out + static_cast<std::size_t>(k) * sizeof(T), &stored, sizeof(T));
    }
}

/// The same for linear interpolation, with vectors: where uses_vectors() says so. The memory is asked
/// for the voxels of `later`, a row that is to follow.
template <typename T>
void linear_row(const Grid& grid, const Track& track, const Track& later, std::byte* out) noexcept;

}  // namespace hilum::render::kernels
