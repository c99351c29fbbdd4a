// SPDX-License-Identifier: Apache-2.0
// Uncompressed pixel data (PS3.5 8.1, 8.2, Annex D): bit-packed, 12-bit packed, 8/16/32-bit integers, float, double;
// either byte order, either planar configuration, YBR_FULL_422 with its chrominance repeated.
#pragma once

#include "hilum/codec/codec.hpp"

namespace hilum::codec::native {

extern const Codec kLittleEndian;
extern const Codec kBigEndian;

/// Bits of one frame as stored: the only syntaxes in which a frame need not start on a byte.
[[nodiscard]] std::uint64_t stored_frame_bits(const PixelDescription& description) noexcept;

/// Whether a little endian frame is already what decoding makes of it, but for extract_stored.
[[nodiscard]] bool is_plain(const PixelDescription& description) noexcept;

/// As the codecs' decode, for a frame that starts `bit_offset` bits into `data` (PS3.5 8.1.1: lowest bit first): 0-7
/// with one bit allocated, 0 or 4 with twelve. Samples of 1, 8 and 12 bits have no byte order here: where big-endian
/// words hold them (OW), the caller has exchanged their bytes.
void decode(std::span<const std::byte> data, const PixelDescription& description, bool big_endian, unsigned bit_offset,
            std::span<std::byte> out);

/// `count` bits, lowest first, from `bit_offset` on, as bytes 0 and 1. `data` must hold bit_offset + count bits.
void unpack_bits(std::span<const std::byte> data, unsigned bit_offset, std::span<std::byte> out) noexcept;

/// 12-bit samples without gaps, lowest bits first, from bit 0 or 4 on, as 16-bit ones. `data` must hold them all.
void unpack_12(std::span<const std::byte> data, unsigned bit_offset, std::span<std::byte> out) noexcept;

/// Planes one after the other (`plane_bytes` apart) to interleaved samples of `container` bytes.
void interleave_planes(const std::byte* planes, std::size_t plane_stride, unsigned samples, std::size_t container,
                       std::size_t pixels, std::byte* out) noexcept;

}  // namespace hilum::codec::native
