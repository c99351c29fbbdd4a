// SPDX-License-Identifier: Apache-2.0
// The halves of render.cpp: grey and colour rows, and what is painted over them.
#pragma once

#include <span>

#include "hilum/pixel/render.hpp"
#include "hilum/pixel/unpack.hpp"
#include "mapping.hpp"

namespace hilum::pixel {

/// Where a picture, not yet rotated, is drawn: rows `stride` bytes apart. Borrows its memory.
struct Canvas {
    std::uint8_t* data = nullptr;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    unsigned samples = 1;
    unsigned sample_bytes = 1;
    std::size_t stride = 0;

    [[nodiscard]] std::uint8_t* row(std::uint32_t y) const noexcept { return data + y * stride; }
};

/// What the drawing functions share. `image.view` is the part to be drawn, `whole` the frame.
struct Scene {
    const Unpacked& image;
    const ImageView& whole;
    const codec::PixelDescription& description;
    const RenderingAttributes& attributes;
    const RenderRequest& request;
};

/// PALETTE COLOR, or grey with a supplemental or a pseudo-colour palette.
[[nodiscard]] bool is_tabulated_colour(const codec::PixelDescription& description,
                                       const RenderingAttributes& attributes, const RenderRequest& request) noexcept;

void draw_grey(const Scene& scene, const Canvas& canvas);
/// The display values, 0 to `full`, of an image of one sample a pixel.
[[nodiscard]] Mapping mapping_of(const Scene& scene, double full);

void draw_colour(const Scene& scene, const Canvas& canvas);

/// Paints over `canvas` where `mask` (columns x rows, 0 or 255) says; scaled to the canvas, edges are blended.
void paint(const Canvas& canvas, std::span<const std::uint8_t> mask, std::uint32_t rows, std::uint32_t columns,
           const Ink& ink);

/// Copies `from` to `to`, rotated clockwise, then flipped left to right. `to` has the size that this gives.
void orient(const Canvas& from, const Canvas& to, unsigned rotation, bool flip) noexcept;

}  // namespace hilum::pixel
