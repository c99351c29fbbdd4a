// SPDX-License-Identifier: Apache-2.0
#include "ht_encode.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "ht_streams.hpp"
#include "ht_tables.hpp"

namespace hilum::codec::j2k {
namespace ht {
namespace {

/// A VLC codeword: bits 0-6, its length in 8-10, the e_k that it tells in 12-15.
using Codes = std::array<std::uint16_t, 2048>;

/// By context << 8 | eps << 4 | rho: of the codewords for it the one that tells the most exponents, then the shortest.
Codes invert(const std::array<std::uint16_t, 1024>& table) noexcept {
    Codes codes{};
    for (unsigned i = 0; i < codes.size(); ++i) {
        const unsigned rho = i & 15U;
        const unsigned eps = i >> 4U & 15U;
        int best = -1;
        for (unsigned word = 0; word < 128; ++word) {
            const unsigned entry = table[(i >> 8U) << 7U | word];
            const unsigned length = entry & 7U;
            const unsigned known = entry >> 12U;
            const bool fits = (entry >> 4U & 15U) == rho && (entry >> 3U & 1U) == (eps != 0 ? 1U : 0U) &&
                              (eps & known) == (entry >> 8U & 15U) && word >> length == 0;
            const int worth = 8 * std::popcount(known) + 7 - static_cast<int>(length);
            if (fits && worth > best) {
                best = worth;
                codes[i] = static_cast<std::uint16_t>(word | length << 8U | known << 12U);
            }
        }
    }
    return codes;
}

/// u of a pair: bits 0-23, their number in 24-31.
struct UCodes {
    static constexpr unsigned kMost = 32;
    std::array<std::uint32_t, 33 * 33> first{}, other{};
};

struct Bits {
    std::uint32_t value = 0;
    unsigned count = 0;

    void add(std::uint32_t bits, unsigned length) noexcept {
        value |= bits << count;
        count += length;
    }
};

void add_prefix(Bits& bits, unsigned u) noexcept {
    constexpr std::array<std::uint8_t, 6> kWord{0, 1, 2, 4, 4, 0};
    constexpr std::array<std::uint8_t, 6> kLength{0, 1, 2, 3, 3, 3};
    bits.add(kWord[std::min(u, 5U)], kLength[std::min(u, 5U)]);
}

void add_suffix(Bits& bits, unsigned u) noexcept {
    if (u >= 5) {
        bits.add(u - 5, 5);
    } else if (u >= 3) {
        bits.add(u - 3, 1);
    }
}

UCodes make_u_codes() noexcept {
    UCodes codes;
    for (unsigned a = 0; a <= UCodes::kMost; ++a) {
        for (unsigned b = 0; b <= UCodes::kMost; ++b) {
            const auto coded = [](unsigned first, unsigned second, bool short_second) {
                Bits bits;
                add_prefix(bits, first);
                short_second ? bits.add(second - 1, 1) : add_prefix(bits, second);
                add_suffix(bits, first);
                if (!short_second) {
                    add_suffix(bits, second);
                }
                return bits.value | bits.count << 24U;
            };
            codes.other[a * 33 + b] = coded(a, b, false);
            const bool both_great = a > 2 && b > 2;
            codes.first[a * 33 + b] = both_great ? coded(a - 2, b - 2, false) : coded(a, b, a > 2 && b > 0);
        }
    }
    return codes;
}

struct Tables {
    Codes first = invert(kVlcFirst), other = invert(kVlcOther);
    UCodes u = make_u_codes();
};

const Tables& tables() noexcept {
    static const Tables kTables;
    return kTables;
}

/// Adaptive run lengths, 7.1.3.
class MelWriter {
public:
    explicit MelWriter(std::byte* to) noexcept : start_(to), at_(to) {}

    void event(bool one) noexcept {
        if (!one) {
            if (++run_ == 1U << kMelExponent[state_]) {
                bit(1);
                run_ = 0;
                state_ = std::min(state_ + 1, 12U);
            }
            return;
        }
        bit(0);
        for (unsigned i = kMelExponent[state_]; i-- > 0;) {
            bit(run_ >> i & 1U);
        }
        run_ = 0;
        state_ = state_ == 0 ? 0 : state_ - 1;
    }
    /// The number of bytes.
    std::size_t finish() noexcept {
        if (run_ > 0) {
            bit(1);
        }
        if (left_ < 8) {
            *at_++ = static_cast<std::byte>(held_ << left_);
        }
        return static_cast<std::size_t>(at_ - start_);
    }

private:
    void bit(unsigned value) noexcept {
        held_ = held_ << 1U | value;
        if (--left_ == 0) {
            *at_++ = static_cast<std::byte>(held_);
            left_ = held_ == 0xFF ? 7 : 8;
            held_ = 0;
        }
    }

