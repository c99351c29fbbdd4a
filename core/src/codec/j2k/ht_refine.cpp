// SPDX-License-Identifier: Apache-2.0
// Refinement of HT code-blocks (ISO/IEC 15444-15, 7.4 and 7.5). Few encoders write these passes: plain code.
#include <algorithm>
#include <bit>
#include <vector>

#include "ht_block.hpp"
#include "ht_streams.hpp"

namespace hilum::codec::j2k::ht {
namespace {

/// Significance of stripes: four bits for each column, the top row lowest; 16 bits for four columns. A guard stripe
/// below, guard columns on the right.
class Significance {
public:
    Significance(const Buffers& b, const Grid& grid) : across_((grid.width + 3) / 4 + 2) {
        const unsigned stripes = (grid.height + 3) / 4;
        words_.resize(std::size_t{across_} * (stripes + 1));
        for (unsigned y = 0; y < grid.rows; ++y) {
            const std::uint32_t* const quads = b.quads.data() + std::size_t{y} * grid.quad_stride;
            std::uint16_t* const to = row(y / 2);
            for (unsigned i = 0; i < 2 * grid.pairs; ++i) {
                const unsigned rho = quads[i] >> 4U & 15U;
                const unsigned columns = (rho & 3U) | (rho & 12U) << 2U;
                to[i / 2] = static_cast<std::uint16_t>(to[i / 2] | columns << (8 * (i % 2) + 2 * (y % 2)));
            }
        }
    }
    [[nodiscard]] std::uint16_t* row(unsigned stripe) noexcept { return words_.data() + std::size_t{stripe} * across_; }
    /// Eight columns from word `at` on.
    [[nodiscard]] static std::uint32_t two(const std::uint16_t* at) noexcept {
        return at[0] | static_cast<std::uint32_t>(at[1]) << 16U;
    }
    [[nodiscard]] unsigned across() const noexcept { return across_; }

private:
    unsigned across_;
    std::vector<std::uint16_t> words_;
};

/// Plain bits that end with zeros for ever.
class Bits {
public:
    Bits(const std::vector<std::byte>& data, std::size_t bits) noexcept : data_(data), bits_(bits) {}
    unsigned next() noexcept {
        if (at_ >= bits_) {
            return 0;
        }
        const unsigned bit = static_cast<unsigned>(data_[at_ / 8]) >> (at_ % 8) & 1U;
        ++at_;
        return bit;
    }

private:
    const std::vector<std::byte>& data_;
    std::size_t bits_;
    std::size_t at_ = 0;
};

/// Samples of this block in a word of four columns.
unsigned inside(const Grid& grid, unsigned stripe, unsigned word) noexcept {
    const unsigned rows = std::min(4U, grid.height - 4 * stripe);
    const unsigned columns = std::min(4U, grid.width - 4 * word);
    return (0x1111U * ((1U << rows) - 1)) & ((1U << (4 * columns)) - 1);
}

/// Bits of a word of four columns in the order of the scan.
template <typename Visit>
void each(unsigned word, Visit visit) {
    for (; word != 0; word &= word - 1) {
        visit(static_cast<unsigned>(std::countr_zero(word)));
    }
}

void propagate(Buffers& b, const Grid& grid, const HtShape& shape, Significance& known, Bits bits) {
    /// What becomes a candidate when a sample of this row turns significant: itself, and what is behind it in the scan.
    constexpr std::array<std::uint32_t, 4> kBehind{0x32, 0x74, 0xE8, 0xC0};
    std::vector<std::uint16_t> above(known.across());
    const unsigned stripes = (grid.height + 3) / 4;
    for (unsigned stripe = 0; stripe < stripes; ++stripe) {
        const std::uint16_t* const row = known.row(stripe);
        const std::uint16_t* const below = known.row(stripe + 1);
        unsigned before = 0;  // the column to the left, in bits 12 to 15
        for (unsigned word = 0; word < (grid.width + 3) / 4; ++word) {
            const std::uint32_t own = Significance::two(row + word);
            std::uint32_t outside = (Significance::two(above.data() + word) & 0x88888888U) >> 3U;
            if (!shape.causal) {
                outside |= (Significance::two(below + word) & 0x11111111U) << 3U;
            }
            std::uint32_t near = own | (own & 0x77777777U) << 1U | (own & 0xEEEEEEEEU) >> 1U | outside;
            near |= near << 4U | near >> 4U | before >> 12U;
            const unsigned open = inside(grid, stripe, word) & ~own;
            unsigned candidates = near & open;
            unsigned found = 0;
            while (candidates != 0) {
                const auto at = static_cast<unsigned>(std::countr_zero(candidates));
                candidates &= candidates - 1;
                if (bits.next() != 0) {
                    found |= 1U << at;
                    candidates |= (kBehind[at % 4] << (at / 4 * 4)) & open & ~found;
                }
            }
            each(found, [&](unsigned at) {
                std::uint32_t& value = b.values[std::size_t{4 * stripe + at % 4} * grid.stride + 4 * word + at / 4];
                value = 3U << (shape.plane - 1) | bits.next() << 31U;
            });
            const unsigned now = (own & 0xFFFFU) | found;
            above[word] = static_cast<std::uint16_t>(now);
            before = (now | (now & 0x7777U) << 1U | (now & 0xEEEEU) >> 1U | outside) & 0xF000U;
        }
    }
}

void refine_magnitudes(Buffers& b, const Grid& grid, const HtShape& shape, Significance& known, Bits bits) {
    for (unsigned stripe = 0; stripe < (grid.height + 3) / 4; ++stripe) {
        for (unsigned word = 0; word < (grid.width + 3) / 4; ++word) {
            each(known.row(stripe)[word] & inside(grid, stripe, word), [&](unsigned at) {
                std::uint32_t& value = b.values[std::size_t{4 * stripe + at % 4} * grid.stride + 4 * word + at / 4];
                value ^= (bits.next() != 0 ? 1U : 3U) << (shape.plane - 1);
            });
        }
    }
}

}  // namespace

void refine(Buffers& b, const Grid& grid, const HtShape& shape, const HtSegments& segments) {
    Significance known(b, grid);
    const Bytes data = segments.refinement;
    std::vector<std::byte> plain(data.size() + 16);
    const std::size_t forward = unstuff_forward(data.data(), data.size(), plain.data(), 0);
    propagate(b, grid, shape, known, Bits(plain, forward));
    if (segments.passes > 2) {
        const std::size_t backward =
            unstuff_backward(data.data() + data.size(), data.size(), BitSink(plain.data()), true);
        refine_magnitudes(b, grid, shape, known, Bits(plain, backward));
    }
}

}  // namespace hilum::codec::j2k::ht
