// SPDX-License-Identifier: Apache-2.0
// Huffman coded coefficients of a DCT scan (ISO/IEC 10918-1 Annexes F and G).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hilum::codec::jpeg12 {

inline constexpr unsigned kLookBits = 9;

/// Codes of up to kLookBits by table, longer ones by their greatest value per length (F.2.2.3).
struct HuffmanTable {
    std::array<std::uint16_t, 1U << kLookBits> look{};  ///< length << 8 | symbol; 0: longer
    std::array<std::int32_t, 18> greatest{};            ///< MAXCODE; -1 where no code has the length
    std::array<std::int32_t, 17> first{};               ///< VALPTR - MINCODE
    std::array<std::uint8_t, 256> symbols{};
    bool defined = false;
};

/// BITS and HUFFVAL of a DHT segment. False when they cannot be.
[[nodiscard]] bool build(HuffmanTable& table, std::span<const std::uint8_t, 16> counts,
                         std::span<const std::uint8_t> symbols) noexcept;

/// Bits behind a scan header; FF00 is FF, any other marker ends them.
class BitReader {
public:
    BitReader(const std::byte* begin, const std::byte* end) noexcept : at_(begin), end_(end) {}

    [[nodiscard]] unsigned take(unsigned count) noexcept {  // 0 to 16
        if (count == 0) {
            return 0;
        }
        fill(count);
        valid_ -= count;
        return static_cast<unsigned>(window_ >> valid_) & ((1U << count) - 1U);
    }
    /// A symbol, or 256 for what is no code.
    [[nodiscard]] unsigned symbol(const HuffmanTable& table) noexcept;
    [[nodiscard]] bool overrun() const noexcept { return padding_ > valid_; }
    [[nodiscard]] const std::byte* position() const noexcept { return at_; }
    /// Forgets what is left of the last byte.
    void restart(const std::byte* at) noexcept {
        at_ = at;
        window_ = 0;
        valid_ = 0;
        padding_ = 0;
    }

private:
    void fill(unsigned count) noexcept {
        if (valid_ < count) {
            refill();
        }
    }
    void refill() noexcept;  ///< at least 16 bits are valid afterwards

    const std::byte* at_;
    const std::byte* end_;
    std::uint64_t window_ = 0;
    unsigned valid_ = 0;
    unsigned padding_ = 0;
};

/// One component: its quantisation and all of its coefficients, in zigzag order.
struct Component {
    unsigned id = 0;
    unsigned quantisation = 0;
    std::uint32_t blocks_across = 0;
    std::uint32_t blocks_down = 0;
    std::vector<std::int16_t> coefficients;
};

/// One scan (B.2.3).
struct Scan {
    struct Part {
        Component* component = nullptr;
        const HuffmanTable* dc = nullptr;
        const HuffmanTable* ac = nullptr;
    };
    std::array<Part, 4> parts{};
    unsigned count = 0;
    unsigned first = 0;  ///< Ss
    unsigned last = 63;  ///< Se
    unsigned high = 0;   ///< Ah
    unsigned low = 0;    ///< Al
    unsigned restart_interval = 0;
    bool progressive = false;
};

enum class Outcome : std::uint8_t { good, ended, damaged, no_restart };

/// Reads one scan from `reader` into the coefficients.
[[nodiscard]] Outcome read_scan(BitReader& reader, const std::byte* end, const Scan& scan) noexcept;

/// Dequantises and transforms one block in zigzag order to 8x8 samples of 12 bits.
void transform(const std::int16_t* block, const std::array<std::uint16_t, 64>& quantisation,
               std::array<std::uint16_t, 64>& samples) noexcept;

}  // namespace hilum::codec::jpeg12
