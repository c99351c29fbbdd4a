// SPDX-License-Identifier: Apache-2.0
// Input: six bytes (width, height, bit-planes, passes and style, length of the cleanup segment), then an HT cleanup
// segment, then its refinement: one code-block, by the scalar and by the SIMD kernels, which have to agree.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "../src/codec/j2k/ht_block.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 8) {
        return 0;
    }
    namespace j2k = hilum::codec::j2k;
    j2k::HtShape shape;
    shape.width = data[0] % 64U + 1;
    shape.height = data[1] % 64U + 1;
    shape.plane = data[2] % j2k::HtShape::kMostPlanes;
    shape.missing = std::min(data[2] / 8U, j2k::HtShape::kMostPlanes - 1 - shape.plane);
    shape.causal = (data[3] & 4U) != 0;
    const unsigned roi = (data[3] & 8U) != 0 ? data[3] >> 4U : 0;
    const float step = (data[3] & 128U) != 0 ? 0.25F : 0.0F;
    // Buffers of the exact sizes, so that the sanitizer sees one byte too much on either side.
    const std::size_t length = std::min<std::size_t>(data[4] << 8U | data[5], size - 6);
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    const std::vector<std::byte> cleanup(bytes + 6, bytes + 6 + length);
    const std::vector<std::byte> refinement(bytes + 6 + length, bytes + size);
    const unsigned passes = refinement.empty() ? 1 : data[3] % 3U + 1;
    j2k::HtBlockDecoder scalar(j2k::ht::kScalarKernels);
    j2k::HtBlockDecoder fast;
    const auto decode = [&](j2k::HtBlockDecoder& decoder, std::vector<std::uint32_t>& out) {
        out.assign(std::size_t{shape.width} * shape.height, 0);
        return j2k::HtBlockDecoder::decode(
            {shape, {cleanup, refinement, passes}, &decoder, roi, out.data(), shape.width, step});
    };
    std::vector<std::uint32_t> a;
    std::vector<std::uint32_t> b;
    const bool good = decode(scalar, a);
    if (decode(fast, b) != good || (good && a != b)) {
        std::abort();
    }
    return 0;
}
