// SPDX-License-Identifier: Apache-2.0
// Uncompressed frames (PS3.5 8.1) in either byte order, interleaved; and those deflated (RFC 1951).
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "hilum/codec/encode.hpp"
#include "hilum/codec/native.hpp"
#include "hilum/error.hpp"

namespace hilum::codec {
namespace {

void accept(const PixelDescription&, const EncodeOptions&) {}

std::size_t bytes_needed(const PixelDescription& d) noexcept {
    return d.bits_allocated == 1 ? (std::size_t{d.rows} * d.columns + 7) / 8 : static_cast<std::size_t>(frame_bytes(d));
}

std::uint64_t native_bound(const PixelDescription& d) {
    return bytes_needed(d);
}

void pack_bits(std::span<const std::byte> samples, std::byte* out) noexcept {
    for (std::size_t i = 0; i < samples.size(); i += 8) {
        const std::size_t count = std::min<std::size_t>(8, samples.size() - i);
        unsigned byte = 0;
        for (std::size_t bit = 0; bit < count; ++bit) {
            byte |= (samples[i + bit] != std::byte{0} ? 1U : 0U) << bit;
        }
        out[i / 8] = static_cast<std::byte>(byte);
    }
}

std::size_t encode_little(std::span<const std::byte> samples, const PixelDescription& d, const EncodeOptions&,
                          std::span<std::byte> out) {
    if (d.bits_allocated == 1) {
        pack_bits(samples, out.data());
    } else {
        std::memcpy(out.data(), samples.data(), samples.size());
    }
    return bytes_needed(d);
}

std::size_t encode_big(std::span<const std::byte> samples, const PixelDescription& d, const EncodeOptions& options,
                       std::span<std::byte> out) {
    const std::size_t size = encode_little(samples, d, options, out);
    const std::size_t width = d.bits_allocated == 1 ? 1 : bytes_of(sample_type(d));
    if (width == 2) {
        for (std::size_t i = 0; i < size; i += 2) {
            std::uint16_t word{};
            std::memcpy(&word, out.data() + i, 2);
            word = __builtin_bswap16(word);
            std::memcpy(out.data() + i, &word, 2);
        }
    } else if (width > 2) {
        for (std::size_t i = 0; i < size; i += width) {
            std::reverse(out.data() + i, out.data() + i + width);
        }
    }
    return size;
}

std::uint64_t deflate_bound(const PixelDescription& d) {
    const std::uint64_t size = bytes_needed(d);
    return size + size / 1000 + 5 * (size / 16383 + 1) + 64;
}

void check_deflate(const PixelDescription& d, const EncodeOptions&) {
    if (d.keyword != PixelKeyword::pixel_data) {
        throw Error(Errc::unsupported_pixels, "floating point pixel data cannot be encapsulated");
    }
}

std::size_t encode_deflated(std::span<const std::byte> samples, const PixelDescription& d, const EncodeOptions& options,
                            std::span<std::byte> out) {
    const std::size_t size = bytes_needed(d);
    std::unique_ptr<std::byte[]> packed;
    if (d.bits_allocated == 1) {
        packed = std::make_unique_for_overwrite<std::byte[]>(size);
        encode_little(samples, d, options, {packed.get(), size});
        samples = {packed.get(), size};
    }
    z_stream stream{};
    if (deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        throw Error(Errc::out_of_memory, "no memory to deflate");
    }
    const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, &deflateEnd);
    constexpr std::size_t kStep = std::size_t{1} << 30;  // zlib counts in 32 bits
    std::size_t read = 0;
    std::size_t written = 0;
    int result = Z_OK;
    while (result == Z_OK) {
        const std::size_t in = std::min(kStep, size - read);
        const std::size_t room = std::min(kStep, out.size() - written);
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(samples.data() + read));
        stream.avail_in = static_cast<uInt>(in);
        stream.next_out = reinterpret_cast<Bytef*>(out.data() + written);
        stream.avail_out = static_cast<uInt>(room);
        result = ::deflate(&stream, read + in == size ? Z_FINISH : Z_NO_FLUSH);
        read += in - stream.avail_in;
        written += room - stream.avail_out;
    }
    if (result != Z_STREAM_END) {
        throw Error(Errc::buffer_too_small, "the deflated frame does not fit");
    }
    return written;
}

}  // namespace

namespace native {
const Encoder kEncodeLittle{"native", "hilum", &accept, &native_bound, &encode_little};
const Encoder kEncodeBig{"native_big_endian", "hilum", &accept, &native_bound, &encode_big};
}  // namespace native

namespace deflate {
const Encoder kEncode{"deflate", "zlib", &check_deflate, &deflate_bound, &encode_deflated};
}

}  // namespace hilum::codec
