// SPDX-License-Identifier: Apache-2.0
// Any bytes: read_geometry gives as many frames as it is asked for, each with a label that exists, or a hilum::Error.
#include <cstdlib>

#include "hilum/error.hpp"
#include "hilum/volume/geometry.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::span<const std::byte> data(reinterpret_cast<const std::byte*>(bytes), size);
    const std::uint32_t frames = size > 0 ? bytes[0] % 5U : 1U;  // the preamble's first byte, which means nothing
    try {
        const hilum::volume::Geometry found = hilum::volume::read_geometry(data, frames);
        if (found.frames.size() != frames) {
            std::abort();
        }
        for (const hilum::volume::FrameGeometry& frame : found.frames) {
            if (!(frame.label >= 0.0 && frame.label < static_cast<double>(found.labels.size())) || frame.slope == 0.0) {
                std::abort();
            }
        }
    } catch (const hilum::Error&) {
    }
    return 0;
}
