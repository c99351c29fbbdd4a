// SPDX-License-Identifier: Apache-2.0
// Input: rows, columns (1-64), layout byte, then an RLE frame. Whole output or an error, nothing else.
#include <cstdint>
#include <vector>

#include "hilum/codec/rle.hpp"
#include "hilum/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3) {
        return 0;
    }
    hilum::codec::PixelDescription d;
    d.rows = 1U + data[0] % 64U;
    d.columns = 1U + data[1] % 64U;
    const unsigned layout = data[2];
    constexpr std::uint16_t kBits[4] = {1, 8, 16, 32};
    d.bits_allocated = kBits[layout % 4];
    d.samples_per_pixel = d.bits_allocated > 1 && (layout & 4U) != 0 ? 3 : 1;
    d.bits_stored = d.bits_allocated == 16 && (layout & 8U) != 0 ? 12 : d.bits_allocated;
    d.high_bit = static_cast<std::uint16_t>(d.bits_stored - 1);
    d.pixel_representation = (layout & 16U) != 0 ? 1 : 0;
    // A buffer of the exact size, so that the sanitizer sees one byte too much on either side.
    const std::vector<std::byte> frame(reinterpret_cast<const std::byte*>(data) + 3,
                                       reinterpret_cast<const std::byte*>(data) + size);
    std::vector<std::byte> out(hilum::codec::frame_bytes(d));
    try {
        const auto info = hilum::codec::rle::kCodec.probe(frame, d);
        hilum::codec::rle::kCodec.decode(frame, d, info, out);
    } catch (const hilum::Error&) {
    }
    return 0;
}
