// SPDX-License-Identifier: Apache-2.0
// Scaling: each axis averages by area where it shrinks and interpolates, linearly or by Catmull-Rom cubics, where it
// grows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "hilum/image_view.hpp"

namespace hilum::pixel {

/// For axes that grow. `cubic`: the cubic convolution with a = -1/2 (Catmull-Rom; Keys 1981), edges repeated.
enum class Interpolation : std::uint8_t { linear, cubic };

/// Which source samples make one output sample, and with what weights (they sum to 1).
struct Taps {
    std::uint32_t first = 0;
    std::vector<float> weights;
};

/// The taps of an axis of `from` samples made `to` samples long. Both at least 1.
[[nodiscard]] std::vector<Taps> make_taps(std::uint32_t from, std::uint32_t to,
                                          Interpolation interpolation = Interpolation::linear);

/// Scales an image row by row. A row's result does not depend on the other rows of the output. Borrows `in`.
class Resampler {
public:
    Resampler(const ImageView& in, std::uint32_t rows, std::uint32_t columns, Interpolation interpolation);

    /// Row `y` of the output: columns * in.samples floats in stored units.
    void row(std::uint32_t y, float* out);

private:
    using AddRow = void (*)(const std::byte*, std::size_t, float, float*) noexcept;

    ImageView in_;
    std::vector<Taps> vertical_;
    std::vector<Taps> horizontal_;
    AddRow add_;
    std::vector<float> sum_;
};

/// Rounds to 0-255.
void to_bytes(std::span<const float> in, std::span<std::uint8_t> out) noexcept;

}  // namespace hilum::pixel
