// SPDX-License-Identifier: Apache-2.0
// JPEG-LS (ISO/IEC 14495-1) by CharLS; colour is interleaved by line, as dcmtk writes it.
#ifdef HILUM_HAVE_CHARLS
#include <charls/charls.h>

#include <algorithm>
#include <string>

#include "hilum/codec/encode.hpp"
#include "hilum/error.hpp"

namespace hilum::codec::jpeg_ls {
namespace {

void check(const PixelDescription& d, const EncodeOptions& options) {
    check_integers(d, "JPEG-LS");
    const int greatest = std::min(255, ((1 << d.bits_stored) - 1) / 2);
    if (options.near < 0 || options.near > std::max(greatest, 0)) {
        throw Error(Errc::invalid_argument,
                    "JPEG-LS NEAR must be 0 to " + std::to_string(greatest) + " for these samples");
    }
    if (options.near > 0 && d.pixel_representation == 1) {
        throw Error(Errc::unsupported_pixels,
                    "JPEG-LS near-lossless has no signed samples: a small error at zero would become a large one");
    }
}

void check_lossless(const PixelDescription& d, const EncodeOptions& options) {
    check(d, options);
    if (options.near != 0) {
        throw Error(Errc::invalid_argument,
                    "NEAR must be 0 in JPEG-LS lossless; near-lossless is 1.2.840.10008.1.2.4.81");
    }
}

/// No code is longer than LIMIT, 2 * (bits + max(8, bits)) bits (A.2.1, C.2.4.1.2); lines may end in a run code.
std::uint64_t bound(const PixelDescription& d) {
    const unsigned bits = std::max<unsigned>(8, d.bits_allocated);
    return 4096 + (std::uint64_t{d.rows} * d.columns * d.samples_per_pixel * 4 * bits + 7) / 8 +
           std::uint64_t{d.rows} * 8;
}

std::size_t encode(std::span<const std::byte> samples, const PixelDescription& d, const EncodeOptions& options,
                   std::span<std::byte> out) {
    const PlainSamples plain = plain_samples(samples, d, 2);
    try {
        charls::jpegls_encoder encoder;
        encoder.frame_info({d.columns, d.rows, static_cast<std::int32_t>(plain.precision), d.samples_per_pixel})
            .near_lossless(options.near)
            .interleave_mode(d.samples_per_pixel > 1 ? charls::interleave_mode::line : charls::interleave_mode::none)
            .destination(out.data(), out.size());
        return encoder.encode(plain.bytes.data(), plain.bytes.size());
    } catch (const charls::jpegls_error& error) {
        throw Error(Errc::invalid_argument, std::string("JPEG-LS: ") + error.what());
    }
}

}  // namespace

const Encoder kEncodeLossless{"jpeg_ls", "CharLS", &check_lossless, &bound, &encode};
const Encoder kEncodeNear{"jpeg_ls", "CharLS", &check, &bound, &encode};

}  // namespace hilum::codec::jpeg_ls

#endif  // HILUM_HAVE_CHARLS
