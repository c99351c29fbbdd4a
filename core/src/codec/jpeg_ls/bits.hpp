// SPDX-License-Identifier: Apache-2.0
// Bits of a JPEG-LS scan: behind a byte FF the next byte has seven (ISO/IEC 14495-1 9.1); a marker ends the data.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hilum::codec::jpeg_ls {

/// What the inner loop keeps in registers, hence copied and never passed by address to what is not inlined.
struct Bits {
    std::uint64_t window = 0;  ///< next bit at the top; what is below `valid` may already hold the bits that follow
    unsigned valid = 0;
    const unsigned char* at = nullptr;
    const unsigned char* ff = nullptr;  ///< the next byte FF, or the end
};

class Source {
public:
    Source(const unsigned char* begin, const unsigned char* end) noexcept : end_(end) {
        start.at = begin;
        start.ff = next_ff(begin);
    }

    /// Byte by byte: near bytes FF and at the end, behind which bits are zero and counted as padding.
    [[nodiscard, gnu::noinline]] Bits refill_slowly(Bits bits) noexcept {
        while (bits.valid < 56) {
            if (bits.at >= end_ || (*bits.at == 0xFF && (bits.at + 1 >= end_ || bits.at[1] >= 0x80))) {
                padding_ += padding_ < 4096 ? 8 : 0;  // then overrun() stays true: `valid` never reaches as many
                bits.valid += 8;
                continue;
            }
            const std::uint64_t byte = *bits.at++;
            const unsigned width = behind_ff_ ? 7 : 8;
            bits.window |= (byte << (64U - width)) >> bits.valid;
            bits.valid += width;
            behind_ff_ = byte == 0xFF;
            if (!behind_ff_ && bits.at > bits.ff) {
                bits.ff = next_ff(bits.at);
            }
        }
        return bits;
    }

    [[nodiscard]] bool overrun(const Bits& bits) const noexcept { return padding_ > bits.valid; }

    Bits start;
    bool damaged = false;  ///< a code that cannot be was met

private:
    [[nodiscard]] const unsigned char* next_ff(const unsigned char* from) const noexcept {
        const auto* found = from < end_ ? std::memchr(from, 0xFF, static_cast<std::size_t>(end_ - from)) : nullptr;
        return found != nullptr ? static_cast<const unsigned char*>(found) : end_;
    }

    const unsigned char* end_;
    unsigned padding_ = 0;
    bool behind_ff_ = false;
};

/// At least 56 bits are valid afterwards.
[[gnu::always_inline]] inline void refill(Bits& bits, Source& source) noexcept {
    if (bits.ff - bits.at >= 8) [[likely]] {
        std::uint64_t next = 0;
        std::memcpy(&next, bits.at, 8);
        if constexpr (std::endian::native == std::endian::little) {
            next = __builtin_bswap64(next);
        }
        bits.window |= next >> bits.valid;
        bits.at += (63U - bits.valid) >> 3U;
        bits.valid |= 56U;
    } else {
        bits = source.refill_slowly(bits);
    }
}

[[gnu::always_inline]] inline void drop(Bits& bits, unsigned count) noexcept {  // below 64
    bits.window <<= count;
    bits.valid -= count;
}

[[gnu::always_inline]] inline unsigned take(Bits& bits, Source& source, unsigned count) noexcept {  // up to 25
    if (bits.valid < count) {
        refill(bits, source);
    }
    const auto value = static_cast<unsigned>((bits.window >> 1U) >> (63U - count));
    drop(bits, count);
    return value;
}

}  // namespace hilum::codec::jpeg_ls
