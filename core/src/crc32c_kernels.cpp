// SPDX-License-Identifier: Apache-2.0
// CRC-32C, polynomial 0x1EDC6F41, reflected. The SSE4.2 variant runs three independent streams, because the instruction
// has a latency of three cycles and a throughput of one, and joins them by multiplying with x^(8n) modulo the
// polynomial (the method of V. Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel
// 2011).
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "hilum/byte_order.hpp"
#include "hilum/checksum.hpp"
#include "hilum/cpu.hpp"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace hilum {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kPolynomial = 0x82F63B78U;
constexpr std::size_t kSlices = 8;
using Slices = std::array<std::array<std::uint32_t, 256>, kSlices>;

constexpr Slices make_slices() noexcept {
    Slices table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? kPolynomial : 0U);
        }
        table[0][byte] = crc;
    }
    for (std::size_t slice = 1; slice < kSlices; ++slice) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t before = table[slice - 1][byte];
            table[slice][byte] = (before >> 8U) ^ table[0][before & 0xFFU];
        }
    }
    return table;
}

constexpr Slices kSlice = make_slices();

std::uint32_t run_scalar(const std::byte* at, std::size_t count, std::uint32_t crc) noexcept {
    for (; count >= 8; count -= 8, at += 8) {
        const std::uint32_t low = load<std::uint32_t>(at) ^ crc;
        const auto high = load<std::uint32_t>(at + 4);
        crc = kSlice[7][low & 0xFFU] ^ kSlice[6][(low >> 8U) & 0xFFU] ^ kSlice[5][(low >> 16U) & 0xFFU] ^
              kSlice[4][low >> 24U] ^ kSlice[3][high & 0xFFU] ^ kSlice[2][(high >> 8U) & 0xFFU] ^
              kSlice[1][(high >> 16U) & 0xFFU] ^ kSlice[0][high >> 24U];
    }
    for (; count > 0; --count, ++at) {
        crc = (crc >> 8U) ^ kSlice[0][(crc ^ std::to_integer<std::uint32_t>(*at)) & 0xFFU];
    }
    return crc;
}

#if defined(__x86_64__)

constexpr std::size_t kLong = 8192;  // bytes of each of the three streams
constexpr std::size_t kShort = 256;

/// a * b modulo the polynomial, reflected: bit 31 is x^0.
constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) noexcept {
    std::uint32_t product = 0;
    for (std::uint32_t bit = 0x80000000U; bit != 0; bit >>= 1U) {
        if ((a & bit) != 0) {
            product ^= b;
        }
        b = (b >> 1U) ^ ((b & 1U) != 0 ? kPolynomial : 0U);
    }
    return product;
}

/// x^(8 * bytes) modulo the polynomial.
constexpr std::uint32_t power_of_bytes(std::size_t bytes) noexcept {
    std::uint32_t square = 0x00800000U;  // x^8
    std::uint32_t result = 0x80000000U;  // x^0
    for (; bytes > 0; bytes >>= 1U) {
        if ((bytes & 1U) != 0) {
            result = multiply(result, square);
        }
        square = multiply(square, square);
    }
    return result;
}

using Shift = std::array<std::array<std::uint32_t, 256>, 4>;

/// The CRC of `bytes` zeros behind a message, by the bytes of the message's CRC.
constexpr Shift make_shift(std::size_t bytes) noexcept {
    Shift table{};
    const std::uint32_t power = power_of_bytes(bytes);
    for (std::size_t position = 0; position < 4; ++position) {
        for (std::uint32_t bit = 1; bit < 256; bit <<= 1U) {
            table[position][bit] = multiply(power, bit << (8 * position));
        }
        for (std::size_t byte = 1; byte < 256; ++byte) {
            const std::size_t lowest = byte & (~byte + 1);
            table[position][byte] = table[position][byte ^ lowest] ^ table[position][lowest];
        }
    }
    return table;
}

constexpr Shift kShiftLong = make_shift(kLong);
constexpr Shift kShiftShort = make_shift(kShort);

std::uint32_t shift(const Shift& table, std::uint32_t crc) noexcept {
    return table[0][crc & 0xFFU] ^ table[1][(crc >> 8U) & 0xFFU] ^ table[2][(crc >> 16U) & 0xFFU] ^
           table[3][crc >> 24U];
}

HILUM_TARGET_BEGIN("sse4.2")

std::uint32_t three_streams(const std::byte* at, std::size_t length, const Shift& table, std::uint32_t crc) noexcept {
    std::uint64_t first = crc;
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < length; i += 8) {
        first = _mm_crc32_u64(first, load<std::uint64_t>(at + i));
        second = _mm_crc32_u64(second, load<std::uint64_t>(at + length + i));
        third = _mm_crc32_u64(third, load<std::uint64_t>(at + 2 * length + i));
    }
    const std::uint32_t joined = shift(table, static_cast<std::uint32_t>(first)) ^ static_cast<std::uint32_t>(second);
    return shift(table, joined) ^ static_cast<std::uint32_t>(third);
}

std::uint32_t run_sse42(const std::byte* at, std::size_t count, std::uint32_t crc) noexcept {
    for (; count >= 3 * kLong; count -= 3 * kLong, at += 3 * kLong) {
        crc = three_streams(at, kLong, kShiftLong, crc);
    }
    for (; count >= 3 * kShort; count -= 3 * kShort, at += 3 * kShort) {
        crc = three_streams(at, kShort, kShiftShort, crc);
    }
    std::uint64_t wide = crc;
    for (; count >= 8; count -= 8, at += 8) {
        wide = _mm_crc32_u64(wide, load<std::uint64_t>(at));
    }
    crc = static_cast<std::uint32_t>(wide);
    for (; count > 0; --count, ++at) {
        crc = _mm_crc32_u8(crc, std::to_integer<std::uint8_t>(*at));
    }
    return crc;
}

HILUM_TARGET_END

#endif  // __x86_64__

}  // namespace

namespace detail {

std::uint32_t crc32c_scalar(Bytes data, std::uint32_t seed) noexcept {
    return ~run_scalar(data.data(), data.size(), ~seed);
}

std::uint32_t crc32c_sse42(Bytes data, std::uint32_t seed) noexcept {
#if defined(__x86_64__)
    return ~run_sse42(data.data(), data.size(), ~seed);
#else
    return crc32c_scalar(data, seed);
#endif
}

}  // namespace detail

std::uint32_t crc32c(Bytes data, std::uint32_t seed) noexcept {
    return cpu::features().sse42 ? detail::crc32c_sse42(data, seed) : detail::crc32c_scalar(data, seed);
}

}  // namespace hilum
