// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/codec.hpp"

#include <array>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "sample_kernels.hpp"

namespace hilum::codec {
namespace {

constexpr std::array<std::pair<std::string_view, Photometric>, 10> kTerms{{
    {"MONOCHROME1", Photometric::monochrome1},
    {"MONOCHROME2", Photometric::monochrome2},
    {"PALETTE COLOR", Photometric::palette_color},
    {"RGB", Photometric::rgb},
    {"YBR_FULL", Photometric::ybr_full},
    {"YBR_FULL_422", Photometric::ybr_full_422},
    {"YBR_PARTIAL_420", Photometric::ybr_partial_420},
    {"YBR_PARTIAL_422", Photometric::ybr_partial_422},
    {"YBR_ICT", Photometric::ybr_ict},
    {"YBR_RCT", Photometric::ybr_rct},
}};

std::string dimensions(std::uint32_t rows, std::uint32_t columns, unsigned samples) {
    return std::to_string(rows) + "x" + std::to_string(columns) + "x" + std::to_string(samples);
}

/// Shifts left, then right: arithmetic for signed samples. One loop for masking, aligning and sign extension.
template <typename Sample>
void shift_as(std::span<std::byte> samples, unsigned left, unsigned right) noexcept {
    using Unsigned = std::make_unsigned_t<Sample>;
    const std::size_t count = samples.size() / sizeof(Sample);
    for (std::size_t i = 0; i < count; ++i) {
        Unsigned bits{};
        std::memcpy(&bits, samples.data() + i * sizeof(Sample), sizeof(bits));
        bits = static_cast<Unsigned>(bits << left);
        const auto value = static_cast<Sample>(static_cast<Sample>(bits) >> right);
        std::memcpy(samples.data() + i * sizeof(Sample), &value, sizeof(value));
    }
}

void shift(std::span<std::byte> samples, std::size_t container, bool is_signed, unsigned left,
           unsigned right) noexcept {
    if (container == 1) {
        is_signed ? shift_as<std::int8_t>(samples, left, right) : shift_as<std::uint8_t>(samples, left, right);
    } else if (container == 2) {
        sample_kernels().shift_16(samples.data(), samples.size() / 2, is_signed, left, right);
    } else if (container == 4) {
        is_signed ? shift_as<std::int32_t>(samples, left, right) : shift_as<std::uint32_t>(samples, left, right);
    }
}

}  // namespace

Photometric parse_photometric(std::string_view term) noexcept {
    while (!term.empty() && (term.back() == ' ' || term.back() == '\0')) {
        term.remove_suffix(1);
    }
    for (const auto& [name, value] : kTerms) {
        if (name == term) {
            return value;
        }
    }
    return Photometric::other;
}

std::string_view term_of(Photometric photometric) noexcept {
    for (const auto& [name, value] : kTerms) {
        if (value == photometric) {
            return name;
        }
    }
    return "";
}

void check_description(const PixelDescription& d) {
    if (d.rows == 0 || d.columns == 0) {
        throw Error(Errc::bad_value, "Rows (0028,0010) or Columns (0028,0011) is zero");
    }
    if (d.rows > limits::kMaxRows || d.columns > limits::kMaxColumns) {
        throw Error(Errc::limit_exceeded, "Rows (0028,0010) or Columns (0028,0011) above 65535");
    }
    if (d.samples_per_pixel != 1 && d.samples_per_pixel != 3 && d.samples_per_pixel != 4) {
        throw Error(Errc::unsupported_pixels, "Samples per Pixel (0028,0002) is neither 1, 3 nor 4");
    }
    const unsigned bits = d.bits_allocated;
    if (d.keyword == PixelKeyword::float_pixel_data
            ? bits != 32
            : (d.keyword == PixelKeyword::double_float_pixel_data && bits != 64)) {
        throw Error(Errc::bad_value, "Bits Allocated (0028,0100) does not fit floating point pixel data");
    }
    if (d.keyword == PixelKeyword::pixel_data) {
        if (bits != 1 && bits != 8 && bits != 12 && bits != 16 && bits != 32) {
            throw Error(Errc::unsupported_pixels, "Bits Allocated (0028,0100) is none of 1, 8, 12, 16 and 32");
        }
        if (d.bits_stored == 0 || d.bits_stored > bits || d.high_bit >= bits || d.high_bit + 1U < d.bits_stored) {
            throw Error(Errc::bad_value,
                        "Bits Stored (0028,0101) or High Bit (0028,0102) does not fit Bits Allocated (0028,0100)");
        }
        if (bits == 1 && d.samples_per_pixel != 1) {
            throw Error(Errc::unsupported_pixels, "one bit allocated with several samples per pixel");
        }
    }
    if (frame_bytes(d) > limits::kMaxFrameBytes) {
        throw Error(Errc::limit_exceeded,
                    "one frame is larger than " + std::to_string(limits::kMaxFrameBytes) + " bytes");
    }
}

SampleType sample_type(const PixelDescription& d) noexcept {
    if (d.keyword == PixelKeyword::float_pixel_data) {
        return SampleType::f32;
    }
    if (d.keyword == PixelKeyword::double_float_pixel_data) {
        return SampleType::f64;
    }
    const bool is_signed = d.pixel_representation == 1;
    switch (d.bits_allocated) {
        case 1:
            return SampleType::u8;
        case 8:
            return is_signed ? SampleType::s8 : SampleType::u8;
        case 12:
        case 16:
            return is_signed ? SampleType::s16 : SampleType::u16;
        default:
            return is_signed ? SampleType::s32 : SampleType::u32;
    }
}

std::uint64_t frame_bytes(const PixelDescription& d) noexcept {
    return std::uint64_t{d.rows} * d.columns * d.samples_per_pixel * bytes_of(sample_type(d));
}

void check_fits(const ImageInfo& info, const PixelDescription& d) {
    if (info.rows != d.rows || info.columns != d.columns || info.components != d.samples_per_pixel) {
        throw Error(Errc::bad_codestream, "the code stream is " + dimensions(info.rows, info.columns, info.components) +
                                              ", the data set says " +
                                              dimensions(d.rows, d.columns, d.samples_per_pixel));
    }
    if (info.precision > d.bits_allocated || d.keyword != PixelKeyword::pixel_data) {
        throw Error(Errc::bad_codestream, "the code stream has " + std::to_string(info.precision) +
                                              " bits a sample, Bits Allocated (0028,0100) is " +
                                              std::to_string(d.bits_allocated));
    }
}

void check_out(std::span<std::byte> out, const PixelDescription& d) {
    if (out.size() != frame_bytes(d)) {
        throw Error(Errc::buffer_too_small, "the output has " + std::to_string(out.size()) +
                                                " bytes, the frame needs " + std::to_string(frame_bytes(d)));
    }
}

void extract_stored(std::span<std::byte> samples, const PixelDescription& d) noexcept {
    const std::size_t container = bytes_of(sample_type(d));
    const auto bits = static_cast<unsigned>(container * 8);
    if (d.keyword != PixelKeyword::pixel_data || d.bits_allocated == 1 || d.bits_stored == bits) {
        return;
    }
    shift(samples, container, d.pixel_representation == 1, bits - 1U - d.high_bit, bits - d.bits_stored);
}

void extend_sign(std::span<std::byte> samples, std::size_t container, unsigned precision) noexcept {
    if (precision != 0 && precision < container * 8) {
        const auto unused = static_cast<unsigned>(container * 8 - precision);
        shift(samples, container, true, unused, unused);
    }
}

}  // namespace hilum::codec
