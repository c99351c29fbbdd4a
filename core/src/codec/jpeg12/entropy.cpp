// SPDX-License-Identifier: Apache-2.0
#include "entropy.hpp"

#include <bit>
#include <cstdlib>
#include <cstring>

namespace hilum::codec::jpeg12 {
namespace {

/// EXTEND (F.2.2.1).
int extend(unsigned value, unsigned bits) noexcept {
    return bits != 0 && value < (1U << (bits - 1U)) ? static_cast<int>(value) - static_cast<int>((1U << bits) - 1U)
                                                    : static_cast<int>(value);
}

std::int16_t narrow(int value) noexcept {
    return static_cast<std::int16_t>(value);
}

/// State of one scan.
struct Decoder {
    BitReader& reader;
    const Scan& scan;
    std::array<int, 4> predictor{};
    unsigned end_of_band = 0;  ///< blocks still without new coefficients

    void reset() noexcept {
        predictor.fill(0);
        end_of_band = 0;
    }

    bool dc_difference(unsigned part) noexcept {
        const unsigned bits = reader.symbol(*scan.parts[part].dc);
        if (bits > 16) {
            return false;
        }
        predictor[part] += extend(reader.take(bits), bits);
        return std::abs(predictor[part]) < 1 << 20;
    }

    bool sequential(unsigned part, std::int16_t* block) noexcept {
        if (!dc_difference(part)) {
            return false;
        }
        block[0] = narrow(predictor[part]);
        for (unsigned k = 1; k < 64; ++k) {
            const unsigned symbol = reader.symbol(*scan.parts[part].ac);
            if (symbol > 255) {
                return false;
            }
            const unsigned bits = symbol & 15U;
            const unsigned zeros = symbol >> 4U;
            if (bits == 0) {
                if (zeros != 15) {
                    return true;
                }
                k += 15;
                continue;
            }
            k += zeros;
            if (k > 63) {
                return false;
            }
            block[k] = narrow(extend(reader.take(bits), bits));
        }
        return true;
    }

    bool dc_first(unsigned part, std::int16_t* block) noexcept {
        if (!dc_difference(part)) {
            return false;
        }
        block[0] = narrow(predictor[part] * (1 << scan.low));
        return true;
    }

    bool dc_refine(std::int16_t* block) noexcept {
        if (reader.take(1) != 0) {
            block[0] = narrow(block[0] | (1 << scan.low));
        }
        return true;
    }

    bool ac_first(std::int16_t* block) noexcept {  // G.1.2.2
        if (end_of_band > 0) {
            --end_of_band;
            return true;
        }
        for (unsigned k = scan.first; k <= scan.last; ++k) {
            const unsigned symbol = reader.symbol(*scan.parts[0].ac);
            if (symbol > 255) {
                return false;
            }
            const unsigned bits = symbol & 15U;
            const unsigned zeros = symbol >> 4U;
            if (bits == 0) {
                if (zeros < 15) {
                    end_of_band = (1U << zeros) - 1U + reader.take(zeros);
                    return true;
                }
                k += 15;
                continue;
            }
            k += zeros;
            if (k > 63) {
                return false;
            }
            block[k] = narrow(extend(reader.take(bits), bits) * (1 << scan.low));
        }
        return true;
    }

    void correct(std::int16_t& coefficient) noexcept {
        const int bit = 1 << scan.low;
        if (reader.take(1) != 0 && (std::abs(int{coefficient}) & bit) == 0) {
            coefficient = narrow(coefficient + (coefficient < 0 ? -bit : bit));
        }
    }

    bool ac_refine(std::int16_t* block) noexcept {  // G.1.2.3
        unsigned k = scan.first;
        if (end_of_band == 0) {
            for (; k <= scan.last; ++k) {
                const unsigned symbol = reader.symbol(*scan.parts[0].ac);
                if (symbol > 255) {
                    return false;
                }
                unsigned zeros = symbol >> 4U;
                int fresh = 0;
                if ((symbol & 15U) != 0) {
                    fresh = reader.take(1) != 0 ? 1 << scan.low : -(1 << scan.low);
                } else if (zeros < 15) {
                    end_of_band = (1U << zeros) + reader.take(zeros);
                    break;
                }
                for (; k <= scan.last; ++k) {
                    if (block[k] != 0) {
                        correct(block[k]);
                    } else if (zeros-- == 0) {
                        break;
                    }
                }
                if (fresh != 0) {
                    if (k > scan.last) {
                        return false;
                    }
                    block[k] = narrow(fresh);
                }
            }
        }
        if (end_of_band > 0) {
            for (; k <= scan.last; ++k) {
                if (block[k] != 0) {
                    correct(block[k]);
                }
            }
            --end_of_band;
        }
        return true;
    }

