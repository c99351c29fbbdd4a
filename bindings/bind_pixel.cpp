// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include <pybind11/stl.h>

#include "convert.hpp"
#include "hilum/error.hpp"
#include "hilum/pixel/attributes.hpp"
#include "hilum/pixel/render.hpp"
#include "module.hpp"
#include "pixels.hpp"

namespace hilum::bindings {
namespace {

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

pixel::RenderingAttributes rendering_attributes(const py::object& header, const py::object& frame) {
    const BufferView view(header);
    const std::uint32_t number = to_number(frame, "frame");
    const py::gil_scoped_release unlocked;
    return pixel::read_rendering_attributes(view.bytes(), number);
}

/// The keyword arguments that render and render_pixels share.
pixel::RenderRequest to_request(const py::object& width, const py::object& height, const py::object& region,
                                const py::object& window, const py::object& window_index, const py::object& invert,
                                const py::object& square_pixels) {
    pixel::RenderRequest request;
    request.width = to_number(width, "width");
    request.height = to_number(height, "height");
    request.region = to_region(region);
    request.window = to_window(window);
    request.window_index = to_number(window_index, "window_index");
    request.invert = to_bool(invert);
    request.square_pixels = to_bool(square_pixels);
    return request;
}

pixel::FileFormat to_format(const std::string& name) {
    if (name != "png" && name != "jpeg") {
        throw Error(Errc::invalid_argument, "the format is neither \"png\" nor \"jpeg\"");
    }
    return name == "png" ? pixel::FileFormat::png : pixel::FileFormat::jpeg;
}

py::bytes render(const py::object& data, const py::object& transfer_syntax_uid, const py::object& pixels,
                 const py::object& attributes, const py::object& frame_bit_offset, const py::object& width,
                 const py::object& height, const py::object& region, const py::object& window,
                 const py::object& window_index, const py::object& invert, const py::object& square_pixels,
                 const py::object& format, const py::object& quality) {
    const FrameArguments arguments(data, transfer_syntax_uid, pixels, frame_bit_offset);
    const pixel::RenderingAttributes& how = to_attributes(attributes);
    pixel::RenderRequest request = to_request(width, height, region, window, window_index, invert, square_pixels);
    request.format = to_format(to_text(format, "format"));
    request.quality = static_cast<int>(std::min(to_number(quality, "quality"), 101U));
    std::vector<std::byte> file;
    {
        const py::gil_scoped_release unlocked;
        file = pixel::render(arguments.frame(), arguments.syntax, arguments.description, how, request);
    }
    return to_bytes(file);
}

py::tuple render_pixels(const py::object& data, const py::object& transfer_syntax_uid, const py::object& pixels,
                        const py::object& attributes, const py::object& frame_bit_offset, const py::object& width,
                        const py::object& height, const py::object& region, const py::object& window,
                        const py::object& window_index, const py::object& invert, const py::object& square_pixels) {
    const FrameArguments arguments(data, transfer_syntax_uid, pixels, frame_bit_offset);
    const pixel::RenderingAttributes& how = to_attributes(attributes);
    const pixel::RenderRequest request = to_request(width, height, region, window, window_index, invert, square_pixels);
    pixel::RenderedImage image;
    {
        const py::gil_scoped_release unlocked;
        image = pixel::render_image(arguments.frame(), arguments.syntax, arguments.description, how, request);
    }
    const py::bytearray bytes(reinterpret_cast<const char*>(image.pixels.data()), image.pixels.size());
    return py::make_tuple(bytes, image.rows, image.columns, image.samples);
}

py::object stored_range(const py::object& data, const py::object& transfer_syntax_uid, const py::object& pixels,
                        const py::object& attributes, const py::object& frame_bit_offset) {
    const FrameArguments arguments(data, transfer_syntax_uid, pixels, frame_bit_offset);
    const pixel::RenderingAttributes& how = to_attributes(attributes);
    pixel::Range range;
    {
        const py::gil_scoped_release unlocked;
        range = pixel::stored_range(arguments.frame(), arguments.syntax, arguments.description, how);
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
