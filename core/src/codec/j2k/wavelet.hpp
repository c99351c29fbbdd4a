// SPDX-License-Identifier: Apache-2.0
// Inverse wavelet transform (ISO/IEC 15444-1 Annex F), row by row: each level asks the one below for its rows, so that
// no level's image is ever held whole. Rows of the 9/7 filter are floats, of the 5/3 filter integers; the float
// operations are those of OpenJPEG in their order, so that results are the same to the bit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tile.hpp"

namespace hilum::codec::j2k {

/// F.3.8.2: delta, gamma, beta, alpha, negated, in the order of the inverse. The scale of high rows is 2 / K, see
/// make_tile().
inline constexpr std::array<float, 4> kLiftFactors{-0.443506852F, -0.882911075F, 0.052980118F, 1.586134342F};
inline constexpr float kLowScale = 1.230174105F;
inline constexpr float kHighScale = 1.625732422F;

/// Coefficients of a subband, int32 or float, see above. Rows are asked for in order; one is valid up to the next.
class RowSource {
public:
    virtual ~RowSource() = default;
    RowSource() = default;
    RowSource(const RowSource&) = delete;
    RowSource& operator=(const RowSource&) = delete;
    virtual const std::uint32_t* row(std::uint32_t index) = 0;
};

/// Kernels on one row or on rows of equal length. `parity`: 1 where the first sample is a high one.
struct WaveletKernels {
    /// out[i] of 5/3 out of a low and a high row; `scratch` holds (n + 1) / 2 + 2 samples.
    void (*horizontal53)(const std::int32_t* low, const std::int32_t* high, std::int32_t* out, std::int32_t* scratch,
                         std::uint32_t n, unsigned parity);
    void (*horizontal97)(const float* low, const float* high, float* out, float* scratch, std::uint32_t n,
                         unsigned parity, float scale);
    /// x -= (a + b + 2) >> 2
    void (*update53)(std::int32_t* x, const std::int32_t* a, const std::int32_t* b, std::uint32_t n);
    /// x += (a + b) >> 1
    void (*predict53)(std::int32_t* x, const std::int32_t* a, const std::int32_t* b, std::uint32_t n);
    /// x += (a + b) * c
    void (*lift97)(float* x, const float* a, const float* b, float c, std::uint32_t n);
};

[[nodiscard]] const WaveletKernels& wavelet_kernels() noexcept;

/// Rows or columns beside a sample that it depends on, at most: the 9/7 filter has four steps.
inline constexpr std::uint32_t kReach = 4;

/// One level of synthesis. Rows are asked for in order, each once.
class Synthesis {
public:
    virtual ~Synthesis() = default;
    Synthesis() = default;
    Synthesis(const Synthesis&) = delete;
    Synthesis& operator=(const Synthesis&) = delete;
    /// The next row; valid until the next call.
    virtual const std::uint32_t* next() = 0;
    /// Before the first next(): it begins with row `first`.
    virtual void skip_to(std::uint32_t first) = 0;
};

/// The image of resolution `resolution` of a tile-component. `bands[r][b]` are the coefficients.
[[nodiscard]] std::unique_ptr<Synthesis> make_synthesis(const TileComponent& component, unsigned resolution,
                                                        const std::vector<std::array<RowSource*, 3>>& bands);

}  // namespace hilum::codec::j2k
