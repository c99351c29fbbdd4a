// SPDX-License-Identifier: Apache-2.0
// Huffman decoding for JPEG lossless (ISO/IEC 10918-1 F.2.2.3, H.2): one table look-up gives a whole difference, code
// and magnitude bits together, for all but rare ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace hilum::codec {

/// Reads bits, highest first, from bytes without stuffing. Zeros follow the last byte; `overrun()` says whether they
/// were used.
class BitReader {
public:
    explicit BitReader(std::span<const std::byte> data) noexcept : at_(data.data()), end_(data.data() + data.size()) {}

    /// At least 56 bits are ready afterwards.
    void refill() noexcept {
        if (end_ - at_ >= 8) [[likely]] {
            std::uint64_t next = 0;
            std::memcpy(&next, at_, sizeof(next));
            bits_ |= __builtin_bswap64(next) >> count_;
            at_ += (63U - count_) >> 3U;
            count_ |= 56U;
            return;
        }
        while (count_ <= 56) {
            if (at_ < end_) {
                bits_ |= static_cast<std::uint64_t>(*at_++) << (56U - count_);
            } else {
                padding_ += 8;
            }
            count_ += 8;
        }
    }
    [[nodiscard]] std::uint32_t peek(unsigned count) const noexcept {
        return static_cast<std::uint32_t>(bits_ >> (64U - count));
    }
    void skip(unsigned count) noexcept {
        bits_ <<= count;
        count_ -= count;
    }
    [[nodiscard]] bool overrun() const noexcept { return padding_ > count_; }

private:
    const std::byte* at_;
    const std::byte* end_;
    std::uint64_t bits_ = 0;
    unsigned count_ = 0;
    std::uint64_t padding_ = 0;  ///< zero bits appended after the end
};

/// Difference categories 0-16 by code. Invalid codes decode as zero and are remembered in `bad`.
class DifferenceTable {
public:
    static constexpr unsigned kLookup = 13;

    /// From a DHT segment: how many codes of each length 1-16, and their categories. False when they are no Huffman
    /// code.
    [[nodiscard]] bool build(std::span<const std::byte, 16> counts, std::span<const std::byte> categories) noexcept;

    [[nodiscard]] bool empty() const noexcept { return codes_ == 0; }

    /// One difference (H.1.2.2), modulo 2^16. Needs 32 bits ready.
    [[nodiscard]] std::int32_t next(BitReader& reader, std::uint32_t& bad) const noexcept {
        const Entry entry = entries_[reader.peek(kLookup)];
        if (entry.kind == kWhole) [[likely]] {
            reader.skip(entry.length);
            return entry.value;
        }
        return next_long(reader, entry, bad);
    }

private:
    static constexpr std::uint8_t kWhole = 0;     ///< length covers code and magnitude, value is the difference
    static constexpr std::uint8_t kCategory = 1;  ///< length covers the code, value is the category
    static constexpr std::uint8_t kLong = 2;      ///< the code is longer than the look-up

    struct Entry {
        std::int16_t value;
        std::uint8_t length;
        std::uint8_t kind;
    };

    [[nodiscard]] std::int32_t next_long(BitReader& reader, Entry entry, std::uint32_t& bad) const noexcept;

    std::array<Entry, 1U << kLookup> entries_{};
    std::array<std::uint32_t, 18> limit_{};  ///< by code length: first 16-bit pattern that is longer
    std::array<std::int32_t, 17> first_{};   ///< by code length: index of its first category minus its first code
    std::array<std::uint8_t, 256> categories_{};
    unsigned codes_ = 0;
};

}  // namespace hilum::codec