    bool block(unsigned part, std::int16_t* coefficients) noexcept {
        if (!scan.progressive) {
            return sequential(part, coefficients);
        }
        if (scan.first == 0) {
            return scan.high == 0 ? dc_first(part, coefficients) : dc_refine(coefficients);
        }
        return scan.high == 0 ? ac_first(coefficients) : ac_refine(coefficients);
    }
};

/// Behind the marker RSTm, or nullptr.
const std::byte* behind_restart(const std::byte* at, const std::byte* end, unsigned number) noexcept {
    while (end - at > 2 && at[0] == std::byte{0xFF} && at[1] == std::byte{0xFF}) {
        ++at;
    }
    const bool found = end - at >= 2 && at[0] == std::byte{0xFF} && at[1] == std::byte(0xD0 + number % 8);
    return found ? at + 2 : nullptr;
}

}  // namespace

bool build(HuffmanTable& table, std::span<const std::uint8_t, 16> counts,
           std::span<const std::uint8_t> symbols) noexcept {
    table = {};
    std::int32_t code = 0;
    std::size_t next = 0;
    for (unsigned length = 1; length <= 16; ++length) {
        const unsigned count = counts[length - 1];
        if (next + count > symbols.size() || code + static_cast<std::int32_t>(count) > 1 << length) {
            return false;
        }
        table.first[length] = static_cast<std::int32_t>(next) - code;
        table.greatest[length] = count == 0 ? -1 : code + static_cast<std::int32_t>(count) - 1;
        for (unsigned i = 0; i < count; ++i, ++next, ++code) {
            table.symbols[next] = symbols[next];
            if (length <= kLookBits) {
                const unsigned spare = kLookBits - length;
                for (unsigned j = 0; j < 1U << spare; ++j) {
                    table.look[(static_cast<unsigned>(code) << spare) + j] =
                        static_cast<std::uint16_t>(length << 8U | symbols[next]);
                }
            }
        }
        code <<= 1;
    }
    table.defined = true;
    return true;
}

void BitReader::refill() noexcept {
    if (end_ - at_ >= 8 && valid_ <= 32) {
        std::uint32_t next = 0;
        std::memcpy(&next, at_, sizeof(next));
        const std::uint32_t inverse = ~next;
        if (((inverse - 0x01010101U) & ~inverse & 0x80808080U) == 0) {  // no byte is FF
            if constexpr (std::endian::native == std::endian::little) {
                next = __builtin_bswap32(next);
            }
            window_ = window_ << 32U | next;
            valid_ += 32;
            at_ += 4;
            return;
        }
    }
    while (valid_ <= 48) {
        std::uint64_t byte = 0;
        const bool marker = at_ < end_ && *at_ == std::byte{0xFF} && (end_ - at_ < 2 || at_[1] != std::byte{0});
        if (at_ >= end_ || marker) {
            padding_ += padding_ < 4096 ? 8 : 0;
        } else {
            byte = static_cast<std::uint64_t>(*at_);
            at_ += byte == 0xFF ? 2 : 1;
        }
        window_ = window_ << 8U | byte;
        valid_ += 8;
    }
}

unsigned BitReader::symbol(const HuffmanTable& table) noexcept {
    fill(16);
    const auto next = static_cast<unsigned>(window_ >> (valid_ - 16)) & 0xFFFFU;
    const unsigned found = table.look[next >> (16 - kLookBits)];
    if (found != 0) {
        valid_ -= found >> 8U;
        return found & 0xFFU;
    }
    for (unsigned length = kLookBits + 1; length <= 16; ++length) {
        const auto code = static_cast<std::int32_t>(next >> (16 - length));
        if (code <= table.greatest[length]) {
            valid_ -= length;
            return table.symbols[static_cast<std::size_t>(table.first[length] + code) & 0xFFU];
        }
    }
    return 256;
}

Outcome read_scan(BitReader& reader, const std::byte* end, const Scan& scan) noexcept {
    Decoder decoder{reader, scan};
    const Component& size = *scan.parts[0].component;
    unsigned unit = 0;
    unsigned restarts = 0;
    for (std::uint32_t y = 0; y < size.blocks_down; ++y) {
        for (std::uint32_t x = 0; x < size.blocks_across; ++x, ++unit) {
            if (scan.restart_interval != 0 && unit == scan.restart_interval) {
                const std::byte* next = behind_restart(reader.position(), end, restarts++);
                if (next == nullptr) {
                    return Outcome::no_restart;
                }
                reader.restart(next);
                decoder.reset();
                unit = 0;
            }
            const std::size_t place = (std::size_t{y} * size.blocks_across + x) * 64;
            for (unsigned part = 0; part < scan.count; ++part) {
                if (!decoder.block(part, scan.parts[part].component->coefficients.data() + place)) {
                    return reader.overrun() ? Outcome::ended : Outcome::damaged;
                }
            }
        }
        if (reader.overrun()) {
            return Outcome::ended;
        }
    }
    return Outcome::good;
}

}  // namespace hilum::codec::jpeg12
