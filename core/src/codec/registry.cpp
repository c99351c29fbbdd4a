// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/registry.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "hilum/codec/deflate.hpp"
#include "hilum/codec/jpeg.hpp"
#include "hilum/codec/jpeg2000.hpp"
#include "hilum/codec/jpeg_lossless.hpp"
#include "hilum/codec/jpeg_ls.hpp"
#include "hilum/codec/native.hpp"
#include "hilum/codec/rle.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::codec {
namespace {

constexpr std::array kNative{&native::kLittleEndian};
constexpr std::array kNativeBig{&native::kBigEndian};
constexpr std::array kRle{&rle::kCodec};
/// The process decides which of the two can take a code stream; both are named because both are tried.
constexpr std::array kJpegDct{&jpeg::kTurbo, &jpeg_lossless::kCodec};
constexpr std::array kJpegLossless{&jpeg_lossless::kCodec, &jpeg::kTurbo};
constexpr std::array kJpegLs{&jpeg_ls::kCodec};
constexpr std::array kDeflate{&deflate::kZlib};
/// The second is asked for what the first refuses as unsupported.
constexpr std::array kJpeg2000{&jpeg2000::kHilum, &jpeg2000::kOpenJpeg};

constexpr std::array<Syntax, 15> kSyntaxes{{
    {"1.2.840.10008.1.2", "Implicit VR Little Endian", kNative, false},
    {"1.2.840.10008.1.2.1", "Explicit VR Little Endian", kNative, false},
    {"1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", kNative, true},
    {"1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", kNative, false},
    {"1.2.840.10008.1.2.2", "Explicit VR Big Endian", kNativeBig, false},
    {"1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", kJpegDct, true},
    {"1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", kJpegDct, true},
    {"1.2.840.10008.1.2.4.57", "JPEG Lossless (Process 14)", kJpegLossless, true},
    {"1.2.840.10008.1.2.4.70", "JPEG Lossless SV1 (Process 14)", kJpegLossless, true},
    {"1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", kJpegLs, true},
    {"1.2.840.10008.1.2.4.81", "JPEG-LS Near-Lossless", kJpegLs, true},
    {"1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", kJpeg2000, true},
    {"1.2.840.10008.1.2.4.91", "JPEG 2000", kJpeg2000, true},
    {"1.2.840.10008.1.2.5", "RLE Lossless", kRle, true},
    {"1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", kDeflate, true},
}};

/// The decoder for this code stream: the first of the list, except that a JPEG's own process is believed.
const Codec& choose(const Syntax& syntax, std::span<const std::byte> data) {
    if (syntax.decoders.data() != kJpegDct.data() && syntax.decoders.data() != kJpegLossless.data()) {
        return *syntax.decoders.front();
    }
    return jpeg::read_markers(data).frame_type == 0xC3 ? jpeg_lossless::kCodec : jpeg::kTurbo;
}

ImageInfo decode_joined(std::span<const std::byte> data, const Syntax& syntax, const PixelDescription& d,
                        std::span<std::byte> out) {
    const auto decode_by = [&](const Codec& codec) {
        const ImageInfo info = codec.probe(data, d);
        codec.decode(data, d, info, out);
        return info;
    };
    if (syntax.decoders.data() != kJpeg2000.data()) {
        return decode_by(choose(syntax, data));
    }
    try {
        return decode_by(jpeg2000::kHilum);
    } catch (const Error& error) {
        if (error.code() != Errc::unsupported_pixels) {
            throw;
        }
    }
    return decode_by(jpeg2000::kOpenJpeg);
}

ImageInfo decode_native(std::span<const std::byte> data, unsigned bit_offset, const Syntax& syntax,
                        const PixelDescription& d, std::span<std::byte> out) {
    const Codec& codec = *syntax.decoders.front();
    native::decode(data, d, &codec == &native::kBigEndian, bit_offset, out);
    return codec.probe(data, d);
}

}  // namespace

std::span<const Syntax> syntaxes() noexcept {
    return kSyntaxes;
}

const Syntax* find_syntax(std::string_view uid) noexcept {
    const auto found = std::ranges::find(kSyntaxes, uid, &Syntax::uid);
    return found == kSyntaxes.end() ? nullptr : &*found;
}

const Syntax& require_syntax(std::string_view uid) {
    const Syntax* found = find_syntax(uid);
    if (found == nullptr) {
        const bool is_uid = !uid.empty() && uid.size() <= 64 &&
                            std::ranges::all_of(uid, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
        throw Error(Errc::unsupported_syntax, is_uid ? "no decoder for transfer syntax " + std::string(uid)
                                                     : std::string("the transfer syntax is no UID"));
    }
    return *found;
}

ImageInfo decode_frame(const StoredFrame& frame, const Syntax& syntax, const PixelDescription& d,
                       std::span<std::byte> out) {
    check_description(d);
    check_out(out, d);
    if (frame.fragments.empty()) {
        throw Error(Errc::truncated, "the frame has no data");
    }
    const bool is_native = syntax.decoders.data() == kNative.data() || syntax.decoders.data() == kNativeBig.data();
    if (frame.fragments.size() == 1) {
        return is_native ? decode_native(frame.fragments[0], frame.bit_offset, syntax, d, out)
                         : decode_joined(frame.fragments[0], syntax, d, out);
    }
    std::uint64_t total = 0;
    for (const auto fragment : frame.fragments) {
        total += fragment.size();
    }
    if (total > limits::kMaxFrameBytes) {
        throw Error(Errc::limit_exceeded, "the fragments of one frame are too long");
    }
    const auto joined = std::make_unique_for_overwrite<std::byte[]>(total);
    std::size_t at = 0;
    for (const auto fragment : frame.fragments) {
        std::copy(fragment.begin(), fragment.end(), joined.get() + at);
        at += fragment.size();
    }
    const std::span<const std::byte> data{joined.get(), at};
    return is_native ? decode_native(data, frame.bit_offset, syntax, d, out) : decode_joined(data, syntax, d, out);
}

}  // namespace hilum::codec
