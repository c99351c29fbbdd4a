// SPDX-License-Identifier: Apache-2.0
// Rays as pixels of 8-bit RGB.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "raycast_kernels.hpp"

namespace hilum::render {

inline void write_rgb(const kernels::Seen& seen, const std::array<float, 3>& background, std::uint8_t* to) noexcept {
    constexpr float kScale = 255.0F / kMostColour;
    const auto byte = [](float value) { return static_cast<std::uint8_t>(std::min(value, 255.0F) + 0.5F); };
    const float behind = seen.transmittance * 255.0F;
    to[0] = byte(seen.red * kScale + behind * background[0]);
    to[1] = byte(seen.green * kScale + behind * background[1]);
    to[2] = byte(seen.blue * kScale + behind * background[2]);
}

/// `bytes`: of the buffer that shall hold the image.
inline void check_rgb(ImageSize size, const std::array<float, 3>& background, std::size_t bytes) {
    const std::uint64_t pixels = std::uint64_t{size.rows} * size.columns;
    if (pixels > limits::kMaxRenderedPixels) {
        throw Error(Errc::limit_exceeded, "an image of more pixels than the limit");
    }
    if (bytes != pixels * 3) {
        throw Error(Errc::buffer_too_small, "the buffer is not as large as the image");
    }
    if (!std::ranges::all_of(background, [](float part) { return part >= 0.0F && part <= 1.0F; })) {
        throw Error(Errc::invalid_argument, "the background is no colour from 0 to 1");
    }
}

}  // namespace hilum::render
