// SPDX-License-Identifier: Apache-2.0
// Grey or RGB images to PNG (8 or 16 bits) and JPEG files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hilum::pixel {

/// Tightly packed: rows x columns pixels of 1 (grey) or 3 (RGB) samples.
struct Raster {
    std::span<const std::uint8_t> pixels;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    unsigned samples = 1;
    unsigned sample_bytes = 1;  ///< 2: 16-bit samples in the machine's (little) order, PNG only
};

/// PNG (ISO/IEC 15948) by our own deflate: the same image gives the same bytes on every machine.
[[nodiscard]] std::vector<std::byte> encode_png(const Raster& image);

/// Baseline JPEG in a JFIF file, by libjpeg-turbo; colour without subsampling from quality 90 on, else 4:2:0.
/// Throws invalid_argument unless 1 <= quality <= 100.
[[nodiscard]] std::vector<std::byte> encode_jpeg(const Raster& image, int quality);

}  // namespace hilum::pixel
