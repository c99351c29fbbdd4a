// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/deflate.hpp"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <string>

#include "hilum/codec/native.hpp"
#include "hilum/error.hpp"

namespace hilum::codec::deflate {
namespace {

ImageInfo probe(std::span<const std::byte> data, const PixelDescription& d) {
    return native::kLittleEndian.probe(data, d);
}

/// Inflates until `out` is full; what follows (padding, at most) is not looked at. zlib counts in 32 bits: in steps.
void inflate_frame(std::span<const std::byte> data, std::span<std::byte> out) {
    constexpr std::size_t kStep = 1U << 30U;
    z_stream stream{};
    if (inflateInit2(&stream, -15) != Z_OK) {
        throw Error(Errc::out_of_memory, "deflated frame: no memory to inflate");
    }
    const std::unique_ptr<z_stream, decltype(&inflateEnd)> end(&stream, &inflateEnd);
    std::size_t taken = 0;
    std::size_t given = 0;
    int result = Z_OK;
    while (given < out.size() && result == Z_OK) {
        const std::size_t in_step = std::min(kStep, data.size() - taken);
        const std::size_t out_step = std::min(kStep, out.size() - given);
        stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(data.data() + taken));
        stream.avail_in = static_cast<uInt>(in_step);
        stream.next_out = reinterpret_cast<Bytef*>(out.data() + given);
        stream.avail_out = static_cast<uInt>(out_step);
        result = inflate(&stream, Z_NO_FLUSH);
        taken += in_step - stream.avail_in;
        given += out_step - stream.avail_out;
    }
    if (given < out.size()) {
        throw Error(Errc::bad_codestream,
                    "deflated frame: " + std::to_string(given) + " bytes where its description needs " +
                        std::to_string(out.size()),
                    taken);
    }
}

void decode(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo&, std::span<std::byte> out) {
    check_description(d);
    check_out(out, d);
    const std::size_t stored = (native::stored_frame_bits(d) + 7) / 8;
    const auto frame = std::make_unique_for_overwrite<std::byte[]>(stored);
    inflate_frame(data, {frame.get(), stored});
    native::decode({frame.get(), stored}, d, false, 0, out);
}

}  // namespace

const Codec kZlib{"deflate_zlib", "zlib", &probe, &decode};

}  // namespace hilum::codec::deflate
