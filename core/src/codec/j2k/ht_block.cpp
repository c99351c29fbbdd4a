// SPDX-License-Identifier: Apache-2.0
#include "ht_block.hpp"

#include <algorithm>
#include <utility>

#include "ht_streams.hpp"

namespace hilum::codec::j2k {
namespace ht {
namespace {

constexpr unsigned kSegmentMost = 65534;  // bytes of a cleanup segment
constexpr unsigned kSuffixMost = 4079;    // bytes of MEL and VLC

Grid grid_of(unsigned width, unsigned height) noexcept {
    Grid grid;
    grid.width = width;
    grid.height = height;
    grid.pairs = (width + 3) / 4;
    grid.rows = (height + 1) / 2;
    grid.quad_stride = (2 * grid.pairs + 1 + 7) / 8 * 8;
    grid.stride = (width + 7) / 8 * 8;
    return grid;
}

/// Bits of VLC, lowest first, at least 56 of them after fill().
class VlcBits {
public:
    explicit VlcBits(const std::byte* from) noexcept : start_(from), at_(from) {}

    void fill() noexcept {
        bits_ |= load64(at_) << held_;
        at_ += (63 - held_) >> 3U;
        held_ |= 56;
    }
    [[nodiscard]] unsigned peek(unsigned mask) const noexcept { return static_cast<unsigned>(bits_) & mask; }
    void skip(unsigned count) noexcept {
        bits_ >>= count;
        held_ -= count;
    }
    [[nodiscard]] std::size_t taken() const noexcept { return 8 * static_cast<std::size_t>(at_ - start_) - held_; }

private:
    const std::byte* start_;
    const std::byte* at_;
    std::uint64_t bits_ = 0;
    unsigned held_ = 0;
};

/// Significance, exponent patterns and u of the quads of one block (7.3.5, 7.3.6) with the contexts of 7.3.4.
struct QuadReader {
    VlcBits bits;
    Mel mel;
    std::size_t available;  ///< bits of VLC
    std::uint32_t* row;
    unsigned context = 0;

    /// A pair of the first row.
    void first(unsigned pair, bool both) noexcept {
        bits.fill();
        const unsigned left = quad(kVlcFirst);
        context = (left & 0x10U) << 3U | (left & 0xE0U) << 2U;
        const unsigned right = both ? quad(kVlcFirst) : 0;
        context = (right & 0x10U) << 3U | (right & 0xE0U) << 2U;
        unsigned mode = (left & 8U) << 3U | (right & 8U) << 4U;
        if (mode == 0xC0 && mel.event()) {
            mode = 0x100;
        }
        store(kUFirst[mode | bits.peek(63)], 1, row + std::size_t{2} * pair, left, right);
    }

    /// A pair of another row; `above` are the quads there.
    void other(unsigned pair, const std::uint32_t* above, bool both) noexcept {
        const std::uint32_t* const a = above + std::size_t{2} * pair;
        bits.fill();
        context |= (a[0] & 0xA0U) << 2U | (a[1] & 0x20U) << 4U;
        const unsigned left = quad(kVlcOther);
        context =
            (left & 0x40U) << 2U | (left & 0x80U) << 1U | (a[0] & 0x80U) | (a[1] & 0xA0U) << 2U | (a[2] & 0x20U) << 4U;
        const unsigned right = both ? quad(kVlcOther) : 0;
        context = (right & 0x40U) << 2U | (right & 0x80U) << 1U | (a[1] & 0x80U);
        const unsigned mode = (left & 8U) << 3U | (right & 8U) << 4U;
        store(kUOther[mode | bits.peek(63)], 0, row + std::size_t{2} * pair, left, right);
    }

