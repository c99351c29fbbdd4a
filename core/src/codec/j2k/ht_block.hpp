// SPDX-License-Identifier: Apache-2.0
// Tier 1 of high throughput JPEG 2000 (ISO/IEC 15444-15): the coefficients of one code-block out of its last HT set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "codestream.hpp"

namespace hilum::codec::j2k {

/// Bytes of a cleanup pass and of the refinement passes behind it.
struct HtSegments {
    Bytes cleanup, refinement;
    unsigned passes = 1;  ///< 1 cleanup, 2 and significance propagation, 3 and magnitude refinement
};

struct HtShape {
    /// A half unit, a sign, and one above in which damaged data ends, go with them into 32 bits.
    static constexpr unsigned kMostPlanes = 29;

    unsigned width = 0, height = 0;  ///< at most 4096 coefficients
    unsigned plane = 0;              ///< lowest bit-plane of the cleanup pass
    unsigned missing = 0;            ///< bit-planes above it; with `plane` less than kMostPlanes
    bool causal = false;
};

namespace ht {

/// Geometry of the buffers. One entry for each quad: what its VLC codeword says in the low half, u, then U (the
/// exponent bound), in the high half. Rows of `quad_stride` end with empty quads.
struct Grid {
    unsigned width = 0, height = 0;
    unsigned pairs = 0;  ///< of quads in a row
    unsigned rows = 0;   ///< of quads
    unsigned quad_stride = 0, stride = 0;
};

inline constexpr std::size_t kMostQuads = 4096 + 64;
inline constexpr std::size_t kMostMagSgnBytes = 17408;  ///< 4096 times 31 bits, stuffed
inline constexpr std::size_t kMostVlcBytes = 4096 + 2048;

struct Buffers {
    /// Sign and magnitude in half units, towards the middle of the interval that is known.
    alignas(64) std::array<std::uint32_t, 8192 + 64> values;
    alignas(64) std::array<std::uint32_t, kMostQuads> quads;
    alignas(32) std::array<std::uint32_t, 520 + 64> places;  ///< where in MagSgn the bits of each quad of a row begin
    /// 2 mu - 1 of the lower row of quads, one guard in front.
    std::array<std::uint32_t, 1024 + 64> lower;
    std::array<std::byte, kMostMagSgnBytes + 64> magsgn;
    std::array<std::byte, kMostVlcBytes> vlc;
};

struct MagSgnJob {
    Buffers& b;
    const Grid& grid;
    std::size_t bits = 0;  ///< in b.magsgn; ones follow
    unsigned plane = 0;
    unsigned most_exponent = 0;  ///< a greater U is damage
    /// Where coefficients go as they are wanted, or nullptr: half units into `b.values`.
    std::uint32_t* out = nullptr;
    std::size_t stride = 0;
    float step = 0;  ///< 0: integers
};

struct Kernels {
    /// MagSgn of the whole block; false where it is damaged.
    bool (*magsgn)(MagSgnJob& job) noexcept;
    /// `b.values` to job.out.
    void (*store)(const MagSgnJob& job) noexcept;
};
extern const Kernels kScalarKernels;
[[nodiscard]] const Kernels& kernels() noexcept;

/// Significance propagation and magnitude refinement, 7.4 and 7.5, on `values`.
void refine(Buffers& b, const Grid& grid, const HtShape& shape, const HtSegments& segments);

}  // namespace ht

class HtBlockDecoder;

struct HtBlock {
    HtShape shape;
    HtSegments segments;
    HtBlockDecoder* decoder = nullptr;  ///< whose buffers are used
    unsigned roi_shift = 0;             ///< what the region of interest lifted (15444-1 H.1)
    std::uint32_t* out = nullptr;       ///< `stride` between rows
    std::size_t stride = 0;
    float step = 0;  ///< of half a unit: floats come out; 0: integers, rounded to zero
};

/// Buffers for one block at a time; 80 KiB.
class HtBlockDecoder {
public:
    explicit HtBlockDecoder(const ht::Kernels& kernels = ht::kernels());

    /// False where the segments are damaged; `out` is undefined then. Two blocks of one width and height at once are
    /// faster.
    [[nodiscard]] static bool decode(const HtBlock& block);
    [[nodiscard]] static bool decode(const HtBlock& first, const HtBlock& second);

private:
    template <std::size_t kBlocks>
    static bool run(const std::array<HtBlock, kBlocks>& blocks);
    bool finish(const ht::Grid& grid, const HtBlock& block, std::size_t suffix);

    const ht::Kernels& kernels_;
    std::unique_ptr<ht::Buffers> buffers_;
};

}  // namespace hilum::codec::j2k
