// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/render.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <tuple>

#include "auto_window.hpp"
#include "draw.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/pixel/encode.hpp"
#include "hilum/pixel/unpack.hpp"

namespace hilum::pixel {
namespace {

using codec::PixelDescription;

/// Where things lie before the rotation: `part` of the image is drawn into `place` of a canvas of rows x columns.
struct Layout {
    Region part;
    Region place;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
};

double aspect_of(const RenderingAttributes& attributes, const RenderRequest& request) noexcept {
    return request.pixel_aspect.value_or(attributes.pixel_aspect);
}

bool turns(const RenderRequest& request) noexcept {
    return request.rotation == 90 || request.rotation == 270;
}

bool is_oriented(const RenderRequest& request) noexcept {
    return request.rotation != 0 || request.flip;
}

Region whole_of(const PixelDescription& d) noexcept {
    return {0, 0, d.columns, d.rows};
}

void check_region(const Region& r, const PixelDescription& d) {
    if (r.columns == 0 || r.rows == 0 || r.x >= d.columns || r.y >= d.rows || r.columns > d.columns - r.x ||
        r.rows > d.rows - r.y) {
        throw Error(Errc::out_of_range, "the region is not inside of the image");
    }
}

/// First pixel and number of pixels of one axis that are both in [first, last], from 1, and in the image.
std::pair<std::uint32_t, std::uint32_t> clip(std::int64_t first, std::int64_t last, std::uint32_t length) {
    const std::int64_t begin = std::clamp<std::int64_t>(first - 1, 0, length);
    const std::int64_t end = std::clamp<std::int64_t>(last, begin, length);
    return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end - begin)};
}

/// Where [begin, begin + count) of an image's axis lies in `to` pixels that show [first, last].
std::pair<std::uint32_t, std::uint32_t> project(std::uint32_t begin, std::uint32_t count, std::int64_t first,
                                                std::int64_t last, std::uint32_t to) {
    const double factor = to / static_cast<double>(last - first + 1);
    const auto start = static_cast<std::int64_t>(std::round(static_cast<double>(begin + 1 - first) * factor));
    const auto end = static_cast<std::int64_t>(std::round(static_cast<double>(begin + 1 - first + count) * factor));
    const std::int64_t at = std::clamp<std::int64_t>(start, 0, std::int64_t{to} - 1);
    return {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(std::clamp<std::int64_t>(end - at, 1, to - at))};
}

Layout layout_of_area(const DisplayedArea& a, const PixelDescription& d, double aspect, const RenderRequest& request) {
    const std::int64_t left = std::min(a.left, a.right);
    const std::int64_t right = std::max(a.left, a.right);
    const std::int64_t top = std::min(a.top, a.bottom);
    const std::int64_t bottom = std::max(a.top, a.bottom);
    Layout layout;
    std::tie(layout.rows, layout.columns) =
        output_size(static_cast<std::uint32_t>(std::min<std::int64_t>(bottom - top + 1, 0xFFFFFFFF)),
                    static_cast<std::uint32_t>(std::min<std::int64_t>(right - left + 1, 0xFFFFFFFF)), aspect, request);
    std::tie(layout.part.x, layout.part.columns) = clip(left, right, d.columns);
    std::tie(layout.part.y, layout.part.rows) = clip(top, bottom, d.rows);
    if (layout.part.rows != 0 && layout.part.columns != 0) {
        std::tie(layout.place.x, layout.place.columns) =
            project(layout.part.x, layout.part.columns, left, right, layout.columns);
        std::tie(layout.place.y, layout.place.rows) =
            project(layout.part.y, layout.part.rows, top, bottom, layout.rows);
    }
    return layout;
}

Layout layout_of(const PixelDescription& d, const RenderingAttributes& attributes, const RenderRequest& request) {
    const double aspect = aspect_of(attributes, request);
    if (request.displayed_area) {
        return layout_of_area(*request.displayed_area, d, aspect, request);
    }
    Layout layout;
    layout.part = request.region.value_or(whole_of(d));
    check_region(layout.part, d);
    std::tie(layout.rows, layout.columns) = output_size(layout.part.rows, layout.part.columns, aspect, request);
    layout.place = {0, 0, layout.columns, layout.rows};
    return layout;
}

Canvas canvas_of(std::uint8_t* data, std::uint32_t rows, std::uint32_t columns, const PictureShape& shape) noexcept {
    const std::size_t stride = std::size_t{columns} * shape.samples * shape.sample_bytes;
    return {data, rows, columns, shape.samples, shape.sample_bytes, stride};
}

Canvas part_of(const Canvas& canvas, const Region& place) noexcept {
    Canvas part = canvas;
    part.data = canvas.row(place.y) + std::size_t{place.x} * canvas.samples * canvas.sample_bytes;
    part.rows = place.rows;
    part.columns = place.columns;
    return part;
}