    void end_row(const Grid& grid) noexcept {
        std::fill(row + std::size_t{2} * grid.pairs, row + grid.quad_stride, 0U);
        row += grid.quad_stride;
        context = 0;
    }
    [[nodiscard]] bool good() const noexcept { return bits.taken() <= available; }

private:
    /// Where the context is empty, an event says whether the quad is.
    [[gnu::always_inline]] unsigned quad(const std::array<std::uint16_t, 1024>& table) noexcept {
        unsigned found = table[context | bits.peek(127)];
        if (context == 0 && !mel.event()) {
            found = 0;
        }
        bits.skip(found & 7U);
        return found;
    }
    [[gnu::always_inline]] void store(unsigned entry, unsigned base, std::uint32_t* quads, unsigned left,
                                      unsigned right) noexcept {
        bits.skip(entry & 7U);
        const unsigned both = entry >> 3U & 15U;
        const unsigned suffix = bits.peek((1U << both) - 1);
        bits.skip(both);
        const unsigned length = entry >> 7U & 7U;
        quads[0] = left | (base + (entry >> 10U & 7U) + (suffix & ((1U << length) - 1))) << 16U;
        quads[1] = right | (base + (entry >> 13U) + (suffix >> length)) << 16U;
    }
};

/// All quads of blocks of one size, in step: each waits for its own tables, not for the other's.
template <std::size_t kBlocks>
bool read_quads(const Grid& grid, std::array<QuadReader, kBlocks> readers) noexcept {
    const unsigned whole = (grid.width + 1) / 4;  // pairs of two quads
    for (unsigned pair = 0; pair < grid.pairs; ++pair) {
        for (QuadReader& reader : readers) {
            reader.first(pair, pair < whole);
        }
    }
    for (unsigned y = 1; y < grid.rows; ++y) {
        for (QuadReader& reader : readers) {
            reader.end_row(grid);
            if (!reader.good()) {
                return false;
            }
        }
        for (unsigned pair = 0; pair < grid.pairs; ++pair) {
            for (QuadReader& reader : readers) {
                reader.other(pair, reader.row - grid.quad_stride, pair < whole);
            }
        }
    }
    bool good = true;
    for (QuadReader& reader : readers) {
        reader.end_row(grid);
        good = good && reader.good();
    }
    return good;
}

void undo_roi(Buffers& b, const Grid& grid, unsigned shift) noexcept {
    constexpr std::uint32_t kSign = 0x80000000U;
    for (std::uint32_t& value : std::span(b.values).first(std::size_t{grid.stride} * grid.height)) {
        const std::uint32_t magnitude = value & ~kSign;
        if (shift >= 30) {
            value = 0;
        } else if (magnitude >= std::uint32_t{2} << shift) {
            value = (value & kSign) | magnitude >> shift;
        }
    }
}

/// Takes the stuffing out of VLC; false where the lengths of the streams are not possible.
bool open(Buffers& b, Bytes cleanup, std::size_t& suffix, std::size_t& vlc_bits) noexcept {
    const std::byte* const data = cleanup.data();
    const std::size_t length = cleanup.size();
    if (length < 2 || length > kSegmentMost) {
        return false;
    }
    const auto before_last = static_cast<unsigned>(data[length - 2]);
    suffix = static_cast<std::size_t>(data[length - 1]) << 4U | (before_last & 15U);
    if (suffix < 2 || suffix > length || suffix > kSuffixMost) {
        return false;
    }
    BitSink vlc(b.vlc.data());
    const unsigned top = before_last >> 4U;
    const bool short_top = (top & 7U) == 7;
    vlc.add(short_top ? 7U : top, short_top ? 3 : 4);
    vlc_bits = unstuff_backward(data + length - 2, suffix - 2, vlc, (before_last | 15U) > 0x8F);
    return true;
}

}  // namespace
}  // namespace ht

HtBlockDecoder::HtBlockDecoder(const ht::Kernels& kernels)
    : kernels_(kernels), buffers_(std::make_unique<ht::Buffers>()) {}

template <std::size_t kBlocks>
bool HtBlockDecoder::run(const std::array<HtBlock, kBlocks>& blocks) {
    return [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
        const HtShape& size = blocks[0].shape;
        const ht::Grid grid = ht::grid_of(size.width, size.height);
        std::array<std::size_t, kBlocks> suffix{};
        std::array<std::size_t, kBlocks> bits{};
        const auto reader = [&](std::size_t i) {
            const Bytes data = blocks[i].segments.cleanup;
            ht::Buffers& b = *blocks[i].decoder->buffers_;
            const std::byte* const from = data.data() + data.size() - suffix[i];
            return ht::QuadReader{ht::VlcBits(b.vlc.data()), ht::Mel(from, suffix[i] - 1), bits[i], b.quads.data()};
        };
        const auto opened = [&](std::size_t i) {
            return ht::open(*blocks[i].decoder->buffers_, blocks[i].segments.cleanup, suffix[i], bits[i]);
        };
        return (opened(kIndex) && ...) &&
               ht::read_quads(grid, std::array<ht::QuadReader, kBlocks>{reader(kIndex)...}) &&
               (blocks[kIndex].decoder->finish(grid, blocks[kIndex], suffix[kIndex]) && ...);
    }(std::make_index_sequence<kBlocks>());
}

bool HtBlockDecoder::decode(const HtBlock& block) {
    return run(std::array{block});
}

bool HtBlockDecoder::decode(const HtBlock& first, const HtBlock& second) {
    return run(std::array{first, second});
}

bool HtBlockDecoder::finish(const ht::Grid& grid, const HtBlock& block, std::size_t suffix) {
    ht::Buffers& b = *buffers_;
    const Bytes data = block.segments.cleanup;
    const std::size_t used = std::min(data.size() - suffix, ht::kMostMagSgnBytes);
    const bool refined = block.segments.passes > 1 && block.shape.plane > 0;
    const bool direct = !refined && block.roi_shift == 0 && grid.width % 4 == 0;  // whole pairs of quads
    ht::MagSgnJob job{
        b, grid, 0, block.shape.plane, block.shape.missing + 2, direct ? block.out : nullptr, block.stride, block.step};
    job.bits = ht::unstuff_forward(data.data(), used, b.magsgn.data(), ~std::uint64_t{0});
    if (!kernels_.magsgn(job)) {
        return false;
    }
    if (direct) {
        return true;
    }
    if (refined) {
        ht::refine(b, grid, block.shape, block.segments);
    }
    if (block.roi_shift != 0) {
        ht::undo_roi(b, grid, block.roi_shift);
    }
    job.out = block.out;
    kernels_.store(job);
    return true;
}

}  // namespace hilum::codec::j2k
