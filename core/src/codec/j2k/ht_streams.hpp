// SPDX-License-Identifier: Apache-2.0
// The three bit streams of an HT cleanup segment and the two of its refinement (ISO/IEC 15444-15, 7.1): stuffing bits
// are taken out up front, so that everything behind reads plain bits, lowest first, at any position.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ht_tables.hpp"

namespace hilum::codec::j2k::ht {

static_assert(std::endian::native == std::endian::little);

[[nodiscard]] inline std::uint64_t load64(const std::byte* at) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof(word));
    return word;
}

/// Writes bits one after the other, lowest first.
class BitSink {
public:
    explicit BitSink(std::byte* out) noexcept : start_(out), at_(out) {}

    void add64(std::uint64_t word) noexcept {
        put(pending_ | word << held_);
        pending_ = word >> 1U >> (63 - held_);
    }
    /// At most eight bits.
    void add(std::uint64_t value, unsigned bits) noexcept {
        pending_ |= value << held_;
        held_ += bits;
        if (held_ >= 64) {
            put(pending_);
            held_ -= 64;
            pending_ = value >> (bits - held_);
        }
    }
    /// Ends with the bits of `fill`; returns how many bits came before those.
    std::size_t finish(std::uint64_t fill) noexcept {
        const std::size_t bits = 8 * static_cast<std::size_t>(at_ - start_) + held_;
        put(pending_ | fill << held_);
        return bits;
    }

private:
    void put(std::uint64_t word) noexcept {
        std::memcpy(at_, &word, sizeof(word));
        at_ += sizeof(word);
    }

    std::byte* start_;
    std::byte* at_;
    std::uint64_t pending_ = 0;
    unsigned held_ = 0;
};

inline constexpr std::uint64_t kHighBits = 0x8080808080808080ULL;
inline constexpr std::uint64_t kLowBits = ~kHighBits;
inline constexpr std::uint64_t kOnes = 0x0101010101010101ULL;

/// MagSgn and SigProp: the highest bit behind a byte of FF is stuffing. Writes `bytes` and eight more at most, returns
/// the number of bits.
inline std::size_t unstuff_forward(const std::byte* from, std::size_t bytes, std::byte* out,
                                   std::uint64_t fill) noexcept {
    BitSink sink(out);
    std::uint64_t after_ff = 0;  // the highest bit of a byte, or nothing
    const auto one = [&](unsigned value) {
        sink.add(after_ff != 0 ? value & 0x7FU : value, after_ff != 0 ? 7 : 8);
        after_ff = value == 0xFF ? 0x80 : 0;
    };
    for (; bytes >= 8; bytes -= 8, from += 8) {
        const std::uint64_t word = load64(from);
        const std::uint64_t ff = ((word & kLowBits) + kOnes) & word & kHighBits;
        if ((ff << 8U | after_ff) == 0) {
            sink.add64(word);
            after_ff = ff >> 56U;
            continue;
        }
        for (unsigned i = 0; i < 64; i += 8) {
            one(static_cast<unsigned>(word >> i & 0xFFU));
        }
    }
    for (; bytes > 0; --bytes) {
        one(static_cast<unsigned>(*from++));
    }
    return sink.finish(fill);
}

