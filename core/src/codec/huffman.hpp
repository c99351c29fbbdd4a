// SPDX-License-Identifier: Apache-2.0
// Huffman decoding for JPEG lossless (ISO/IEC 10918-1 F.2.2.3, H.2): one table look-up gives one or two whole
// differences, code and magnitude bits together, for all but rare ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
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
    static constexpr unsigned kLookup = 12;

    /// From a DHT segment: how many codes of each length 1-16, and their categories. False when they are no Huffman
    /// code.
    [[nodiscard]] bool build(std::span<const std::byte, 16> counts, std::span<const std::byte> categories);

    [[nodiscard]] bool empty() const noexcept { return codes_ == 0; }

    /// One difference (H.1.2.2), modulo 2^16.
    [[nodiscard]] std::int16_t next(BitReader& reader, std::uint32_t& bad) const noexcept {
        reader.refill();
        const Entry entry = entries_[reader.peek(kLookup)];
        if (entry.count != 0) [[likely]] {
            reader.skip(entry.first_length);
            return entry.first;
        }
        return next_long(reader, entry, bad);
    }

    /// `count` differences, of this table alone. Whatever a look-up gives, one or two, both are written and the
    /// position moves by how many there were: no branch depends on the data but for rare long codes.
    void run(BitReader& reader, std::int16_t* out, std::size_t count, std::uint32_t& bad) const noexcept {
        constexpr unsigned kSteps = 56 / kLookup;
        BitReader local = reader;
        std::size_t x = 0;
        while (x + 2 * kSteps <= count) {
            local.refill();
            for (unsigned step = 0; step < kSteps; ++step) {
                const Entry entry = entries_[local.peek(kLookup)];
                if (entry.count == 0) [[unlikely]] {
                    local.refill();
                    out[x++] = next_long(local, entry, bad);
                    break;
                }
                std::memcpy(out + x, &entry.first, 2 * sizeof(std::int16_t));
                x += entry.count;
                local.skip(entry.length);
            }
        }
        for (; x < count; ++x) {
            out[x] = next(local, bad);
        }
        reader = local;
    }

private:
    static constexpr std::uint8_t kCategory = 1;  ///< first_length covers the code, `first` is the category
    static constexpr std::uint8_t kLong = 2;      ///< the code is longer than the look-up

    /// What begins with the bits that are looked up: two whole differences, one, or (count 0) something longer.
    struct Entry {
        std::uint8_t length;  ///< of all of it
        std::uint8_t count;
        std::int16_t first;
        std::int16_t second;
        std::uint8_t first_length;
        std::uint8_t kind;
    };

    [[nodiscard]] std::int16_t next_long(BitReader& reader, Entry entry, std::uint32_t& bad) const noexcept;
    void join_pairs() noexcept;

    std::unique_ptr<std::array<Entry, 1U << kLookup>> owned_;
    Entry* entries_ = nullptr;
    std::array<std::uint32_t, 18> limit_{};  ///< by code length: first 16-bit pattern that is longer
    std::array<std::int32_t, 17> first_{};   ///< by code length: index of its first category minus its first code
    std::array<std::uint8_t, 256> categories_{};
    unsigned codes_ = 0;
};

}  // namespace hilum::codec
