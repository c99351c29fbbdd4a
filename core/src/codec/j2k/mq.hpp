// SPDX-License-Identifier: Apache-2.0
// MQ decoder and raw bits (ISO/IEC 15444-1 Annex C and D.6).
//
// A and C are kept shifted left by kShift, so that C holds up to 48 bits that are not yet asked for, and A's leading
// zeros are what it is renormalised by. A carry that arrives early changes no decision of a stream that an encoder
// wrote.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hilum::codec::j2k {

/// One state of one context, a row of Table C.2 once for each sense of the more probable symbol, in one word: Qe in
/// bits 48 to 63, that symbol in bit 16, the next state after the other symbol in bits 8 to 15, after this one in 0
/// to 7.
using MqState = std::uint64_t;

inline constexpr unsigned kShift = 48;
inline constexpr std::uint64_t kHalf = std::uint64_t{0x8000} << kShift;
inline constexpr std::uint64_t kMpsBit = 1U << 16U;
inline constexpr std::uint64_t kQeMask = std::uint64_t{0xFFFF} << kShift;

inline constexpr std::array<MqState, 94> kMqStates = [] {
    struct Row {
        std::uint16_t qe;
        std::uint8_t mps, lps, turn;
    };
    constexpr Row rows[47] = {
        {0x5601, 1, 1, 1},   {0x3401, 2, 6, 0},   {0x1801, 3, 9, 0},   {0x0AC1, 4, 12, 0},  {0x0521, 5, 29, 0},
        {0x0221, 38, 33, 0}, {0x5601, 7, 6, 1},   {0x5401, 8, 14, 0},  {0x4801, 9, 14, 0},  {0x3801, 10, 14, 0},
        {0x3001, 11, 17, 0}, {0x2401, 12, 18, 0}, {0x1C01, 13, 20, 0}, {0x1601, 29, 21, 0}, {0x5601, 15, 14, 1},
        {0x5401, 16, 14, 0}, {0x5101, 17, 15, 0}, {0x4801, 18, 16, 0}, {0x3801, 19, 17, 0}, {0x3401, 20, 18, 0},
        {0x3001, 21, 19, 0}, {0x2801, 22, 19, 0}, {0x2401, 23, 20, 0}, {0x2201, 24, 21, 0}, {0x1C01, 25, 22, 0},
        {0x1801, 26, 23, 0}, {0x1601, 27, 24, 0}, {0x1401, 28, 25, 0}, {0x1201, 29, 26, 0}, {0x1101, 30, 27, 0},
        {0x0AC1, 31, 28, 0}, {0x09C1, 32, 29, 0}, {0x08A1, 33, 30, 0}, {0x0521, 34, 31, 0}, {0x0441, 35, 32, 0},
        {0x02A1, 36, 33, 0}, {0x0221, 37, 34, 0}, {0x0141, 38, 35, 0}, {0x0111, 39, 36, 0}, {0x0085, 40, 37, 0},
        {0x0049, 41, 38, 0}, {0x0025, 42, 39, 0}, {0x0015, 43, 40, 0}, {0x0009, 44, 41, 0}, {0x0005, 45, 42, 0},
        {0x0001, 45, 43, 0}, {0x5601, 46, 46, 0}};
    std::array<MqState, 94> all{};
    for (unsigned i = 0; i < 47; ++i) {
        for (unsigned mps = 0; mps < 2; ++mps) {
            const unsigned next_mps = 2U * rows[i].mps + mps;
            const unsigned next_lps = 2U * rows[i].lps + (mps ^ rows[i].turn);
            all[2 * i + mps] = std::uint64_t{rows[i].qe} << kShift | mps << 16U | next_lps << 8U | next_mps;
        }
    }
    return all;
}();

/// `kMoves`: a decision is a sequence of x86-64's conditional moves. A compiler that makes branches of them loses a
/// third of the speed; and it makes them of everything that it is given.
template <bool kMoves>
class MqDecoder {
public:
    MqDecoder() = default;

    /// INITDEC, C.3.5.
    MqDecoder(const std::byte* from, const std::byte* end) noexcept : at_(from), end_(end) {
        a_ = kHalf;
        room_ = static_cast<int>(kShift) + 7;
        fill_slowly();
    }

    /// Takes zeros as long as they are the more probable symbol and leave A and C in order; at most `most`.
    [[gnu::always_inline]] unsigned skip_zeros(MqState state, unsigned most) noexcept {
        const std::uint64_t qe = state & kQeMask;
        unsigned taken = 0;
        if ((state & kMpsBit) == 0) {
            while (taken < most && a_ - qe >= kHalf && c_ >= qe) {
                a_ -= qe;
                c_ -= qe;
                ++taken;
            }
        }
        return taken;
    }

    /// A decision without any branch, for symbols that are close to random.
    [[gnu::always_inline]] unsigned decode_flat(MqState& context) noexcept {
        const MqState state = context;
        const std::uint64_t qe = state & kQeMask;
        MqState next = kMqStates[state & 0xFFU];
        std::uint64_t symbol = state >> 16U;
        decide(qe, state, kMqStates[state >> 8U & 0xFFU], next, symbol);
        context = next;
        const auto shift = static_cast<unsigned>(__builtin_clzll(a_));  // never of zero
        a_ <<= shift;
        c_ <<= shift;
        room_ += static_cast<int>(shift);
        if (room_ > static_cast<int>(kShift) - 8) [[unlikely]] {
            fill();
        }
        return static_cast<unsigned>(symbol) & 1U;
    }

