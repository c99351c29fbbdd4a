// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/encode.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <type_traits>

#include "hilum/error.hpp"

namespace hilum::codec {
namespace {

constexpr std::array kSyntaxes{
    EncodedSyntax{"1.2.840.10008.1.2", &native::kEncodeLittle},
    EncodedSyntax{"1.2.840.10008.1.2.1", &native::kEncodeLittle},
    EncodedSyntax{"1.2.840.10008.1.2.1.98", &native::kEncodeLittle},
    EncodedSyntax{"1.2.840.10008.1.2.1.99", &native::kEncodeLittle},
    EncodedSyntax{"1.2.840.10008.1.2.2", &native::kEncodeBig},
    EncodedSyntax{"1.2.840.10008.1.2.4.50", &jpeg::kEncode},
    EncodedSyntax{"1.2.840.10008.1.2.4.70", &jpeg_lossless::kEncode},
    EncodedSyntax{"1.2.840.10008.1.2.4.80", &jpeg_ls::kEncodeLossless},
    EncodedSyntax{"1.2.840.10008.1.2.4.81", &jpeg_ls::kEncodeNear},
    EncodedSyntax{"1.2.840.10008.1.2.4.201", &htj2k::kEncodeLossless},
    EncodedSyntax{"1.2.840.10008.1.2.4.202", &htj2k::kEncodeLossless},
    EncodedSyntax{"1.2.840.10008.1.2.4.203", &htj2k::kEncode},
    EncodedSyntax{"1.2.840.10008.1.2.5", &rle::kEncode},
    EncodedSyntax{"1.2.840.10008.1.2.8.1", &deflate::kEncode},
};

/// OR of what has to be zero for the stored bits to hold a sample, by both readings of the unused bits.
template <typename Sample>
std::pair<std::uint32_t, std::uint32_t> used_bits(std::span<const std::byte> samples) noexcept {
    using Unsigned = std::make_unsigned_t<Sample>;
    using Signed = std::make_signed_t<Sample>;
    Unsigned plain = 0;
    Unsigned folded = 0;
    const std::size_t count = samples.size() / sizeof(Sample);
    for (std::size_t i = 0; i < count; ++i) {
        Signed value{};
        std::memcpy(&value, samples.data() + i * sizeof(Sample), sizeof(value));
        const auto sign = static_cast<Signed>(value >> (sizeof(Sample) * 8 - 1));
        plain = static_cast<Unsigned>(plain | static_cast<Unsigned>(value));
        folded = static_cast<Unsigned>(folded | static_cast<Unsigned>(value ^ sign));
    }
    return {plain, folded};
}

template <typename From, typename To>
void mask_into(std::span<const std::byte> samples, unsigned precision, std::byte* out) noexcept {
    const auto mask = static_cast<From>((std::uint32_t{1} << precision) - 1U);
    const std::size_t count = samples.size() / sizeof(From);
    for (std::size_t i = 0; i < count; ++i) {
        From value{};
        std::memcpy(&value, samples.data() + i * sizeof(From), sizeof(value));
        const auto masked = static_cast<To>(value & mask);
        std::memcpy(out + i * sizeof(To), &masked, sizeof(masked));
    }
}

}  // namespace

std::span<const EncodedSyntax> encoded_syntaxes() noexcept {
    return kSyntaxes;
}

const Encoder& require_encoder(std::string_view uid) {
    const auto found = std::ranges::find(kSyntaxes, uid, &EncodedSyntax::uid);
    if (found == kSyntaxes.end()) {
        const bool is_uid = !uid.empty() && uid.size() <= 64 &&
                            std::ranges::all_of(uid, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
        throw Error(Errc::unsupported_syntax, is_uid ? "no encoder for transfer syntax " + std::string(uid)
                                                     : std::string("the transfer syntax is no UID"));
    }
    return *found->encoder;
}

std::size_t encode_frame(std::span<const std::byte> samples, const Encoder& encoder, const PixelDescription& d,
                         const EncodeOptions& options, std::span<std::byte> out) {
    check_description(d);
    encoder.check(d, options);
    if (samples.size() != frame_bytes(d)) {
        throw Error(Errc::invalid_argument, "the samples have " + std::to_string(samples.size()) +
                                                " bytes, the frame needs " + std::to_string(frame_bytes(d)));
    }
    if (out.size() < encoder.bound(d)) {
        throw Error(Errc::buffer_too_small, "the output has " + std::to_string(out.size()) +
                                                " bytes, the code stream may need " + std::to_string(encoder.bound(d)));
    }
    return encoder.encode(samples, d, options, out);
}

unsigned precision_of(std::span<const std::byte> samples, const PixelDescription& d) noexcept {
    const unsigned stored = d.bits_stored;
    if (stored == d.bits_allocated || d.high_bit + 1U != stored) {
        return d.bits_allocated;
    }
    const auto [plain, folded] = d.bits_allocated == 8    ? used_bits<std::uint8_t>(samples)
                                 : d.bits_allocated == 16 ? used_bits<std::uint16_t>(samples)
                                                          : used_bits<std::uint32_t>(samples);
    const bool fits = plain >> stored == 0 || (d.pixel_representation == 1 && folded >> (stored - 1U) == 0);
    return fits ? stored : d.bits_allocated;
}

PlainSamples plain_samples(std::span<const std::byte> samples, const PixelDescription& d, unsigned minimum) {
    PlainSamples plain;
    plain.precision = std::max(precision_of(samples, d), minimum);
    const bool narrow = plain.precision <= 8 && d.bits_allocated == 16;
    plain.container = narrow || d.bits_allocated == 8 ? 1 : 2;
    if (!narrow && (d.pixel_representation == 0 || plain.precision == d.bits_allocated)) {
        plain.bytes = samples;
        return plain;
    }
    const std::size_t size = narrow ? samples.size() / 2 : samples.size();
    plain.own = std::make_unique_for_overwrite<std::byte[]>(size);
    if (narrow) {
        mask_into<std::uint16_t, std::uint8_t>(samples, plain.precision, plain.own.get());
    } else if (d.bits_allocated == 8) {
        mask_into<std::uint8_t, std::uint8_t>(samples, plain.precision, plain.own.get());
    } else {
        mask_into<std::uint16_t, std::uint16_t>(samples, plain.precision, plain.own.get());
    }
    plain.bytes = {plain.own.get(), size};
    return plain;
}

void check_integers(const PixelDescription& d, const char* syntax) {
    if (d.keyword != PixelKeyword::pixel_data || (d.bits_allocated != 8 && d.bits_allocated != 16)) {
        throw Error(Errc::unsupported_pixels, std::string(syntax) + " holds integers of 8 or 16 bits allocated only");
    }
}

}  // namespace hilum::codec
