// SPDX-License-Identifier: Apache-2.0
// HT cleanup pass of a code-block, to be decoded without loss (ISO/IEC 15444-15, 7.3).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace hilum::codec::j2k {
namespace ht {

/// One row of quads on its way: what the VLC coder needs to know of each, and what it adds.
struct QuadRow {
    static constexpr std::size_t kMost = 32 + 8;  ///< blocks are 64 wide at most

    std::array<std::uint32_t, kMost> info{};   ///< rho | eps << 4 | U << 8 | u << 16
    std::array<std::uint32_t, kMost> known{};  ///< e_k, of the codeword that was written
};

struct EncodeKernels {
    /// Exponents of two rows of `pairs` * 4 columns. `above` are those of the lower row of the quads above, or nullptr;
    /// `below` receives those of this one (QuadRow::kMost * 2 each, one guard of zero in front).
    void (*classify)(const std::int32_t* top, const std::int32_t* bottom, unsigned pairs, const std::uint8_t* above,
                     std::uint8_t* below, QuadRow& out) noexcept;
    /// Appends the bits of MagSgn at `bits` of `to`, returns where they end.
    std::size_t (*magsgn)(const std::int32_t* top, const std::int32_t* bottom, unsigned pairs, const QuadRow& row,
                          std::byte* to, std::size_t bits) noexcept;
};
extern const EncodeKernels kScalarEncodeKernels;
[[nodiscard]] const EncodeKernels& encode_kernels() noexcept;

}  // namespace ht

/// Buffers for one block at a time. One for each thread.
class HtBlockEncoder {
public:
    static constexpr unsigned kSide = 64;

    explicit HtBlockEncoder(const ht::EncodeKernels& kernels = ht::encode_kernels());

    /// The cleanup segment, valid up to the next call; empty where all coefficients are 0. Rows of `in` are readable,
    /// and zero, up to a multiple of four columns and of two rows. Magnitudes below 2^24.
    [[nodiscard]] std::span<const std::byte> encode(const std::int32_t* in, std::size_t stride, unsigned width,
                                                    unsigned height) noexcept;

private:
    struct Buffers;
    struct Free {
        void operator()(Buffers* buffers) const noexcept;
    };
    const ht::EncodeKernels& kernels_;
    std::unique_ptr<Buffers, Free> buffers_;
};

}  // namespace hilum::codec::j2k