    /// Two looks at the state of one context would wait for each other on the way through memory: the second is taken
    /// early, and replaced by what is in a register where it was the same context.
    [[gnu::always_inline]] static MqState if_equal(unsigned a, unsigned b, MqState yes, MqState no) noexcept {
#if defined(__x86_64__)
        if constexpr (kMoves) {
            asm("cmp %[a], %[b]\n\tcmove %[yes], %[no]"
                : [no] "+r"(no)
                : [a] "r"(a), [b] "r"(b), [yes] "r"(yes)
                : "cc");
            return no;
        }
#endif
        return a == b ? yes : no;
    }

private:
    static std::uint64_t choose(bool condition, std::uint64_t yes, std::uint64_t no) noexcept {
        return no ^ ((no ^ yes) & (0 - std::uint64_t{condition}));
    }

    /// A decision, C.3.2: interval and base. `next` is given as the state after the more probable symbol, `symbol` as
    /// that symbol in its lowest bit. Where A falls below Qe it is below half as well, and the symbols change places.
    [[gnu::always_inline]] void decide(std::uint64_t qe, MqState state, MqState after_lps, MqState& next,
                                       std::uint64_t& symbol) noexcept {
#if defined(__x86_64__)
        if constexpr (kMoves) {
            const MqState after_mps = next;
            std::uint64_t base = c_;
            asm("sub %[qe], %[a]\n\t"
                "cmp %[qe], %[a]\n\t"
                "cmovb %[lps], %[next]\n\t"
                "cmovb %[mps], %[lps]\n\t"
                "adc $0, %[symbol]\n\t"
                "test %[a], %[a]\n\t"
                "cmovs %[state], %[next]\n\t"
                "sub %[qe], %[base]\n\t"
                "cmovae %[base], %[c]\n\t"
                "cmovb %[qe], %[a]\n\t"
                "cmovb %[lps], %[next]\n\t"
                "adc $0, %[symbol]"
                : [a] "+&r"(a_), [c] "+&r"(c_), [base] "+&r"(base), [next] "+&r"(next), [lps] "+&r"(after_lps),
                  [symbol] "+&r"(symbol)
                : [qe] "r"(qe), [state] "r"(state), [mps] "r"(after_mps)
                : "cc");
            return;
        }
#endif
        const std::uint64_t a = a_ - qe;
        const bool is_lps = c_ < qe;
        const bool turned = (a < qe) ^ is_lps;
        next = choose(is_lps || a < kHalf, choose(turned, after_lps, next), state);
        a_ = choose(is_lps, qe, a);
        c_ -= choose(is_lps, 0, qe);
        symbol ^= static_cast<std::uint64_t>(turned);
    }

    /// BYTEIN, C.3.4: four bytes at once where none of them nor the one before is FF.
    [[gnu::always_inline]] void fill() noexcept {
        if (end_ - at_ >= 4) [[likely]] {
            std::uint32_t word = 0;
            std::memcpy(&word, at_, sizeof(word));
            const bool has_ff = ((~word - 0x01010101U) & word & 0x80808080U) != 0;
            if (!has_ff && at_[-1] != std::byte{0xFF}) [[likely]] {
                if constexpr (std::endian::native == std::endian::little) {
                    word = __builtin_bswap32(word);
                }
                c_ += std::uint64_t{word} << static_cast<unsigned>(room_ - 24);
                at_ += 4;
                room_ -= 32;
                return;
            }
        }
        MqDecoder copy = *this;  // so that the registers of the caller stay registers
        copy.fill_slowly();
        *this = copy;
    }

    /// Behind the end, and behind FF with more than 8F, come ones.
    [[gnu::noinline]] void fill_slowly() noexcept {
        while (room_ >= 0) {
            std::uint64_t next = 0xFF;
            if (at_ != end_) {
                next = static_cast<std::uint64_t>(*at_);
                if (after_ff_ && next > 0x8F) {
                    end_ = at_;
                    next = 0xFF;
                    after_ff_ = false;
                } else {
                    room_ += after_ff_ ? 1 : 0;
                    after_ff_ = next == 0xFF;
                    ++at_;
                }
            }
            c_ += next << static_cast<unsigned>(room_);
            room_ -= 8;
        }
    }

    std::uint64_t a_ = 0, c_ = 0;
    const std::byte* at_ = nullptr;
    const std::byte* end_ = nullptr;
    int room_ = 0;  ///< where in C the next byte goes
    bool after_ff_ = false;
};

/// Bits of the lazy passes, D.6: after FF a bit is stuffed. Ones behind the end.
class RawDecoder {
public:
    RawDecoder() = default;
    RawDecoder(const std::byte* from, const std::byte* end) noexcept : at_(from), end_(end) {}

    unsigned bit() noexcept {
        if (left_ == 0) {
            const bool after_ff = byte_ == 0xFF;
            left_ = after_ff ? 7 : 8;
            if (at_ == end_ || (after_ff && static_cast<unsigned>(*at_) > 0x8F)) {
                byte_ = 0xFF;
                left_ = 8;
                end_ = at_;
            } else {
                byte_ = static_cast<unsigned>(*at_++);
            }
        }
        --left_;
        return byte_ >> left_ & 1U;
    }

private:
    const std::byte* at_ = nullptr;
    const std::byte* end_ = nullptr;
    unsigned byte_ = 0;
    unsigned left_ = 0;
};

}  // namespace hilum::codec::j2k