    std::byte* start_;
    std::byte* at_;
    unsigned held_ = 0, left_ = 8, run_ = 0, state_ = 0;
};

/// A bit of 0 behind each byte of FF; ones fill the last byte, which is left out where it, or the one before, is FF.
std::byte* stuff_forward(const std::byte* from, std::size_t bits, std::byte* to) noexcept {
    const std::byte* const start = to;
    std::size_t at = 0;
    bool after_ff = false;
    while (at < bits) {
        const std::uint64_t word = load64(from + at / 8) >> (at % 8);
        const std::uint64_t eight = word | static_cast<std::uint64_t>(from[at / 8 + 8]) << 1U << (63 - at % 8);
        const std::uint64_t ff = ((eight & kLowBits) + kOnes) & eight & kHighBits;
        if (!after_ff && ff == 0 && at + 64 <= bits) {
            std::memcpy(to, &eight, sizeof(eight));
            to += 8;
            at += 64;
            continue;
        }
        const unsigned count = after_ff ? 7 : 8;
        auto byte = static_cast<unsigned>(word & 0xFFU >> (8 - count));
        if (at + count > bits) {
            byte |= 0xFFU >> (8 - count) & ~((1U << (bits - at)) - 1);
        }
        at += count;
        *to++ = static_cast<std::byte>(byte);
        after_ff = byte == 0xFF;
    }
    return to != start && to[-1] == std::byte{0xFF} ? to - 1 : to;
}

/// VLC, towards lower addresses from `end`: what comes behind a byte above 8F and begins with seven ones has seven bits
/// only. The first byte is FF for the length of the suffix, the second has it in its low four bits. Returns the lowest.
std::byte* stuff_backward(const std::byte* from, std::size_t bits, std::byte* end) noexcept {
    *--end = std::byte{0xFF};
    std::size_t at = 0;
    bool above = true;
    unsigned held = 4;  // bits of the next byte that are there
    unsigned value = 15;
    while (at < bits || held > 0) {
        const std::uint64_t word = load64(from + at / 8) >> (at % 8);
        const std::uint64_t eight = word | static_cast<std::uint64_t>(from[at / 8 + 8]) << 1U << (63 - at % 8);
        const std::uint64_t ones = ((eight & kLowBits) + kOnes) & kHighBits;
        const std::uint64_t over = eight & (eight << 1U | eight << 2U | eight << 3U) & kHighBits;
        if (held == 0 && at + 64 <= bits && ((over << 8U | (above ? 0x80U : 0U)) & ones) == 0) {
            const std::uint64_t turned = __builtin_bswap64(eight);
            end -= 8;
            std::memcpy(end, &turned, sizeof(turned));
            at += 64;
            above = over >> 63U != 0;
            continue;
        }
        value |= static_cast<unsigned>(word << held & 0xFFU);
        const bool stuffed = above && (value & 0x7FU) == 0x7F;
        value = stuffed ? 0x7F : value;
        at += (stuffed ? 7U : 8U) - held;
        *--end = static_cast<std::byte>(value);
        above = value > 0x8F;
        held = value = 0;
    }
    return end;
}

}  // namespace
}  // namespace ht

namespace {

bool all_zero(const std::int32_t* in, std::size_t stride, unsigned width, unsigned height) noexcept {
    for (unsigned y = 0; y < height; ++y) {
        std::int32_t any = 0;
        for (unsigned x = 0; x < width; ++x) {
            any |= in[y * stride + x];
        }
        if (any != 0) {
            return false;
        }
    }
    return true;
}

}  // namespace

struct HtBlockEncoder::Buffers {
    static constexpr std::size_t kMagSgn = std::size_t{kSide} * kSide * 26 / 8 + 64;
    static constexpr std::size_t kSuffix = 4096;  // 30 bits for each pair of quads, and what MEL and stuffing add

