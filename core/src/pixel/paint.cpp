// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <vector>

#include "draw.hpp"
#include "hilum/pixel/resample.hpp"

namespace hilum::pixel {
namespace {

/// The ink as samples of the canvas.
struct Samples {
    std::uint8_t bytes[3];
    std::uint16_t word;
};

Samples samples_of(const Ink& ink, const Canvas& canvas) noexcept {
    const auto grey = static_cast<std::uint8_t>((ink.value + 128U) / 257U);
    const Rgb colour = canvas.samples == 3 ? ink.colour.value_or(Rgb{grey, grey, grey}) : Rgb{grey, grey, grey};
    return {{colour[0], colour[1], colour[2]}, ink.value};
}

/// `alpha` 0 to 1.
void blend_pixel(const Canvas& canvas, std::uint8_t* to, const Samples& ink, float alpha) noexcept {
    const auto mix = [alpha](float old, float fresh) { return old + (fresh - old) * alpha + 0.5F; };
    if (canvas.sample_bytes == 2) {
        std::uint16_t old = 0;
        std::memcpy(&old, to, sizeof(old));
        const auto fresh = static_cast<std::uint16_t>(mix(old, ink.word));
        std::memcpy(to, &fresh, sizeof(fresh));
        return;
    }
    for (unsigned s = 0; s < canvas.samples; ++s) {
        to[s] = static_cast<std::uint8_t>(mix(to[s], ink.bytes[s]));
    }
}

}  // namespace

void paint(const Canvas& canvas, std::span<const std::uint8_t> mask, std::uint32_t rows, std::uint32_t columns,
           const Ink& ink) {
    const Samples samples = samples_of(ink, canvas);
    const std::size_t step = std::size_t{canvas.samples} * canvas.sample_bytes;
    const bool scaled = rows != canvas.rows || columns != canvas.columns;
    const ImageView view{reinterpret_cast<const std::byte*>(mask.data()), rows, columns, columns, SampleType::u8, 1};
    std::optional<Resampler> resampler;
    if (scaled) {
        resampler.emplace(view, canvas.rows, canvas.columns, Interpolation::linear);
    }
    std::vector<float> alpha(canvas.columns);
    for (std::uint32_t y = 0; y < canvas.rows; ++y) {
        if (scaled) {
            resampler->row(y, alpha.data());
        } else {
            std::copy_n(mask.data() + std::size_t{y} * columns, columns, alpha.begin());
        }
        std::uint8_t* to = canvas.row(y);
        for (std::uint32_t x = 0; x < canvas.columns; ++x, to += step) {
            if (alpha[x] > 0.0F) {
                blend_pixel(canvas, to, samples, std::min(alpha[x] / 255.0F, 1.0F));
            }
        }
    }
}

void orient(const Canvas& from, const Canvas& to, unsigned rotation, bool flip) noexcept {
    const std::size_t step = std::size_t{from.samples} * from.sample_bytes;
    for (std::uint32_t y = 0; y < to.rows; ++y) {
        std::uint8_t* out = to.row(y);
        for (std::uint32_t at = 0; at < to.columns; ++at, out += step) {
            const std::uint32_t x = flip ? to.columns - 1 - at : at;
            const std::uint8_t* in = nullptr;
            switch (rotation) {
                case 90:
                    in = from.row(from.rows - 1 - x) + y * step;
                    break;
                case 180:
                    in = from.row(from.rows - 1 - y) + (from.columns - 1 - x) * step;
                    break;
                case 270:
                    in = from.row(x) + (from.columns - 1 - y) * step;
                    break;
                default:
                    in = from.row(y) + x * step;
            }
            std::memcpy(out, in, step);
        }
    }
}

}  // namespace hilum::pixel
