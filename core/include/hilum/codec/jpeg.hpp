// SPDX-License-Identifier: Apache-2.0
// The JPEG family (ISO/IEC 10918-1): what a code stream says of itself, and DCT decoding by libjpeg-turbo.
#pragma once

#include "hilum/codec/codec.hpp"

namespace hilum::codec::jpeg {

/// Sequential and progressive DCT, 8 bits a sample. Chrominance is upsampled, the colour space is not converted: stored
/// values are what the frame holds (YCbCr stays YCbCr).
extern const Codec kTurbo;

/// What the markers say, up to and including the frame header.
struct Markers {
    std::uint8_t frame_type = 0;  ///< the second byte of SOFn: 0xC0 baseline, 0xC3 lossless, 0xF7 JPEG-LS
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::uint16_t precision = 0;
    std::uint16_t components = 0;
    bool letters_rgb = false;      ///< component identifiers are 'R', 'G', 'B'
    bool jfif = false;             ///< APP0 JFIF: three components are YCbCr
    int adobe_transform = -1;      ///< APP14 Adobe: 0 none, 1 YCbCr, 2 YCCK; -1 without the marker
    std::size_t frame_header = 0;  ///< offset of the SOFn marker
};

/// Throws bad_codestream with the offset at which no marker could be read.
[[nodiscard]] Markers read_markers(std::span<const std::byte> data);

/// The rule for three components, in this order: Adobe marker; 'R' 'G' 'B' identifiers; JFIF says YCbCr;
/// else Photometric Interpretation decides.
[[nodiscard]] ImageInfo::Colour colour_of(const Markers& markers) noexcept;

/// A part of a frame, and where it goes in a picture.
struct RgbPart {
    std::span<const std::byte> frame;
    std::uint32_t x = 0;  ///< in pixels of the frame after its halvings
    std::uint32_t y = 0;
    std::uint32_t columns = 0;
    std::uint32_t rows = 0;
    std::uint32_t to_x = 0;  ///< of its upper left pixel in the picture
    std::uint32_t to_y = 0;
};

inline constexpr unsigned kMaxHalvings = 3;

/// Decodes parts of DCT frames of three components to RGB, side by side into one picture of rows x columns, on up to
/// `threads` threads (0: parallel::default_threads()). A part has the same pixels whatever the parts are: those of the
/// whole frame. Each of `halvings` halves rows and columns (rounded up) by leaving frequencies out before the inverse
/// transform. Below and to the right of a part nothing is looked at that can be left alone, so damage there is not
/// seen.
///
/// Throws invalid_argument for parts outside of the frame or the picture, unsupported_pixels unless the description is
/// of 8-bit RGB, YBR_FULL or YBR_FULL_422, and what decoding throws, that of the first part.
void decode_rgb_parts(std::span<const RgbPart> parts, const PixelDescription& description, unsigned halvings,
                      std::uint32_t rows, std::uint32_t columns, std::span<std::uint8_t> rgb, unsigned threads);

}  // namespace hilum::codec::jpeg
