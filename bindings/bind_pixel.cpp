// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <string>
#include <tuple>

#include <pybind11/stl.h>

#include "convert.hpp"
#include "hilum/error.hpp"
#include "hilum/pixel/attributes.hpp"
#include "hilum/pixel/render.hpp"
#include "module.hpp"
#include "pixels.hpp"

namespace hilum::bindings {
namespace {

using WindowArgument = std::tuple<double, double, std::string>;
using RegionArgument = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>;

const char* name_of(pixel::VoiFunction function) noexcept {
    switch (function) {
        case pixel::VoiFunction::linear:
            return "LINEAR";
        case pixel::VoiFunction::linear_exact:
            return "LINEAR_EXACT";
        case pixel::VoiFunction::sigmoid:
            break;
    }
    return "SIGMOID";
}

pixel::VoiFunction to_function(const std::string& name) {
    for (const auto function :
         {pixel::VoiFunction::linear, pixel::VoiFunction::linear_exact, pixel::VoiFunction::sigmoid}) {
        if (name == name_of(function)) {
            return function;
        }
    }
    throw Error(Errc::invalid_argument, "the VOI LUT function is none of LINEAR, LINEAR_EXACT, SIGMOID");
}

py::object to_python(const pixel::Lut& lut) {
    return py::make_tuple(lut.first, lut.bits, lut.entries);
}

py::dict as_dict(const pixel::RenderingAttributes& a) {
    using namespace py::literals;
    py::list windows;
    for (const pixel::Window& w : a.windows) {
        windows.append(py::make_tuple(w.center, w.width, name_of(w.function)));
    }
    py::list voi_luts;
    for (const pixel::Lut& lut : a.voi_luts) {
        voi_luts.append(to_python(lut));
    }
    py::object palette = py::none();
    if (a.palette) {
        palette = py::make_tuple(to_python((*a.palette)[0]), to_python((*a.palette)[1]), to_python((*a.palette)[2]));
    }
    return py::dict("rescale_slope"_a = a.rescale.slope, "rescale_intercept"_a = a.rescale.intercept,
                    "modality_lut"_a = a.modality_lut ? to_python(*a.modality_lut) : py::none(), "windows"_a = windows,
                    "voi_luts"_a = voi_luts, "palette"_a = palette, "pixel_padding"_a = a.padding,
                    "pixel_aspect"_a = a.pixel_aspect, "is_segmentation"_a = a.is_segmentation);
}

pixel::RenderingAttributes rendering_attributes(const py::object& header, std::uint32_t frame) {
    const BufferView view(header);
    const py::gil_scoped_release unlocked;
    return pixel::read_rendering_attributes(view.bytes(), frame);
}

pixel::RenderRequest to_request(std::uint32_t width, std::uint32_t height, const std::optional<RegionArgument>& region,
                                const std::optional<WindowArgument>& window, std::size_t window_index, bool invert,
                                bool square_pixels) {
    pixel::RenderRequest request;
    request.width = width;
    request.height = height;
    if (region) {
        const auto [x, y, columns, rows] = *region;
        request.region = pixel::Region{x, y, columns, rows};
    }
    if (window) {
        request.window = pixel::Window{std::get<0>(*window), std::get<1>(*window), to_function(std::get<2>(*window))};
    }
    request.window_index = window_index;
    request.invert = invert;
    request.square_pixels = square_pixels;
    return request;
}

py::bytes render(const py::object& data, const std::string& transfer_syntax_uid, const py::object& pixels,
                 const pixel::RenderingAttributes& attributes, unsigned frame_bit_offset, std::uint32_t width,
                 std::uint32_t height, const std::optional<RegionArgument>& region,
                 const std::optional<WindowArgument>& window, std::size_t window_index, bool invert, bool square_pixels,
                 const std::string& format, int quality) {
    const codec::PixelDescription description = to_description(pixels);
    const codec::Syntax& syntax = codec::require_syntax(transfer_syntax_uid);
    pixel::RenderRequest request = to_request(width, height, region, window, window_index, invert, square_pixels);
    if (format != "png" && format != "jpeg") {
        throw Error(Errc::invalid_argument, "the format is neither \"png\" nor \"jpeg\"");
    }
    request.format = format == "png" ? pixel::FileFormat::png : pixel::FileFormat::jpeg;
    request.quality = quality;
    const Fragments fragments(data);
    std::vector<std::byte> file;
    {
        const py::gil_scoped_release unlocked;
        file = pixel::render({fragments.spans(), frame_bit_offset}, syntax, description, attributes, request);
    }
    return to_bytes(file);
}

py::tuple render_pixels(const py::object& data, const std::string& transfer_syntax_uid, const py::object& pixels,
                        const pixel::RenderingAttributes& attributes, unsigned frame_bit_offset, std::uint32_t width,
                        std::uint32_t height, const std::optional<RegionArgument>& region,
                        const std::optional<WindowArgument>& window, std::size_t window_index, bool invert,
                        bool square_pixels) {
    const codec::PixelDescription description = to_description(pixels);
    const codec::Syntax& syntax = codec::require_syntax(transfer_syntax_uid);
    const pixel::RenderRequest request = to_request(width, height, region, window, window_index, invert, square_pixels);
    const Fragments fragments(data);
    pixel::RenderedImage image;
    {
        const py::gil_scoped_release unlocked;
        image = pixel::render_image({fragments.spans(), frame_bit_offset}, syntax, description, attributes, request);
    }
    const py::bytearray bytes(reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size());
    return py::make_tuple(bytes, image.rows, image.columns, image.samples);
}

py::object stored_range(const py::object& data, const std::string& transfer_syntax_uid, const py::object& pixels,
                        const pixel::RenderingAttributes& attributes, unsigned frame_bit_offset) {
    const codec::PixelDescription description = to_description(pixels);
    const codec::Syntax& syntax = codec::require_syntax(transfer_syntax_uid);
    const Fragments fragments(data);
    pixel::Range range;
    {
        const py::gil_scoped_release unlocked;
        range = pixel::stored_range({fragments.spans(), frame_bit_offset}, syntax, description, attributes);
    }
    return range.empty ? py::object(py::none()) : py::object(py::make_tuple(range.minimum, range.maximum));
}

}  // namespace

void bind_pixel(py::module_& m) {
    using namespace py::literals;
    py::class_<pixel::RenderingAttributes>(m, "RenderingAttributes",
                                           "How one frame is to be shown, as its header says. Immutable.")
        .def(py::init<>(), "What a header without any of these attributes says.")
        .def("as_dict", &as_dict, "The attributes by name; look-up tables as (first input, bits, entries).");
    m.def("rendering_attributes", &rendering_attributes, "header"_a, "frame"_a = 0,
          "Reads an object's bytes up to its pixel data, for the frame with this number from 0.");
    m.def("render", &render, "data"_a, "transfer_syntax_uid"_a, "pixels"_a, "attributes"_a, py::kw_only(),
          "frame_bit_offset"_a = 0, "width"_a = 0, "height"_a = 0, "region"_a = py::none(), "window"_a = py::none(),
          "window_index"_a = 0, "invert"_a = false, "square_pixels"_a = true, "format"_a = "jpeg", "quality"_a = 90,
          "One stored frame as the bytes of a PNG or JPEG file.");
    m.def("render_pixels", &render_pixels, "data"_a, "transfer_syntax_uid"_a, "pixels"_a, "attributes"_a, py::kw_only(),
          "frame_bit_offset"_a = 0, "width"_a = 0, "height"_a = 0, "region"_a = py::none(), "window"_a = py::none(),
          "window_index"_a = 0, "invert"_a = false, "square_pixels"_a = true,
          "One stored frame as (8-bit samples, rows, columns, 1 or 3 samples).");
    m.def("stored_range", &stored_range, "data"_a, "transfer_syntax_uid"_a, "pixels"_a, "attributes"_a, py::kw_only(),
          "frame_bit_offset"_a = 0, "(least, greatest) stored value without padding; None when there is none.");
}

}  // namespace hilum::bindings