const FileOverlay* find_overlay(const RenderingAttributes& attributes, std::uint16_t group) noexcept {
    const auto found = std::ranges::find(attributes.overlays, group, &FileOverlay::group);
    return found == attributes.overlays.end() ? nullptr : &*found;
}

/// What is painted over the image, and how: shutter first, then overlays.
class Painter {
public:
    Painter(const codec::StoredFrame& frame, const codec::Syntax& syntax, const Scene& scene, const Region& part,
            const Canvas& canvas)
        : frame_(frame), syntax_(syntax), scene_(scene), part_(part), canvas_(canvas) {}

    void shutter() {
        const Shutter* shutter = chosen_shutter(scene_.attributes, scene_.request);
        if (shutter == nullptr) {
            return;
        }
        clear();
        add_shutter(*shutter, part_, aspect_of(scene_.attributes, scene_.request), mask_);
        if (shutter->bitmap_group != 0) {
            add_file_overlay(shutter->bitmap_group, false);
        }
        paint(canvas_, mask_, part_.rows, part_.columns, shutter->ink);
    }

    void overlays() {
        if (scene_.request.overlays) {
            for (const OverlayRequest& overlay : *scene_.request.overlays) {
                paint_overlay(overlay);
            }
            return;
        }
        const Shutter* shutter = chosen_shutter(scene_.attributes, scene_.request);
        for (const FileOverlay& overlay : scene_.attributes.overlays) {
            if (shutter == nullptr || shutter->bitmap_group != overlay.group) {
                paint_overlay({overlay.group, {}, {}, {}});
            }
        }
    }

    static const Shutter* chosen_shutter(const RenderingAttributes& attributes, const RenderRequest& request) {
        if (request.shutter) {
            return &*request.shutter;
        }
        if (!request.file_shutter) {
            return nullptr;
        }
        if (!attributes.shutter_defect.empty()) {
            throw Error(Errc::bad_value, attributes.shutter_defect);
        }
        return attributes.shutter ? &*attributes.shutter : nullptr;
    }

private:
    void clear() { mask_.assign(std::size_t{part_.rows} * part_.columns, 0); }

    void paint_overlay(const OverlayRequest& overlay) {
        clear();
        if (overlay.group != 0) {
            add_file_overlay(overlay.group, overlay.outline);
        } else {
            add(overlay.plane, overlay.outline.value_or(false));
        }
        paint(canvas_, mask_, part_.rows, part_.columns, overlay.ink);
    }

    void add(const OverlayPlane& plane, bool outline) {
        outline ? add_plane(outline_of(plane), part_, mask_) : add_plane(plane, part_, mask_);
    }

    void add_file_overlay(std::uint16_t group, std::optional<bool> outline) {
        const FileOverlay* overlay = find_overlay(scene_.attributes, group);
        if (overlay == nullptr) {
            return;  // of another frame, or of no frame at all
        }
        if (!overlay->defect.empty()) {
            throw Error(Errc::bad_value, overlay->defect);
        }
        const bool edge = outline.value_or(overlay->is_roi);
        if (overlay->embedded) {
            add(embedded_plane(*overlay, frame_, syntax_, scene_.description), edge);
        } else {
            add(overlay->plane, edge);
        }
    }

    const codec::StoredFrame& frame_;
    const codec::Syntax& syntax_;
    const Scene& scene_;
    const Region& part_;
    const Canvas& canvas_;
    std::vector<std::uint8_t> mask_;
};

bool has_coloured_ink(const RenderingAttributes& attributes, const RenderRequest& request) {
    const Shutter* shutter = Painter::chosen_shutter(attributes, request);
    if (request.shutter && shutter->ink.colour) {
        return true;
    }
    return request.overlays && std::ranges::any_of(*request.overlays, [](const OverlayRequest& overlay) {
               return overlay.ink.colour.has_value();
           });
}

unsigned samples_of(const PixelDescription& d, const RenderingAttributes& attributes, const RenderRequest& request) {
    if (d.samples_per_pixel != 1 && d.samples_per_pixel != 3) {
        throw Error(Errc::unsupported_pixels, "four samples per pixel have no conversion to RGB");
    }
    if (d.photometric == codec::Photometric::palette_color && d.samples_per_pixel == 1 && !attributes.palette) {
        throw Error(Errc::missing_element,
                    "PALETTE COLOR without Palette Color Lookup Tables (0028,1201) to (0028,1203)");
    }
    const bool colour = d.samples_per_pixel == 3 || is_tabulated_colour(d, attributes, request) ||
                        has_coloured_ink(attributes, request);
    if (colour && request.bits == 16) {
        throw Error(Errc::invalid_argument, "sixteen bits are for pictures in grey");
    }
    return colour ? 3 : 1;
}