    std::array<std::byte, kMagSgn> magsgn;
    std::array<std::byte, kSuffix> vlc, mel, suffix;
    std::array<std::byte, kMagSgn + kMagSgn / 8 + 2 * kSuffix> out;
    std::array<std::array<std::uint8_t, 2 * ht::QuadRow::kMost>, 2> exponents;
    ht::QuadRow row;
    std::array<std::uint8_t, ht::QuadRow::kMost> above, own;  ///< rho
};

void HtBlockEncoder::Free::operator()(Buffers* buffers) const noexcept {
    delete buffers;
}

HtBlockEncoder::HtBlockEncoder(const ht::EncodeKernels& kernels) : kernels_(kernels), buffers_(new Buffers()) {}

std::span<const std::byte> HtBlockEncoder::encode(const std::int32_t* in, std::size_t stride, unsigned width,
                                                  unsigned height) noexcept {
    if (all_zero(in, stride, width, height)) {
        return {};
    }
    Buffers& b = *buffers_;
    const ht::Tables& tables = ht::tables();
    const unsigned pairs = (width + 3) / 4;
    ht::MelWriter mel(b.mel.data());
    ht::BitWriter vlc(b.vlc.data());
    std::size_t magsgn = 0;
    b.above.fill(0);
    b.own.fill(0);
    b.exponents = {};
    for (unsigned y = 0; y < height; y += 2) {
        const std::int32_t* const top = in + y * stride;
        const bool first_row = y == 0;
        const auto& codes = first_row ? tables.first : tables.other;
        const auto& u_codes = first_row ? tables.u.first : tables.u.other;
        std::uint8_t* const below = b.exponents[y / 2 % 2].data();
        kernels_.classify(top, top + stride, pairs, first_row ? nullptr : b.exponents[(y / 2 + 1) % 2].data(), below,
                          b.row);
        unsigned left = 0;  // rho
        const auto quad = [&](unsigned i, std::uint64_t& bits, unsigned& count) {
            const std::uint32_t info = b.row.info[i];
            const unsigned rho = info & 15U;
            unsigned context = (left >> 1U) | (left & 1U);
            if (!first_row) {  // b.above[i + 1] is the quad right above
                const unsigned nw = b.above[i];
                const unsigned n = b.above[i + 1];
                const unsigned ne = b.above[i + 2];
                context = (nw >> 3U & 1U) | (n >> 1U & 1U) | (n >> 1U & 4U) | (ne << 1U & 4U) | (left >> 1U & 2U) |
                          (left >> 2U & 2U);
            }
            const unsigned code = codes[context << 8U | (info & 0xFFU)];
            if (context == 0) {
                mel.event(rho != 0);
            }
            bits |= static_cast<std::uint64_t>(code & 0x7FU) << count;
            count += code >> 8U & 7U;
            b.row.known[i] = code >> 12U;
            b.own[i + 1] = static_cast<std::uint8_t>(rho);
            left = rho;
            return info >> 16U;
        };
        for (unsigned pair = 0; pair < pairs; ++pair) {
            std::uint64_t bits = 0;
            unsigned count = 0;
            const unsigned u0 = quad(2 * pair, bits, count);
            const unsigned u1 = 4 * pair + 2 < width ? quad(2 * pair + 1, bits, count) : 0;
            if (first_row && u0 > 0 && u1 > 0) {
                mel.event(std::min(u0, u1) > 2);
            }
            const std::uint32_t u = u_codes[u0 * 33 + u1];
            bits |= static_cast<std::uint64_t>(u & 0xFFFFFFU) << count;
            vlc.add(bits, count + (u >> 24U));
        }
        magsgn = kernels_.magsgn(top, top + stride, pairs, b.row, b.magsgn.data(), magsgn);
        std::swap(b.above, b.own);
    }
    std::byte* at = ht::stuff_forward(b.magsgn.data(), magsgn, b.out.data());
    const std::size_t mel_bytes = mel.finish();
    at = std::copy_n(b.mel.data(), mel_bytes, at);
    std::byte* const end = b.suffix.data() + b.suffix.size();
    std::byte* const lowest = ht::stuff_backward(b.vlc.data(), vlc.finish(), end);
    const auto suffix = mel_bytes + static_cast<std::size_t>(end - lowest);
    end[-1] = static_cast<std::byte>(suffix >> 4U);
    end[-2] = (end[-2] & std::byte{0xF0}) | static_cast<std::byte>(suffix & 15U);
    at = std::copy(lowest, end, at);
    return {b.out.data(), at};
}

}  // namespace hilum::codec::j2k