/// VLC and MagRef, which grow towards lower addresses from `end`: a byte whose low seven bits are ones loses its
/// highest bit behind one above 8F. `sink` may hold bits already, `above` says whether the byte before was above 8F.
inline std::size_t unstuff_backward(const std::byte* end, std::size_t bytes, BitSink sink, bool above) noexcept {
    std::uint64_t greater = above ? 0x80 : 0;
    const auto one = [&](unsigned value) {
        const bool stuffed = greater != 0 && (value & 0x7FU) == 0x7F;
        sink.add(stuffed ? value & 0x7FU : value, stuffed ? 7 : 8);
        greater = value > 0x8F ? 0x80 : 0;
    };
    for (; bytes >= 8; bytes -= 8) {
        end -= 8;
        const std::uint64_t word = __builtin_bswap64(load64(end));
        const std::uint64_t ones = ((word & kLowBits) + kOnes) & kHighBits;
        const std::uint64_t over = word & (word << 1U | word << 2U | word << 3U) & kHighBits;
        if (((over << 8U | greater) & ones) == 0) {
            sink.add64(word);
            greater = over >> 56U;
            continue;
        }
        for (unsigned i = 0; i < 64; i += 8) {
            one(static_cast<unsigned>(word >> i & 0xFFU));
        }
    }
    for (; bytes > 0; --bytes) {
        one(static_cast<unsigned>(*--end));
    }
    return sink.finish(0);
}

/// Bits one after the other, lowest first, up to 56 at once, from bit `at` of `to` on.
class BitWriter {
public:
    explicit BitWriter(std::byte* to, std::size_t at = 0) noexcept
        : start_(to), at_(to + at / 8), count_(static_cast<unsigned>(at % 8)) {
        held_ = count_ == 0 ? 0 : static_cast<std::uint64_t>(*at_) & ((1U << count_) - 1);
    }

    void add(std::uint64_t bits, unsigned count) noexcept {
        held_ |= bits << count_;
        std::memcpy(at_, &held_, sizeof(held_));
        count_ += count;
        at_ += count_ >> 3U;
        held_ >>= count_ & ~7U;
        count_ &= 7U;
    }
    /// Zeros behind them may be read. The number of bits.
    std::size_t finish() noexcept {
        const std::array<std::uint64_t, 2> end{held_, 0};
        std::memcpy(at_, end.data(), sizeof(end));
        return 8 * static_cast<std::size_t>(at_ - start_) + count_;
    }

private:
    std::byte* start_;
    std::byte* at_;
    std::uint64_t held_ = 0;
    unsigned count_;
};

/// Adaptive run lengths, 7.1.3: how many events of 0 come before one of 1.
class Mel {
public:
    /// From the first byte of the suffix up to its last but one, whose low four bits belong to its length.
    Mel(const std::byte* from, std::size_t bytes) noexcept : at_(from), left_(bytes) {}

    /// The next event.
    [[nodiscard]] bool event() noexcept {
        if (run_ == 0 && !one_) {
            next_run();
        }
        if (run_ > 0) {
            --run_;
            return false;
        }
        one_ = false;
        return true;
    }

private:
    [[gnu::noinline]] void next_run() noexcept {
        if (held_ < 6) {
            fill();
        }
        const unsigned exponent = kMelExponent[state_];
        if (bits_ >> 63U != 0) {
            run_ = 1U << exponent;
            state_ = std::min(state_ + 1, 12U);
            bits_ <<= 1U;
            held_ -= 1;
            return;
        }
        run_ = static_cast<unsigned>(bits_ >> (63 - exponent));
        one_ = true;
        state_ = state_ == 0 ? 0 : state_ - 1;
        bits_ <<= exponent + 1;
        held_ -= exponent + 1;
    }
    void fill() noexcept {
        while (held_ <= 56) {
            unsigned value = 0xFF;  // behind the end
            if (left_ > 0) {
                value = static_cast<unsigned>(*at_++) | (left_ == 1 ? 0xFU : 0U);
                --left_;
            }
            const unsigned count = stuffed_ ? 7 : 8;
            bits_ |= static_cast<std::uint64_t>(stuffed_ ? value & 0x7FU : value) << (64 - count - held_);
            held_ += count;
            stuffed_ = value == 0xFF;
        }
    }

    const std::byte* at_;
    std::size_t left_;
    std::uint64_t bits_ = 0;
    unsigned held_ = 0, state_ = 0, run_ = 0;
    bool stuffed_ = false, one_ = false;
};

}  // namespace hilum::codec::j2k::ht
