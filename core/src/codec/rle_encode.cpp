// SPDX-License-Identifier: Apache-2.0
// PackBits per byte plane and row (PS3.5 G.3 to G.5): where neighbours are equal is found for 64 bytes at a time,
// packets then come from bit scans.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "hilum/codec/encode.hpp"
#include "hilum/error.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace hilum::codec::rle {
namespace {

constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kMaxPacket = 128;
constexpr std::size_t kSlack = 64;  ///< readable bytes behind a row

/// Bit i: byte i equals byte i+1, for i below 64. Reads 65 bytes.
std::uint64_t equal_mask(const std::byte* at) noexcept {
#if defined(__SSE2__)
    std::uint64_t mask = 0;
    for (unsigned part = 0; part < 4; ++part) {
        const auto a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 16 * part));
        const auto b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at + 16 * part + 1));
        const auto bits = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(a, b)));
        mask |= std::uint64_t{bits} << (16 * part);
    }
    return mask;
#else
    std::uint64_t mask = 0;
    for (unsigned i = 0; i < 64; ++i) {
        mask |= std::uint64_t{at[i] == at[i + 1]} << i;
    }
    return mask;
#endif
}

/// Row of one byte plane, and where neighbours are equal.
struct Row {
    std::vector<std::byte> bytes;      ///< with kSlack + 1 more
    std::vector<std::uint64_t> equal;  ///< bit i: byte i equals byte i + 1; one word more, zero
    std::vector<std::uint64_t> runs;   ///< bit i: a run of three or more may start at i
    std::size_t size = 0;

    explicit Row(std::size_t columns)
        : bytes(columns + kSlack + 1), equal(columns / 64 + 2), runs(columns / 64 + 2), size(columns) {}

    void find_equal() noexcept {
        const std::size_t words = (size + 63) / 64;
        for (std::size_t w = 0; w < words; ++w) {
            equal[w] = equal_mask(bytes.data() + 64 * w);
        }
        const std::size_t last = size - 1;  // the last byte has no neighbour
        equal[last / 64] &= (std::uint64_t{1} << (last % 64)) - 1;
        for (std::size_t w = 0; w < words; ++w) {
            runs[w] = equal[w] & (equal[w] >> 1U | equal[w + 1] << 63U);
        }
    }

    /// First i >= from with a run of three; size when there is none.
    [[nodiscard]] std::size_t next_run(std::size_t from) const noexcept {
        const std::size_t words = (size + 63) / 64;
        std::size_t w = from / 64;
        if (w >= words) {
            return size;
        }
        std::uint64_t word = runs[w] & (~std::uint64_t{0} << (from % 64));
        while (word == 0) {
            if (++w == words) {
                return size;
            }
            word = runs[w];
        }
        return 64 * w + static_cast<std::size_t>(std::countr_zero(word));
    }

    /// Where the run at `from` ends: the last byte's index plus one.
    [[nodiscard]] std::size_t end_of_run(std::size_t from) const noexcept {
        std::size_t w = from / 64;
        std::uint64_t word = ~equal[w] & (~std::uint64_t{0} << (from % 64));
        while (word == 0) {
            word = ~equal[++w];
        }
        return 64 * w + static_cast<std::size_t>(std::countr_zero(word)) + 1;
    }
};

std::byte* put_literal(const std::byte* from, std::size_t count, std::byte* out) noexcept {
    while (count > 0) {
        const std::size_t now = std::min(count, kMaxPacket);
        *out++ = static_cast<std::byte>(now - 1);
        std::memcpy(out, from, now);
        from += now;
        out += now;
        count -= now;
    }
    return out;
}

std::byte* put_row(const Row& row, std::byte* out) noexcept {
    const std::byte* bytes = row.bytes.data();
    std::size_t at = 0;
    while (at < row.size) {
        const std::size_t run = row.next_run(at);
        // A pair at the start of a literal costs less as a run; the rest of it is literal.
        out = put_literal(bytes + at, run - at, out);
        if (run == row.size) {
            break;
        }
        const std::size_t end = row.end_of_run(run);
        at = run;
        while (end - at >= 2) {
            const std::size_t now = std::min(end - at, kMaxPacket);
            *out++ = static_cast<std::byte>(257U - now);
            *out++ = bytes[at];
            at += now;
        }
    }
    return out;
}

void take_plane(const std::byte* samples, std::size_t stride, std::size_t count, std::byte* out) noexcept {
    if (stride == 1) {
        std::memcpy(out, samples, count);
    } else if (stride == 2) {
        for (std::size_t i = 0; i < count; ++i) {
            out[i] = samples[2 * i];
        }
    } else {
        for (std::size_t i = 0; i < count; ++i) {
            out[i] = samples[stride * i];
        }
    }
}

void check(const PixelDescription& d, const EncodeOptions&) {
    if (d.keyword != PixelKeyword::pixel_data || d.bits_allocated == 1) {
        throw Error(Errc::unsupported_pixels, "RLE holds integers of 8, 16 or 32 bits allocated only");
    }
    if (d.samples_per_pixel * d.bits_allocated / 8U > 15) {
        throw Error(Errc::unsupported_pixels, "RLE holds at most 15 bytes a pixel");
    }
}

std::uint64_t bound(const PixelDescription& d) {
    const std::uint64_t row = d.columns + (d.columns + kMaxPacket - 1) / kMaxPacket + 1;
    const std::uint64_t planes = d.samples_per_pixel * d.bits_allocated / 8U;
    return kHeaderBytes + planes * (row * d.rows + 1);
}

std::size_t encode(std::span<const std::byte> samples, const PixelDescription& d, const EncodeOptions&,
                   std::span<std::byte> out) {
    const std::size_t container = d.bits_allocated / 8U;
    const std::size_t pixel = container * d.samples_per_pixel;
    std::array<std::uint32_t, 16> header{};
    header[0] = static_cast<std::uint32_t>(pixel);
    Row row(d.columns);
    std::byte* to = out.data() + kHeaderBytes;
    for (std::size_t plane = 0; plane < pixel; ++plane) {
        const auto start = static_cast<std::uint64_t>(to - out.data());
        if (start > 0xFFFFFFFFU) {
            throw Error(Errc::limit_exceeded, "the RLE frame is larger than 4 GiB");
        }
        header[plane + 1] = static_cast<std::uint32_t>(start);
        // Samples in order; of each, the most significant byte first (PS3.5 G.2).
        const std::size_t offset = plane / container * container + (container - 1 - plane % container);
        for (std::uint32_t y = 0; y < d.rows; ++y) {
            take_plane(samples.data() + std::size_t{y} * d.columns * pixel + offset, pixel, d.columns,
                       row.bytes.data());
            row.find_equal();
            to = put_row(row, to);
        }
        if ((to - out.data()) % 2 != 0) {
            *to++ = std::byte{0};
        }
    }
    std::memcpy(out.data(), header.data(), sizeof(header));
    return static_cast<std::size_t>(to - out.data());
}

}  // namespace

const Encoder kEncode{"rle", "hilum", &check, &bound, &encode};

}  // namespace hilum::codec::rle
