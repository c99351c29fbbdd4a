// SPDX-License-Identifier: Apache-2.0
// Input: one byte (sign, levels to discard, threads, a region), then a JPEG 2000 code stream, decoded at the size that
// it claims (up to 65536 pixels) by our decoder.
#include <cstdint>
#include <vector>

#include "hilum/codec/jpeg2000.hpp"
#include "hilum/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) {
        return 0;
    }
    namespace jpeg2000 = hilum::codec::jpeg2000;
    const std::vector<std::byte> frame(reinterpret_cast<const std::byte*>(data) + 1,
                                       reinterpret_cast<const std::byte*>(data) + size);
    try {
        hilum::codec::PixelDescription d;
        const auto info = jpeg2000::kHilum.probe(frame, d);
        if (std::uint64_t{info.rows} * info.columns > 65536) {
            return 0;
        }
        d.rows = info.rows;
        d.columns = info.columns;
        d.samples_per_pixel = info.components;
        d.bits_allocated = info.precision > 16 ? 32 : (info.precision > 8 ? 16 : 8);
        d.bits_stored = d.bits_allocated;
        d.high_bit = static_cast<std::uint16_t>(d.bits_stored - 1);
        d.pixel_representation = data[0] & 1U;
        hilum::codec::check_description(d);
        jpeg2000::Options options{(data[0] & 2U) != 0 ? data[0] >> 4U : 0U, (data[0] & 12U) == 12U ? 2U : 1U};
        auto [rows, columns] = jpeg2000::reduced_size(frame, options.discard_levels);
        if ((data[0] & 12U) == 4U && rows > 1 && columns > 1) {
            options.region = jpeg2000::Region{columns / 3, rows / 3, columns / 2, rows / 2};
            rows /= 2;
            columns /= 2;
        }
        std::vector<std::byte> out(std::size_t{rows} * columns * d.samples_per_pixel * (d.bits_allocated / 8U));
        jpeg2000::decode_with(frame, d, info, options, out);
    } catch (const hilum::Error&) {
    }
    return 0;
}
