// SPDX-License-Identifier: Apache-2.0
// Scaling: each axis averages by area where it shrinks and interpolates linearly where it grows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hilum/image_view.hpp"

namespace hilum::pixel {

/// Which source samples make one output sample, and with what weights (they sum to 1).
struct Taps {
    std::uint32_t first = 0;
    std::vector<float> weights;
};

/// The taps of an axis of `from` samples made `to` samples long. Both at least 1.
[[nodiscard]] std::vector<Taps> make_taps(std::uint32_t from, std::uint32_t to);

/// Scales `in` to rows x columns; `out` has rows * columns * in.samples floats in stored units. A row's result does not
/// depend on the other rows of the output.
void resample(const ImageView& in, std::uint32_t rows, std::uint32_t columns, std::span<float> out);

/// Rounds to 0-255.
void to_bytes(std::span<const float> in, std::span<std::uint8_t> out) noexcept;

}  // namespace hilum::pixel
