// SPDX-License-Identifier: Apache-2.0
// Tier 1 (ISO/IEC 15444-1 Annex D): the coefficients of one code-block out of its codeword segments.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "block_passes.hpp"
#include "codestream.hpp"

namespace hilum::codec::j2k {

struct BlockShape {
    unsigned width = 0, height = 0;
    unsigned orientation = 0;  ///< of the subband: 0 LL, 1 HL, 2 LH, 3 HH
    unsigned style = 0;
    unsigned planes = 0;  ///< magnitude bit-planes that are coded, 1 to 30
};

/// Buffers for one block at a time; 160 KiB. One for each thread.
class BlockDecoder {
public:
    explicit BlockDecoder(RunPasses run_passes = best_passes());

    void decode(const BlockShape& shape, std::span<const Segment> segments) noexcept;

    /// Moves down what the region of interest lifted (H.1), before the values are taken.
    void undo_roi(unsigned shift) noexcept;

    /// The block just decoded, in half units towards the middle of the interval that is known, with sign; integers are
    /// rounded to zero.
    void store_integers(std::int32_t* out, std::size_t stride) const noexcept;
    void store_scaled(float* out, std::size_t stride, float step) const noexcept;

    /// Column stripes of four rows, 16 columns (64 coefficients) in a word; guards of one all round.
    static constexpr unsigned kMostWords = 1024 / 16;
    static constexpr unsigned kMostStripes = 1024 / 4;

private:
    void clear() noexcept;

    struct Buffers {
        /// Sign and magnitude in half units; [stripe][word][column of 16][row of 4].
        alignas(64) std::array<std::uint32_t, 16384> values;
        /// For each column of a stripe: significance of the 3 x 6 neighbourhood in bits 0 to 17, its signs in 32 to 49.
        std::array<std::uint64_t, 3200> flags;
        std::array<std::uint64_t, 1024> significant, visited, refined;
    };
    RunPasses run_passes_;
    std::unique_ptr<Buffers> buffers_;
    std::array<MqState, 19> contexts_{};
    unsigned width_ = 0, height_ = 0, words_ = 0, stripes_ = 0;
};

}  // namespace hilum::codec::j2k
