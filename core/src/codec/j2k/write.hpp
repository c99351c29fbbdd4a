// SPDX-License-Identifier: Apache-2.0
// An HTJ2K code stream without loss: main header, one tile in one tile-part, packets by resolution (RPCL), one layer,
// one precinct for each resolution (ISO/IEC 15444-1 Annexes A and B, 15444-15 Annex A).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hilum::codec::j2k {

/// Code-blocks of a subband, in rows of `across`; length 0: all zero.
struct CodedBand {
    std::uint32_t across = 0, down = 0;
    std::vector<std::uint32_t> lengths;
    std::vector<std::byte> bytes;  ///< one block after the other
};

struct CodedResolution {
    std::vector<CodedBand> bands;  ///< LL, or HL, LH, HH
};

struct CodedImage {
    std::uint32_t rows = 0, columns = 0;
    unsigned precision = 8;
    bool is_signed = false;
    bool colour_transform = false;
    unsigned levels = 0;
    std::vector<std::vector<CodedResolution>> components;  ///< component, resolution from the lowest
};

inline constexpr unsigned kGuardBits = 2;
inline constexpr unsigned kBlockExponent = 6;

/// Epsilon_b of a reversible subband (E-5): what its coefficients may need. `orientation`: 0 LL, 1 HL, 2 LH, 3 HH.
[[nodiscard]] unsigned exponent_of(const CodedImage& image, unsigned orientation) noexcept;

/// The bytes written. Throws buffer_too_small.
std::size_t write_code_stream(const CodedImage& image, std::span<std::byte> out);

}  // namespace hilum::codec::j2k
