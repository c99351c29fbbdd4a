// SPDX-License-Identifier: Apache-2.0
// Unaligned loads and stores of fixed byte order. The caller has checked that the bytes exist.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hilum {

template <typename Integer>
[[nodiscard]] constexpr Integer byte_swap(Integer value) noexcept {
    if constexpr (sizeof(Integer) == 2) {
        return static_cast<Integer>(__builtin_bswap16(static_cast<std::uint16_t>(value)));
    } else if constexpr (sizeof(Integer) == 4) {
        return static_cast<Integer>(__builtin_bswap32(static_cast<std::uint32_t>(value)));
    } else if constexpr (sizeof(Integer) == 8) {
        return static_cast<Integer>(__builtin_bswap64(static_cast<std::uint64_t>(value)));
    } else {
        static_assert(sizeof(Integer) == 1);
        return value;
    }
}

/// Load an integer of the given byte order from any address.
template <typename Integer>
[[nodiscard]] inline Integer load(const std::byte* from, bool big_endian = false) noexcept {
    Integer value;
    std::memcpy(&value, from, sizeof value);
    const bool swap = big_endian != (std::endian::native == std::endian::big);
    return swap ? byte_swap(value) : value;
}

/// Store an integer little endian to any address.
template <typename Integer>
inline void store(std::byte* to, Integer value) noexcept {
    if constexpr (std::endian::native == std::endian::big) {
        value = byte_swap(value);
    }
    std::memcpy(to, &value, sizeof value);
}

}  // namespace hilum
