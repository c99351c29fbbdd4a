// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/registry.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "hilum/codec/deflate.hpp"
#include "hilum/codec/jpeg.hpp"
#include "hilum/codec/jpeg12.hpp"
#include "hilum/codec/jpeg2000.hpp"
#include "hilum/codec/jpeg_lossless.hpp"
#include "hilum/codec/jpeg_ls.hpp"
#include "hilum/codec/jpeg_xl.hpp"
#include "hilum/codec/native.hpp"
#include "hilum/codec/rle.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::codec {
namespace {

constexpr std::array kNative{&native::kLittleEndian};
constexpr std::array kNativeBig{&native::kBigEndian};
constexpr std::array kRle{&rle::kCodec};
// The process decides which of these can take a code stream; all are named because each may be asked.
constexpr std::array kJpegBaseline{&jpeg::kTurbo, &jpeg12::kCodec, &jpeg_lossless::kCodec};
constexpr std::array kJpegExtended{&jpeg12::kCodec, &jpeg::kTurbo, &jpeg_lossless::kCodec};
constexpr std::array kJpegLossless{&jpeg_lossless::kCodec, &jpeg::kTurbo, &jpeg12::kCodec};
constexpr std::array kJpegLs{&jpeg_ls::kCodec};
constexpr std::array kDeflate{&deflate::kZlib};
/// The second is asked for what the first refuses as unsupported.
constexpr std::array kJpeg2000{&jpeg2000::kHilum, &jpeg2000::kOpenJpeg};

#if HILUM_HAVE_JXL
constexpr std::array kJpegXl{&jpeg_xl::kLibJxl};
#endif

constexpr Syntax kSyntaxes[]{
    {"1.2.840.10008.1.2", "Implicit VR Little Endian", kNative, false},
    {"1.2.840.10008.1.2.1", "Explicit VR Little Endian", kNative, false},
    {"1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", kNative, true},
    {"1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", kNative, false},
    {"1.2.840.10008.1.2.2", "Explicit VR Big Endian", kNativeBig, false},
#if HILUM_HAVE_JXL
    {"1.2.840.10008.1.2.4.110", "JPEG XL Lossless", kJpegXl, true},
    {"1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", kJpegXl, true},
    {"1.2.840.10008.1.2.4.112", "JPEG XL", kJpegXl, true},
#endif
    {"1.2.840.10008.1.2.4.201", "HTJ2K Lossless", kJpeg2000, true},
    {"1.2.840.10008.1.2.4.202", "HTJ2K Lossless RPCL", kJpeg2000, true},
    {"1.2.840.10008.1.2.4.203", "HTJ2K", kJpeg2000, true},
    {"1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", kJpegBaseline, true},
    {"1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", kJpegExtended, true},
    {"1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)", kJpegExtended, true},
    {"1.2.840.10008.1.2.4.53", "JPEG Spectral Selection (Process 6 and 8)", kJpegExtended, true},
    {"1.2.840.10008.1.2.4.54", "JPEG Spectral Selection (Process 7 and 9)", kJpegExtended, true},
    {"1.2.840.10008.1.2.4.55", "JPEG Full Progression (Process 10 and 12)", kJpegExtended, true},
    {"1.2.840.10008.1.2.4.56", "JPEG Full Progression (Process 11 and 13)", kJpegExtended, true},
    {"1.2.840.10008.1.2.4.57", "JPEG Lossless (Process 14)", kJpegLossless, true},
    {"1.2.840.10008.1.2.4.70", "JPEG Lossless SV1 (Process 14)", kJpegLossless, true},
    {"1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", kJpegLs, true},
    {"1.2.840.10008.1.2.4.81", "JPEG-LS Near-Lossless", kJpegLs, true},
    {"1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", kJpeg2000, true},
    {"1.2.840.10008.1.2.4.91", "JPEG 2000", kJpeg2000, true},
    {"1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Lossless", kJpeg2000, true},
    {"1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2", kJpeg2000, true},
    {"1.2.840.10008.1.2.5", "RLE Lossless", kRle, true},
    {"1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", kDeflate, true},
};

/// A JPEG's own process is believed, whatever the transfer syntax.
const Codec& codec_of(const jpeg::Markers& markers) noexcept {
    if (markers.frame_type == 0xC3) {
        return jpeg_lossless::kCodec;
    }
    if (markers.frame_type == 0xF7) {
        return jpeg_ls::kCodec;
    }
    return markers.precision == 8 ? jpeg::kTurbo : jpeg12::kCodec;
}

bool is_jpeg(const Syntax& syntax) noexcept {
    const auto* first = syntax.decoders.data();
    return first == kJpegBaseline.data() || first == kJpegExtended.data() || first == kJpegLossless.data() ||
           first == kJpegLs.data();
}

/// The next decoder is asked for what one refuses as unsupported; the first refusal is reported.
ImageInfo decode_joined(std::span<const std::byte> data, const Syntax& syntax, const PixelDescription& d,
                        std::span<std::byte> out) {
    const auto decode_by = [&](const Codec& codec) {
        const ImageInfo info = codec.probe(data, d);
        codec.decode(data, d, info, out);
        return info;
    };
    if (is_jpeg(syntax)) {
        return decode_by(codec_of(jpeg::read_markers(data)));
    }
    for (const Codec* codec : syntax.decoders.first(syntax.decoders.size() - 1)) {
        try {
            return decode_by(*codec);
        } catch (const Error& error) {
            if (error.code() != Errc::unsupported_pixels) {
                throw;
            }
        }
    }
    return decode_by(*syntax.decoders.back());
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
    return found == std::end(kSyntaxes) ? nullptr : &*found;
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
