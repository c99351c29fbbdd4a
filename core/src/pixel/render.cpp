// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/render.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <tuple>

#include "grey.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/pixel/encode.hpp"
#include "hilum/pixel/resample.hpp"
#include "hilum/pixel/unpack.hpp"

namespace hilum::pixel {
namespace {

using codec::ImageInfo;
using codec::Photometric;
using codec::PixelDescription;

ImageView crop(const ImageView& view, const std::optional<Region>& region) {
    if (!region) {
        return view;
    }
    const Region& r = *region;
    if (r.columns == 0 || r.rows == 0 || r.x >= view.columns || r.y >= view.rows || r.columns > view.columns - r.x ||
        r.rows > view.rows - r.y) {
        throw Error(Errc::out_of_range, "the region is not inside of the image");
    }
    ImageView part = view;
    part.data = view.row(r.y) + std::size_t{r.x} * view.samples * bytes_of(view.type);
    part.rows = r.rows;
    part.columns = r.columns;
    return part;
}

/// PS3.3 C.7.6.3.1.2, and what the code stream says of itself where that is more certain.
bool is_ybr(const PixelDescription& d, const ImageInfo& info) noexcept {
    if (info.colour != ImageInfo::Colour::as_described) {
        return info.colour == ImageInfo::Colour::ycc;
    }
    switch (d.photometric) {
        case Photometric::ybr_full:
        case Photometric::ybr_full_422:
        case Photometric::ybr_partial_420:
        case Photometric::ybr_partial_422:
            return true;
        default:
            return false;
    }
}

bool is_partial(const PixelDescription& d) noexcept {
    return d.photometric == Photometric::ybr_partial_420 || d.photometric == Photometric::ybr_partial_422;
}

/// Rows of three samples to 8-bit RGB.
std::vector<std::uint8_t> colour_pixels(const Unpacked& image, const PixelDescription& d) {
    const ImageView& view = image.view;
    const std::size_t width = std::size_t{view.columns} * 3;
    std::vector<std::uint8_t> rgb(width * view.rows);
    for (std::uint32_t y = 0; y < view.rows; ++y) {
        to_8_bits(view.row(y), width, bytes_of(view.type), std::max(d.bits_stored, image.info.precision),
                  rgb.data() + y * width);
    }
    if (is_ybr(d, image.info)) {
        ybr_to_rgb(rgb, is_partial(d) ? YbrKind::partial : YbrKind::full);
    }
    return rgb;
}

std::vector<std::uint8_t> palette_pixels(const Unpacked& image, const RenderingAttributes& attributes) {
    if (!attributes.palette) {
        throw Error(Errc::missing_element,
                    "PALETTE COLOR without Palette Color Lookup Tables (0028,1201) to (0028,1203)");
    }
    const ImageView& view = image.view;
    const std::size_t container = bytes_of(view.type);
    if (container > 2) {
        throw Error(Errc::unsupported_pixels, "PALETTE COLOR with more than 16 bits allocated");
    }
    const Extraction e = image.extraction;
    const std::size_t patterns = std::size_t{1} << (8 * container - e.right);
    std::vector<std::uint8_t> table(3 * patterns);
    tabulate_palette(*attributes.palette, 0, patterns, table.data());
    std::vector<std::uint8_t> rgb(std::size_t{view.rows} * view.columns * 3);
    std::uint8_t* to = rgb.data();
    for (std::uint32_t y = 0; y < view.rows; ++y) {
        const std::byte* row = view.row(y);
        for (std::uint32_t x = 0; x < view.columns; ++x, to += 3) {
            std::uint16_t raw = 0;
            std::memcpy(&raw, row + x * container, container);
            const unsigned mask = static_cast<unsigned>(patterns - 1);
            const unsigned index = (static_cast<unsigned>(raw) << e.left >> e.right) & mask;
            std::memcpy(to, table.data() + std::size_t{3} * index, 3);
        }
    }
    return rgb;
}

RenderedImage scale_colour(std::vector<std::uint8_t> rgb, const ImageView& view, double aspect,
                           const RenderRequest& request) {
    RenderedImage result;
    result.samples = 3;
    std::tie(result.rows, result.columns) = output_size(view.rows, view.columns, aspect, request);
    if (result.rows == view.rows && result.columns == view.columns) {
        result.pixels = std::move(rgb);
        return result;
    }
    const ImageView source{reinterpret_cast<const std::byte*>(rgb.data()),
                           view.rows,
                           view.columns,
                           std::size_t{view.columns} * 3,
                           SampleType::u8,
                           3};
    std::vector<float> values(std::size_t{result.rows} * result.columns * 3);
    resample(source, result.rows, result.columns, values);
    result.pixels.resize(values.size());
    to_bytes(values, result.pixels);
    return result;
}

bool is_palette(const PixelDescription& d) noexcept {
    return d.photometric == Photometric::palette_color && d.samples_per_pixel == 1;
}

std::uint32_t to_length(double length) noexcept {
    return static_cast<std::uint32_t>(std::clamp(std::round(length), 1.0, 4294967295.0));
}

}  // namespace

std::pair<std::uint32_t, std::uint32_t> output_size(std::uint32_t rows, std::uint32_t columns, double pixel_aspect,
                                                    const RenderRequest& request) {
    double width = columns;
    double height = rows;
    const bool square = !request.square_pixels || !(std::abs(pixel_aspect - 1.0) > 0.01);
    if (!square) {  // the axis with the larger spacing grows: nothing is lost
        (pixel_aspect > 1.0 ? height : width) *= pixel_aspect > 1.0 ? pixel_aspect : 1.0 / pixel_aspect;
    }
    if (request.width != 0 || request.height != 0) {
        const double across = request.width == 0 ? INFINITY : request.width / width;
        const double down = request.height == 0 ? INFINITY : request.height / height;
        const double factor = std::min(across, down);
        width *= factor;
        height *= factor;
    }
    const std::uint32_t out_rows = to_length(height);
    const std::uint32_t out_columns = to_length(width);
    if (std::uint64_t{out_rows} * out_columns > limits::kMaxRenderedPixels) {
        throw Error(Errc::limit_exceeded, "the rendered image would be larger than the limit");
    }
    return {out_rows, out_columns};
}

RenderedImage render_image(const codec::StoredFrame& frame, const codec::Syntax& syntax, const PixelDescription& d,
                           const RenderingAttributes& attributes, const RenderRequest& request) {
    if (request.window && !is_valid(*request.window)) {
        throw Error(Errc::invalid_argument, "the window's width must be at least 1 (LINEAR) or above 0");
    }
    Unpacked image = unpack(frame, syntax, d);
    const ImageView whole = image.view;
    image.view = crop(whole, request.region);
    if (d.samples_per_pixel == 1 && !is_palette(d)) {
        return render_grey(image, whole, d, attributes, request);
    }
    if (d.samples_per_pixel != 1 && d.samples_per_pixel != 3) {
        throw Error(Errc::unsupported_pixels, "four samples per pixel have no conversion to RGB");
    }
    std::vector<std::uint8_t> rgb = is_palette(d) ? palette_pixels(image, attributes) : colour_pixels(image, d);
    if (request.invert) {
        std::ranges::for_each(rgb, [](std::uint8_t& value) { value = static_cast<std::uint8_t>(value ^ 0xFFU); });
    }
    return scale_colour(std::move(rgb), image.view, attributes.pixel_aspect, request);
}

std::vector<std::byte> render(const codec::StoredFrame& frame, const codec::Syntax& syntax, const PixelDescription& d,
                              const RenderingAttributes& attributes, const RenderRequest& request) {
    const RenderedImage image = render_image(frame, syntax, d, attributes, request);
    const Raster raster{image.pixels, image.rows, image.columns, image.samples};
    return request.format == FileFormat::png ? encode_png(raster) : encode_jpeg(raster, request.quality);
}

Range stored_range(const codec::StoredFrame& frame, const codec::Syntax& syntax, const PixelDescription& d,
                   const RenderingAttributes& attributes) {
    const Unpacked image = unpack(frame, syntax, d);
    if (d.samples_per_pixel != 1) {
        throw Error(Errc::unsupported_pixels, "a range of stored values is for one sample per pixel");
    }
    return range_of(image.view, image.extraction, attributes.padding);
}

}  // namespace hilum::pixel
