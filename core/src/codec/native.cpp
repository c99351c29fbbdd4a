// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/native.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <string>

#include "hilum/error.hpp"
#include "sample_kernels.hpp"

namespace hilum::codec::native {
namespace {

static_assert(std::endian::native == std::endian::little, "samples are handed out in the machine's order");

bool is_422(const PixelDescription& d) noexcept {
    return (d.photometric == Photometric::ybr_full_422 || d.photometric == Photometric::ybr_partial_422) &&
           d.samples_per_pixel == 3;
}

template <typename Word>
void swap_words(std::byte* data, std::size_t bytes) noexcept {
    for (std::size_t at = 0; at + sizeof(Word) <= bytes; at += sizeof(Word)) {
        Word word{};
        std::memcpy(&word, data + at, sizeof(word));
        if constexpr (sizeof(Word) == 2) {
            word = __builtin_bswap16(word);
        } else if constexpr (sizeof(Word) == 4) {
            word = __builtin_bswap32(word);
        } else {
            word = __builtin_bswap64(word);
        }
        std::memcpy(data + at, &word, sizeof(word));
    }
}

void swap_bytes(std::byte* data, std::size_t bytes, std::size_t container) noexcept {
    if (container == 2) {
        swap_words<std::uint16_t>(data, bytes);
    } else if (container == 4) {
        swap_words<std::uint32_t>(data, bytes);
    } else if (container == 8) {
        swap_words<std::uint64_t>(data, bytes);
    }
}

template <std::size_t Container>
void interleave_as(const std::byte* planes, std::size_t plane_stride, unsigned samples, std::size_t pixels,
                   std::byte* out) noexcept {
    if (samples == 3 && Container <= 2) {
        const SampleKernels& kernels = sample_kernels();
        const auto interleave = Container == 1 ? kernels.interleave_3 : kernels.interleave_3_words;
        return interleave(planes, planes + plane_stride, planes + 2 * plane_stride, pixels, out);
    }
    if (samples == 3) {
        const std::byte* first = planes;
        const std::byte* second = planes + plane_stride;
        const std::byte* third = second + plane_stride;
        for (std::size_t i = 0; i < pixels; ++i) {
            std::memcpy(out, first + i * Container, Container);
            std::memcpy(out + Container, second + i * Container, Container);
            std::memcpy(out + 2 * Container, third + i * Container, Container);
            out += 3 * Container;
        }
        return;
    }
    for (unsigned s = 0; s < samples; ++s) {
        const std::byte* plane = planes + s * plane_stride;
        for (std::size_t i = 0; i < pixels; ++i) {
            std::memcpy(out + (i * samples + s) * Container, plane + i * Container, Container);
        }
    }
}

/// Y1 Y2 Cb Cr for each two pixels (PS3.3 C.7.6.3.1.2): the chrominance is repeated.
template <typename Sample>
void expand_422(const std::byte* in, std::size_t pairs, std::byte* out) noexcept {
    for (std::size_t i = 0; i < pairs; ++i) {
        Sample quad[4];
        std::memcpy(quad, in + i * sizeof(quad), sizeof(quad));
        const Sample two[6] = {quad[0], quad[2], quad[3], quad[1], quad[2], quad[3]};
        std::memcpy(out + i * sizeof(two), two, sizeof(two));
    }
}

/// Copies, swaps and extracts in pieces that stay in the cache.
void decode_plain(std::span<const std::byte> data, const PixelDescription& d, bool big_endian,
                  std::span<std::byte> out) {
    constexpr std::size_t kPiece = 16384;
    const std::size_t container = bytes_of(sample_type(d));
    for (std::size_t at = 0; at < out.size(); at += kPiece) {
        const std::span<std::byte> piece = out.subspan(at, std::min(kPiece, out.size() - at));
        if (big_endian && (container == 2 || container == 4)) {
            const SampleKernels& kernels = sample_kernels();
            const auto swap = container == 2 ? kernels.swap_16 : kernels.swap_32;
            swap(data.data() + at, piece.size() / container, piece.data());
        } else {
            std::memcpy(piece.data(), data.data() + at, piece.size());
            if (big_endian) {
                swap_bytes(piece.data(), piece.size(), container);
            }
        }
        extract_stored(piece, d);
    }
}

void decode_words(std::span<const std::byte> data, const PixelDescription& d, bool big_endian,
                  std::span<std::byte> out) {
    if (is_plain(d)) {
        return decode_plain(data, d, big_endian, out);
    }
    const std::size_t container = bytes_of(sample_type(d));
    const std::size_t pixels = std::size_t{d.rows} * d.columns;
    if (is_422(d)) {
        if (container > 2) {
            throw Error(Errc::unsupported_pixels, "YBR_FULL_422 with more than 16 bits allocated");
        }
        container == 1 ? sample_kernels().expand_422(data.data(), pixels / 2, out.data())
                       : expand_422<std::uint16_t>(data.data(), pixels / 2, out.data());
    } else {
        interleave_planes(data.data(), pixels * container, d.samples_per_pixel, container, pixels, out.data());
    }
    if (big_endian) {
        swap_bytes(out.data(), out.size(), container);
    }
    extract_stored(out, d);
}

/// 12 bits allocated (retired; PS3.5 Annex D of 1993 to 2011): samples follow each other without gaps.
void decode_12(std::span<const std::byte> data, const PixelDescription& d, unsigned bit_offset,
               std::span<std::byte> out) {
    if (is_422(d)) {
        throw Error(Errc::unsupported_pixels, "YBR_FULL_422 with 12 bits allocated");
    }
    if (d.samples_per_pixel > 1 && d.planar_configuration == 1) {
        const auto planes = std::make_unique_for_overwrite<std::byte[]>(out.size());
        unpack_12(data, bit_offset, {planes.get(), out.size()});
        const std::size_t pixels = std::size_t{d.rows} * d.columns;
        interleave_planes(planes.get(), pixels * 2, d.samples_per_pixel, 2, pixels, out.data());
    } else {
        unpack_12(data, bit_offset, out);
    }
    if (d.bits_stored < 12 || d.pixel_representation == 1) {
        extract_stored(out, d);
    }
}

ImageInfo probe(std::span<const std::byte>, const PixelDescription& d) {
    ImageInfo info;
    info.rows = d.rows;
    info.columns = d.columns;
    info.components = d.samples_per_pixel;
    info.precision = d.bits_stored;
    info.is_signed = d.pixel_representation == 1;
    return info;
}

void decode_little(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo&,
                   std::span<std::byte> out) {
    decode(data, d, false, 0, out);
}

void decode_big(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo&,
                std::span<std::byte> out) {
    decode(data, d, true, 0, out);
}

}  // namespace

const Codec kLittleEndian{"native", "hilum", &probe, &decode_little};
const Codec kBigEndian{"native_big_endian", "hilum", &probe, &decode_big};

std::uint64_t stored_frame_bits(const PixelDescription& d) noexcept {
    const std::uint64_t samples = std::uint64_t{d.rows} * d.columns * (is_422(d) ? 2U : d.samples_per_pixel);
    return samples * d.bits_allocated;
}

bool is_plain(const PixelDescription& d) noexcept {
    return d.bits_allocated % 8 == 0 && !is_422(d) && (d.samples_per_pixel == 1 || d.planar_configuration == 0);
}

void decode(std::span<const std::byte> data, const PixelDescription& d, bool big_endian, unsigned bit_offset,
            std::span<std::byte> out) {
    check_description(d);
    check_out(out, d);
    const bool fits =
        d.bits_allocated == 1 ? bit_offset < 8 : bit_offset == 0 || (d.bits_allocated == 12 && bit_offset == 4);
    if (!fits) {
        throw Error(Errc::invalid_argument, "a bit offset is below 8 for one bit allocated, 0 or 4 for twelve, else 0");
    }
    if (is_422(d) && d.columns % 2 != 0) {
        throw Error(Errc::bad_value, "YBR_FULL_422 with an odd number of Columns (0028,0011)");
    }
    const std::uint64_t needed = (bit_offset + stored_frame_bits(d) + 7) / 8;
    if (data.size() < needed) {
        if (d.photometric == Photometric::ybr_partial_420 && data.size() >= needed / 2) {
            throw Error(Errc::unsupported_pixels, "YBR_PARTIAL_420 has no uncompressed form (PS3.3 C.7.6.3.1.2)");
        }
        throw Error(
            Errc::truncated,
            "the frame has " + std::to_string(data.size()) + " bytes, its description needs " + std::to_string(needed),
            data.size());
    }
    if (d.bits_allocated == 1) {
        unpack_bits(data, bit_offset, out);
    } else if (d.bits_allocated == 12) {
        decode_12(data, d, bit_offset, out);
    } else {
        decode_words(data, d, big_endian, out);
    }
}

void unpack_bits(std::span<const std::byte> data, unsigned bit_offset, std::span<std::byte> out) noexcept {
    std::size_t bit = bit_offset;
    std::size_t i = 0;
    const std::size_t count = out.size();
    const auto one = [&] {
        out[i++] = (data[bit / 8] >> static_cast<int>(bit % 8)) & std::byte{1};
        ++bit;
    };
    while (i < count && bit % 8 != 0) {
        one();
    }
    const std::size_t whole = (count - i) / 8;
    sample_kernels().expand_bits(data.data() + bit / 8, whole, out.data() + i);
    i += whole * 8;
    bit += whole * 8;
    while (i < count) {
        one();
    }
}

void unpack_12(std::span<const std::byte> data, unsigned bit_offset, std::span<std::byte> out) noexcept {
    const std::size_t count = out.size() / 2;
    const auto one = [&](std::size_t i) {
        const std::size_t bit = bit_offset + 12 * i;
        const auto pair = static_cast<unsigned>(data[bit / 8]) | static_cast<unsigned>(data[bit / 8 + 1]) << 8U;
        const auto value = static_cast<std::uint16_t>((pair >> (bit % 8)) & 0xFFFU);
        std::memcpy(out.data() + 2 * i, &value, 2);
    };
    if (count == 0) {
        return;
    }
    const std::size_t first = bit_offset == 0 ? 0 : 1;  // one sample that ends at a byte
    if (first != 0) {
        one(0);
    }
    const std::size_t pairs = (count - first) / 2;
    sample_kernels().expand_12(data.data() + (bit_offset + 12 * first) / 8, pairs, out.data() + 2 * first);
    if (first + 2 * pairs < count) {
        one(count - 1);
    }
}

void interleave_planes(const std::byte* planes, std::size_t plane_stride, unsigned samples, std::size_t container,
                       std::size_t pixels, std::byte* out) noexcept {
    switch (container) {
        case 1:
            return interleave_as<1>(planes, plane_stride, samples, pixels, out);
        case 2:
            return interleave_as<2>(planes, plane_stride, samples, pixels, out);
        case 4:
            return interleave_as<4>(planes, plane_stride, samples, pixels, out);
        default:
            return interleave_as<8>(planes, plane_stride, samples, pixels, out);
    }
}

}  // namespace hilum::codec::native
