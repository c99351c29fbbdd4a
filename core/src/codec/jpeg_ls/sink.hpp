// SPDX-License-Identifier: Apache-2.0
// Bits of a JPEG-LS scan, written: the byte behind FF takes seven (ISO/IEC 14495-1 9.1).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace hilum::codec::jpeg_ls {

/// Kept in registers by the inner loop, hence copied like `Bits`. The caller has reserved what may be written.
struct Sink {
    std::uint64_t waiting = 0;  ///< the last `count` bits are still to be written
    unsigned count = 0;         ///< below 32 between calls
    bool behind_ff = false;
    unsigned char* at = nullptr;
};

/// Whole bytes of what waits.
[[nodiscard, gnu::noinline]] inline Sink write_slowly(Sink sink) noexcept {
    for (unsigned width = sink.behind_ff ? 7 : 8; sink.count >= width; width = sink.behind_ff ? 7 : 8) {
        sink.count -= width;
        const auto byte = static_cast<unsigned char>((sink.waiting >> sink.count) & ((1U << width) - 1));
        *sink.at++ = byte;
        sink.behind_ff = byte == 0xFF;
    }
    return sink;
}

/// `size` up to 32, `bits` below 2^size.
[[gnu::always_inline]] inline void put(Sink& sink, unsigned bits, unsigned size) noexcept {
    sink.waiting = sink.waiting << size | bits;
    sink.count += size;
    if (sink.count < 32) {
        return;
    }
    auto word = static_cast<std::uint32_t>(sink.waiting >> (sink.count - 32));
    const std::uint32_t has_ff = (~word - 0x01010101U) & word & 0x80808080U;
    if (has_ff != 0 || sink.behind_ff) [[unlikely]] {
        sink = write_slowly(sink);
        return;
    }
    if constexpr (std::endian::native == std::endian::little) {
        word = __builtin_bswap32(word);
    }
    std::memcpy(sink.at, &word, 4);
    sink.at += 4;
    sink.count -= 32;
}

/// Zeros, as many as 64, and a one.
[[gnu::always_inline]] inline void put_zeros(Sink& sink, unsigned zeros) noexcept {
    for (; zeros > 31; zeros -= 31) {
        put(sink, 0, 31);
    }
    put(sink, 1, zeros + 1);
}

/// What waits, with zeros behind it; no FF is last, a marker would be read with it.
[[nodiscard]] inline Sink finish(Sink sink) noexcept {
    sink = write_slowly(sink);
    if (sink.count != 0 || sink.behind_ff) {
        const unsigned width = sink.behind_ff ? 7 : 8;
        put(sink, 0, width - sink.count);
        sink = write_slowly(sink);
    }
    return sink;
}

}  // namespace hilum::codec::jpeg_ls