/// Draws, not yet rotated, into the whole of `canvas`.
void draw(const codec::StoredFrame& frame, const codec::Syntax& syntax, const PixelDescription& d,
          const RenderingAttributes& attributes, const RenderRequest& request, const Layout& layout,
          const Canvas& canvas) {
    Unpacked image = unpack(frame, syntax, d);
    const ImageView whole = image.view;
    const Region& part = layout.part;
    if (layout.place.rows != canvas.rows || layout.place.columns != canvas.columns) {
        for (std::uint32_t y = 0; y < canvas.rows; ++y) {
            std::fill_n(canvas.row(y), canvas.stride, std::uint8_t{0});
        }
        if (layout.place.rows == 0 || layout.place.columns == 0) {
            return;
        }
    }
    image.view.data = whole.row(part.y) + std::size_t{part.x} * whole.samples * bytes_of(whole.type);
    image.view.rows = part.rows;
    image.view.columns = part.columns;
    const Scene scene{image, whole, d, attributes, request};
    const Canvas place = part_of(canvas, layout.place);
    if (d.samples_per_pixel == 3 || is_tabulated_colour(d, attributes, request)) {
        draw_colour(scene, place);
    } else {
        draw_grey(scene, place);
    }
    Painter painter(frame, syntax, scene, part, place);
    painter.shutter();
    painter.overlays();
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
    const std::uint32_t widest = turns(request) ? request.height : request.width;
    const std::uint32_t highest = turns(request) ? request.width : request.height;
    double factor = request.scale > 0.0 ? request.scale : 1.0;
    if (!(request.scale > 0.0) && (widest != 0 || highest != 0)) {
        factor = std::min(widest == 0 ? INFINITY : widest / width, highest == 0 ? INFINITY : highest / height);
    }
    const bool exact = request.exact_size && !(request.scale > 0.0) && widest != 0 && highest != 0;
    const std::uint32_t out_rows = exact ? highest : to_length(height * factor);
    const std::uint32_t out_columns = exact ? widest : to_length(width * factor);
    if (std::uint64_t{out_rows} * out_columns > limits::kMaxRenderedPixels) {
        throw Error(Errc::limit_exceeded, "the rendered image would be larger than the limit");
    }
    return {out_rows, out_columns};
}

PictureShape shape_of(const PixelDescription& d, const RenderingAttributes& attributes, const RenderRequest& request) {
    codec::check_description(d);
    const Layout layout = layout_of(d, attributes, request);
    PictureShape shape{layout.rows, layout.columns, samples_of(d, attributes, request), request.bits == 16 ? 2U : 1U};
    if (turns(request)) {
        std::swap(shape.rows, shape.columns);
    }
    return shape;
}

void render_into(const codec::StoredFrame& frame, const codec::Syntax& syntax, const PixelDescription& d,
                 const RenderingAttributes& attributes, const RenderRequest& request, std::span<std::uint8_t> out) {
    const PictureShape shape = shape_of(d, attributes, request);
    if (out.size() != shape.bytes()) {
        throw Error(Errc::buffer_too_small, "the output buffer is not exactly one picture");
    }
    const Layout layout = layout_of(d, attributes, request);
    if (!is_oriented(request)) {
        draw(frame, syntax, d, attributes, request, layout, canvas_of(out.data(), layout.rows, layout.columns, shape));
        return;
    }
    const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(shape.bytes());
    const Canvas straight = canvas_of(buffer.get(), layout.rows, layout.columns, shape);
    draw(frame, syntax, d, attributes, request, layout, straight);
    orient(straight, canvas_of(out.data(), shape.rows, shape.columns, shape), request.rotation, request.flip);
}

RenderedImage render_image(const codec::StoredFrame& frame, const codec::Syntax& syntax, const PixelDescription& d,
                           const RenderingAttributes& attributes, const RenderRequest& request) {
    check_request(request);
    RenderedImage image;
    image.shape = shape_of(d, attributes, request);
    image.pixels.resize(image.shape.bytes());
    render_into(frame, syntax, d, attributes, request, image.pixels);
    return image;
}

std::vector<std::byte> render(const codec::StoredFrame& frame, const codec::Syntax& syntax, const PixelDescription& d,
                              const RenderingAttributes& attributes, const RenderRequest& request) {
    check_request(request);
    if (request.format == FileFormat::jpeg && request.bits == 16) {
        throw Error(Errc::invalid_argument, "a JPEG file has no 16-bit samples: png has");
    }
    const PictureShape shape = shape_of(d, attributes, request);
    const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(shape.bytes());
    const std::span<std::uint8_t> pixels(buffer.get(), shape.bytes());
    render_into(frame, syntax, d, attributes, request, pixels);
    const Raster raster{pixels, shape.rows, shape.columns, shape.samples, shape.sample_bytes};
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
