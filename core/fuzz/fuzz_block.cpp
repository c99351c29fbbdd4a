// SPDX-License-Identifier: Apache-2.0
// Input: six bytes (width, height, bit-planes and subband, style, passes of a segment, its length), then the codeword
// segments of one JPEG 2000 code-block: plain C++ and what this processor gets have to agree.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "../src/codec/j2k/block.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 7) {
        return 0;
    }
    namespace j2k = hilum::codec::j2k;
    j2k::BlockShape shape;
    shape.width = data[0] % 80U + 1;
    shape.height = data[1] % 50U + 1;
    shape.planes = std::min(data[2] / 4U, 29U) + 1;
    shape.orientation = data[2] % 4U;
    shape.style = data[3] % 64U;
    const unsigned passes = data[4] % 92U + 1;
    const std::size_t length = data[5] + std::size_t{1};
    // a buffer for each segment, so that the sanitizer sees one byte too much on either side
    std::vector<std::vector<std::byte>> bytes;
    std::vector<j2k::Segment> segments;
    for (std::size_t at = 6; at < size; at += length) {
        const auto* from = reinterpret_cast<const std::byte*>(data) + at;
        bytes.emplace_back(from, from + std::min(length, size - at));
        segments.push_back({bytes.back().data(), bytes.back().size(), passes});
    }
    j2k::BlockDecoder scalar(&j2k::run_passes_scalar);
    j2k::BlockDecoder fast;
    const auto decode = [&](j2k::BlockDecoder& decoder) {
        std::vector<std::int32_t> out(std::size_t{shape.width} * shape.height);
        decoder.decode(shape, segments);
        decoder.undo_roi((data[3] & 64U) != 0 ? 7 : 0);
        decoder.store_integers(out.data(), shape.width);
        return out;
    };
    if (decode(scalar) != decode(fast)) {
        std::abort();
    }
    return 0;
}
