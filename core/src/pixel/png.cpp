// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

#include "hilum/error.hpp"
#include "hilum/pixel/deflate.hpp"
#include "hilum/pixel/encode.hpp"

namespace hilum::pixel {
namespace {

enum Filter : std::uint8_t { kSub = 1, kUp = 2, kPaeth = 4 };

void put_u32(std::byte* to, std::uint32_t value) noexcept {
    for (int i = 0; i < 4; ++i) {
        to[i] = static_cast<std::byte>(value >> (24 - 8 * i));
    }
}

void begin_chunk(std::vector<std::byte>& png, const char* type) {
    png.resize(png.size() + 8);
    std::memcpy(png.data() + png.size() - 4, type, 4);
}

/// `start`: size of `png` before begin_chunk.
void end_chunk(std::vector<std::byte>& png, std::size_t start) {
    const std::size_t length = png.size() - start - 8;
    if (length > 0x7FFFFFFFU) {
        throw Error(Errc::limit_exceeded, "PNG: the compressed image is larger than a chunk");
    }
    put_u32(png.data() + start, static_cast<std::uint32_t>(length));
    const auto crc = crc32(0, reinterpret_cast<const Bytef*>(png.data() + start + 4), static_cast<uInt>(4 + length));
    png.resize(png.size() + 4);
    put_u32(png.data() + png.size() - 4, static_cast<std::uint32_t>(crc));
}

/// Sum of differences taken as signed bytes: the usual guess of which filter compresses best (PNG 12.8).
std::uint32_t cost(const std::uint8_t* row, std::size_t count) noexcept {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const int value = static_cast<std::int8_t>(row[i]);
        sum += static_cast<std::uint32_t>(value < 0 ? -value : value);
    }
    return sum;
}

void subtract(const std::uint8_t* row, const std::uint8_t* other, std::size_t count, std::uint8_t* out) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = static_cast<std::uint8_t>(row[i] - other[i]);
    }
}

/// PNG 9.4, without branches, so that compilers vectorise it.
void subtract_paeth(const std::uint8_t* row, const std::uint8_t* above, std::size_t bytes, std::size_t count,
                    std::uint8_t* out) noexcept {
    for (std::size_t i = bytes; i < count; ++i) {
        const auto a = static_cast<std::int16_t>(row[i - bytes]);
        const auto b = static_cast<std::int16_t>(above[i]);
        const auto c = static_cast<std::int16_t>(above[i - bytes]);
        const auto from_b = static_cast<std::int16_t>(a - c);
        const auto from_a = static_cast<std::int16_t>(b - c);
        const auto from_c = static_cast<std::int16_t>(from_a + from_b);
        const auto pa = static_cast<std::int16_t>(from_a < 0 ? -from_a : from_a);
        const auto pb = static_cast<std::int16_t>(from_b < 0 ? -from_b : from_b);
        const auto pc = static_cast<std::int16_t>(from_c < 0 ? -from_c : from_c);
        const std::int16_t bc = pb <= pc ? b : c;
        const std::int16_t least = pb <= pc ? pb : pc;
        const std::int16_t predicted = pa <= least ? a : bc;
        out[i] = static_cast<std::uint8_t>(row[i] - predicted);
    }
}

/// The row as PNG stores it: most significant byte first.
const std::uint8_t* stored_row(const Raster& image, std::uint32_t y, std::size_t stride,
                               std::uint8_t* swapped) noexcept {
    const std::uint8_t* row = image.pixels.data() + y * stride;
    if (image.sample_bytes == 1) {
        return row;
    }
    for (std::size_t i = 0; i + 1 < stride; i += 2) {
        swapped[i] = row[i + 1];
        swapped[i + 1] = row[i];
    }
    return swapped;
}

/// Filtered rows, each with its filter type in front: Sub, Up or Paeth, whichever leaves least.
std::vector<std::uint8_t> filter(const Raster& image) {
    const std::size_t bytes = std::size_t{image.samples} * image.sample_bytes;
    const std::size_t stride = image.columns * bytes;
    std::vector<std::uint8_t> out(image.rows * (stride + 1));
    std::array<std::vector<std::uint8_t>, 2> swapped;
    if (image.sample_bytes == 2) {
        swapped = {std::vector<std::uint8_t>(stride), std::vector<std::uint8_t>(stride)};
    }
    std::vector<std::uint8_t> tried(stride);
    const std::uint8_t* above = nullptr;
    for (std::uint32_t y = 0; y < image.rows; ++y) {
        const std::uint8_t* row = stored_row(image, y, stride, swapped[y & 1U].data());
        std::uint8_t* to = out.data() + y * (stride + 1);
        to[0] = kSub;
        std::memcpy(to + 1, row, bytes);
        subtract(row + bytes, row, stride - bytes, to + 1 + bytes);
        if (above != nullptr) {
            std::uint32_t least = cost(to + 1, stride);
            const auto keep_if_better = [&](Filter filter) {
                if (const std::uint32_t found = cost(tried.data(), stride); found < least) {
                    least = found;
                    to[0] = filter;
                    std::memcpy(to + 1, tried.data(), stride);
                }
            };
            subtract(row, above, stride, tried.data());
            keep_if_better(kUp);
            if (least != 0) {
                subtract(row, above, bytes, tried.data());
                subtract_paeth(row, above, bytes, stride, tried.data());
                keep_if_better(kPaeth);
            }
        }
        above = row;
    }
    return out;
}

}  // namespace

std::vector<std::byte> encode_png(const Raster& image) {
    static constexpr std::array<std::uint8_t, 8> kSignature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    const std::vector<std::uint8_t> filtered = filter(image);
    std::vector<std::byte> png(kSignature.size());
    png.reserve(filtered.size() / 2);
    std::memcpy(png.data(), kSignature.data(), kSignature.size());
    std::size_t start = png.size();
    begin_chunk(png, "IHDR");
    png.resize(png.size() + 13);
    std::byte* header = png.data() + start + 8;
    put_u32(header, image.columns);
    put_u32(header + 4, image.rows);
    header[8] = static_cast<std::byte>(8 * image.sample_bytes);
    header[9] = image.samples == 3 ? std::byte{2} : std::byte{0};
    end_chunk(png, start);
    start = png.size();
    begin_chunk(png, "IDAT");
    append_zlib_stream(filtered, png);
    end_chunk(png, start);
    start = png.size();
    begin_chunk(png, "IEND");
    end_chunk(png, start);
    return png;
}

}  // namespace hilum::pixel
