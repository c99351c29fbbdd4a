// SPDX-License-Identifier: Apache-2.0
// JPEG-LS (ISO/IEC 14495-1); colour is interleaved by line, as dcmtk writes it.
#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "hilum/codec/encode.hpp"
#include "hilum/error.hpp"
#include "jpeg_ls/encode_scan.hpp"

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

/// Markers and header of the frame and of its one scan (C.2.2, C.2.3).
constexpr std::size_t kMostHeaderBytes = 2 + 2 + 8 + 3 * 4 + 2 + 6 + 2 * 4 + 2;

std::uint64_t bound(const PixelDescription& d) {
    const std::uint64_t samples = std::uint64_t{d.rows} * d.columns * d.samples_per_pixel;
    return kMostHeaderBytes + scan_bound(d.rows * d.samples_per_pixel, samples, d.bits_allocated);
}

/// Writes bytes one after the other.
class Header {
public:
    explicit Header(std::byte* at) noexcept : at_(at) {}

    void bytes(std::initializer_list<unsigned> values) noexcept {
        for (const unsigned value : values) {
            *at_++ = static_cast<std::byte>(value);
        }
    }

    void word(unsigned value) noexcept { bytes({value >> 8U & 0xFFU, value & 0xFFU}); }

    [[nodiscard]] std::byte* at() const noexcept { return at_; }

private:
    std::byte* at_;
};

std::size_t encode(std::span<const std::byte> samples, const PixelDescription& d, const EncodeOptions& options,
                   std::span<std::byte> out) {
    const PlainSamples plain = plain_samples(samples, d, 2);
    Scan scan;
    scan.rows = d.rows;
    scan.columns = d.columns;
    scan.components = d.samples_per_pixel;
    scan.near = static_cast<unsigned>(options.near);
    scan.interleave = scan.components > 1 ? Interleave::line : Interleave::none;
    scan.container = plain.container;
    if (!complete(scan.preset, plain.precision, scan.near)) {
        throw Error(Errc::invalid_argument, "JPEG-LS NEAR is too large for these samples");
    }
    Header header(out.data());
    header.bytes({0xFF, 0xD8, 0xFF, 0xF7});
    header.word(8 + 3 * scan.components);
    header.bytes({plain.precision});
    header.word(scan.rows);
    header.word(scan.columns);
    header.bytes({scan.components});
    for (unsigned c = 1; c <= scan.components; ++c) {
        header.bytes({c, 0x11, 0});
    }
    header.bytes({0xFF, 0xDA});
    header.word(6 + 2 * scan.components);
    header.bytes({scan.components});
    for (unsigned c = 1; c <= scan.components; ++c) {
        header.bytes({c, 0});
    }
    header.bytes({scan.near, static_cast<unsigned>(scan.interleave), 0});
    std::byte* const data = header.at();
    Header trailer(data + encode_scan(plain.bytes, scan, data));
    trailer.bytes({0xFF, 0xD9});
    return static_cast<std::size_t>(trailer.at() - out.data());
}

}  // namespace

const Encoder kEncodeLossless{"jpeg_ls", "hilum", &check_lossless, &bound, &encode};
const Encoder kEncodeNear{"jpeg_ls", "hilum", &check, &bound, &encode};

}  // namespace hilum::codec::jpeg_ls
