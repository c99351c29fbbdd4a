// SPDX-License-Identifier: Apache-2.0
// The contract of every encoder: check(description, options), then encode(samples, description, options, the caller's
// span of bound(description) bytes) -> bytes written.
//
// `samples` is a frame as the decoders give it: interleaved, native byte order, one container per sample, one byte for
// a one-bit sample; its address need not be aligned. An encoder reads nothing else, writes nothing outside of `out`,
// and throws hilum::Error: unsupported_pixels where the syntax cannot hold the description, invalid_argument for
// options out of range, buffer_too_small. Values that Bits Stored cannot hold (overlay bits above them) are not cut:
// the code stream then has the precision of the container. All functions are thread-safe: there is no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "hilum/codec/codec.hpp"

namespace hilum::codec {

struct EncodeOptions {
    int quality = 90;  ///< JPEG: 1 to 100
    int near = 0;      ///< JPEG-LS: greatest difference of a sample; 0 is lossless
    double step = 0;   ///< HTJ2K: quantisation step relative to full scale; 0 is lossless
};

struct Encoder {
    std::string_view name;  ///< short and stable
    std::string_view provider;
    void (*check)(const PixelDescription& description, const EncodeOptions& options);
    std::uint64_t (*bound)(const PixelDescription& description);
    std::size_t (*encode)(std::span<const std::byte> samples, const PixelDescription& description,
                          const EncodeOptions& options, std::span<std::byte> out);
};

struct EncodedSyntax {
    std::string_view uid;
    const Encoder* encoder;
};

/// All syntaxes that have an encoder in the core, in the order of their UIDs.
[[nodiscard]] std::span<const EncodedSyntax> encoded_syntaxes() noexcept;

/// Throws unsupported_syntax, naming the UID.
[[nodiscard]] const Encoder& require_encoder(std::string_view uid);

/// Checks description, options, sizes; then the encoder's own `encode`. Returns the bytes written.
std::size_t encode_frame(std::span<const std::byte> samples, const Encoder& encoder,
                         const PixelDescription& description, const EncodeOptions& options, std::span<std::byte> out);

namespace native {
extern const Encoder kEncodeLittle;
extern const Encoder kEncodeBig;
}  // namespace native
namespace deflate {
extern const Encoder kEncode;
}
namespace rle {
extern const Encoder kEncode;
}
namespace jpeg {
extern const Encoder kEncode;
}
namespace jpeg_lossless {
extern const Encoder kEncode;
}
namespace jpeg_ls {
extern const Encoder kEncodeLossless;
extern const Encoder kEncodeNear;
}  // namespace jpeg_ls
namespace htj2k {
extern const Encoder kEncodeLossless;
extern const Encoder kEncode;
}  // namespace htj2k

/// Samples as the encoders of integers of up to 16 bits want them: unsigned, `precision` bits in the smallest
/// container. Borrowed where they are so already.
struct PlainSamples {
    std::span<const std::byte> bytes;
    std::size_t container = 1;  ///< 1 or 2
    unsigned precision = 0;
    std::unique_ptr<std::byte[]> own;
};

/// Precision that holds all samples: Bits Stored, or Bits Allocated where a sample has bits beyond or High Bit is not
/// the last of the stored ones. Unsigned, or two's complement with the unused bits zero or filled with the sign.
[[nodiscard]] unsigned precision_of(std::span<const std::byte> samples, const PixelDescription& description) noexcept;

/// `minimum`: least precision that the code stream can declare.
[[nodiscard]] PlainSamples plain_samples(std::span<const std::byte> samples, const PixelDescription& description,
                                         unsigned minimum);

/// Throws unsupported_pixels unless the samples are integers of 8 or 16 bits allocated.
void check_integers(const PixelDescription& description, const char* syntax);

}  // namespace hilum::codec
