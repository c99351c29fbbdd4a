// SPDX-License-Identifier: Apache-2.0
// The contract of every decoder: probe(bytes) -> ImageInfo, then decode(bytes, ImageInfo, the caller's span).
//
// A decoder never allocates what it returns, never reads outside of `data`, never writes outside of `out`, and either
// fills `out` whole or throws hilum::Error. Offsets in errors count from the first byte of the frame. All functions are
// thread-safe: there is no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "hilum/image_view.hpp"

namespace hilum::codec {

/// PS3.3 C.7.6.3.1.2. `other`: retired or private terms; decoded, not rendered in colour.
enum class Photometric : std::uint8_t {
    monochrome1,
    monochrome2,
    palette_color,
    rgb,
    ybr_full,
    ybr_full_422,
    ybr_partial_420,
    ybr_partial_422,
    ybr_ict,
    ybr_rct,
    other,
};

[[nodiscard]] Photometric parse_photometric(std::string_view term) noexcept;
[[nodiscard]] std::string_view term_of(Photometric photometric) noexcept;

enum class PixelKeyword : std::uint8_t { pixel_data, float_pixel_data, double_float_pixel_data };

/// The Image Pixel module's (PS3.3 C.7.6.3) description of the stored samples; fields as in
/// hilum.types.PixelDescription.
struct PixelDescription {
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::uint16_t samples_per_pixel = 1;
    std::uint16_t planar_configuration = 0;
    std::uint16_t bits_allocated = 16;
    std::uint16_t bits_stored = 16;
    std::uint16_t high_bit = 15;
    std::uint16_t pixel_representation = 0;  ///< 1: two's complement
    Photometric photometric = Photometric::monochrome2;
    std::uint32_t number_of_frames = 1;
    PixelKeyword keyword = PixelKeyword::pixel_data;
};

/// Throws limit_exceeded, bad_value or unsupported_pixels unless every field is one that a decoder may trust.
void check_description(const PixelDescription& description);

/// Type of a decoded sample: by Bits Allocated, Pixel Representation and keyword; one bit becomes u8.
[[nodiscard]] SampleType sample_type(const PixelDescription& description) noexcept;

/// Bytes of one decoded frame (rows x columns x samples, interleaved). Below limits::kMaxFrameBytes once checked.
[[nodiscard]] std::uint64_t frame_bytes(const PixelDescription& description) noexcept;

/// What a frame turned out to hold; colour as the decoder leaves it.
struct ImageInfo {
    enum class Colour : std::uint8_t {
        as_described,  ///< the code stream does not say: Photometric Interpretation decides
        rgb,           ///< the code stream's own colour transform is undone, or it says it has none
        ycc,           ///< the code stream says YCbCr (full range)
    };
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::uint16_t components = 0;
    std::uint16_t precision = 0;  ///< bits per sample in the code stream
    bool is_signed = false;
    bool lossy = false;
    Colour colour = Colour::as_described;
};

/// One decoder. A table of functions, not a base class: tables can be constexpr and compared.
struct Codec {
    std::string_view name;      ///< short and stable, for tests and settings: "rle"
    std::string_view provider;  ///< whose code: "hilum", "libjpeg-turbo"
    ImageInfo (*probe)(std::span<const std::byte> data, const PixelDescription& description);
    void (*decode)(std::span<const std::byte> data, const PixelDescription& description, const ImageInfo& info,
                   std::span<std::byte> out);
};

/// Throws bad_codestream, naming both sides, unless the code stream fits the description.
void check_fits(const ImageInfo& info, const PixelDescription& description);

/// Throws buffer_too_small unless `out` is exactly one decoded frame.
void check_out(std::span<std::byte> out, const PixelDescription& description);

/// Moves Bits Stored down to bit 0 and clears (signed: sign-extends over) what else a container holds, such as overlay
/// bits, in place. Nothing to do where Bits Stored fills Bits Allocated.
void extract_stored(std::span<std::byte> samples, const PixelDescription& description) noexcept;

/// Sign-extends samples of `precision` bits in containers of `container` bytes, in place.
void extend_sign(std::span<std::byte> samples, std::size_t container, unsigned precision) noexcept;

}  // namespace hilum::codec
