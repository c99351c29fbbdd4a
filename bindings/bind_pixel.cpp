// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include <pybind11/stl.h>

#include "convert.hpp"
#include "hilum/error.hpp"
#include "hilum/pixel/attributes.hpp"
#include "hilum/pixel/colour.hpp"
#include "hilum/pixel/render.hpp"
#include "module.hpp"
#include "pixels.hpp"

namespace hilum::bindings {
namespace {

py::object to_python(const pixel::Lut& lut) {
    return py::make_tuple(lut.first, lut.bits, lut.entries);
}

py::object to_python(const pixel::Shutter& s) {
    using namespace py::literals;
    py::list polygon;
    for (const pixel::ShutterVertex& v : s.polygon) {
        polygon.append(py::make_tuple(v.row, v.column));
    }
    return py::dict("rectangle"_a = s.rectangle ? py::object(py::make_tuple(s.rectangle->left, s.rectangle->right,
                                                                            s.rectangle->upper, s.rectangle->lower))
                                                : py::none(),
                    "circle"_a = s.circle
                                     ? py::object(py::make_tuple(s.circle->row, s.circle->column, s.circle->radius))
                                     : py::none(),
                    "polygon"_a = polygon, "bitmap_group"_a = s.bitmap_group, "value"_a = s.ink.value);
}

py::dict as_dict(const pixel::RenderingAttributes& a) {
    using namespace py::literals;
    py::list windows;
    for (const pixel::Window& w : a.windows) {
        windows.append(py::make_tuple(w.center, w.width, name_of(w.function)));
    }
    py::list overlays;
    for (const pixel::FileOverlay& o : a.overlays) {
        overlays.append(py::make_tuple(o.group, o.plane.rows, o.plane.columns, o.embedded, o.defect));
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
                    "window_names"_a = a.window_names, "voi_luts"_a = voi_luts, "voi_lut_names"_a = a.voi_lut_names,
                    "palette"_a = palette, "pixel_padding"_a = a.padding, "pixel_aspect"_a = a.pixel_aspect,
                    "is_segmentation"_a = a.is_segmentation, "is_supplemental"_a = a.is_supplemental,
                    "inverse"_a = a.inverse, "overlays"_a = overlays,
                    "shutter"_a = a.shutter ? to_python(*a.shutter) : py::none(),
                    "shutter_defect"_a = a.shutter_defect);
}

pixel::RenderingAttributes rendering_attributes(const py::object& header, const py::object& frame) {
    const BufferView view(header);
    const std::uint32_t number = to_number(frame, "frame");
    const py::gil_scoped_release unlocked;
    return pixel::read_rendering_attributes(view.bytes(), number);
}

py::bytes render(const py::object& data, const py::object& transfer_syntax_uid, const py::object& pixels,
                 const py::object& attributes, const py::object& request, const py::object& frame_bit_offset) {
    const FrameArguments arguments(data, transfer_syntax_uid, pixels, frame_bit_offset);
    const pixel::RenderingAttributes& how = to_attributes(attributes);
    const pixel::RenderRequest& what = as_request(request);
    std::vector<std::byte> file;
    {
        const py::gil_scoped_release unlocked;
        file = pixel::render(arguments.frame(), arguments.syntax, arguments.description, how, what);
    }
    return to_bytes(file);
}

py::tuple picture_shape(const py::object& pixels, const py::object& attributes, const py::object& request) {
    const pixel::PictureShape shape =
        pixel::shape_of(to_description(pixels), to_attributes(attributes), as_request(request));
    return py::make_tuple(shape.rows, shape.columns, shape.samples, shape.sample_bytes);
}

std::string text_of(std::span<const py::ssize_t> shape, py::ssize_t bytes) {
    std::string text;
    for (const py::ssize_t length : shape) {
        text += (text.empty() ? "(" : ", ") + std::to_string(length);
    }
    return text + "), " + std::to_string(bytes) + " bytes a sample";
}

void check_shape(const Py_buffer& out, const pixel::PictureShape& picture) {
    const std::array<py::ssize_t, 3> all{picture.rows, picture.columns, 3};
    const std::span<const py::ssize_t> wanted(all.data(), picture.samples == 1 ? 2 : 3);
    const std::span<const py::ssize_t> found(out.shape, static_cast<std::size_t>(out.ndim));
    if (out.itemsize != static_cast<py::ssize_t>(picture.sample_bytes) || !std::ranges::equal(found, wanted)) {
        throw Error(Errc::invalid_argument, "out is " + text_of(found, out.itemsize) + "; the picture is " +
                                                text_of(wanted, picture.sample_bytes));
    }
}

void render_pixels(const py::object& data, const py::object& transfer_syntax_uid, const py::object& pixels,
                   const py::object& attributes, const py::object& request, const py::object& out,
                   const py::object& frame_bit_offset) {
    const FrameArguments arguments(data, transfer_syntax_uid, pixels, frame_bit_offset);
    const pixel::RenderingAttributes& how = to_attributes(attributes);
    const pixel::RenderRequest& what = as_request(request);
    const BufferView buffer(out, true);
    check_shape(buffer.raw(), pixel::shape_of(arguments.description, how, what));
    const std::span<std::byte> bytes = buffer.writable();
    const py::gil_scoped_release unlocked;
    pixel::render_into(arguments.frame(), arguments.syntax, arguments.description, how, what,
                       {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
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
    py::class_<pixel::RenderRequest>(m, "RenderRequest", "RenderSettings, checked and in the core's form. Immutable.")
        .def(py::init(&to_request), "settings"_a, "Reads the fields of hilum.pixels.settings.RenderSettings.");
    m.def("render", &render, "data"_a, "transfer_syntax_uid"_a, "pixels"_a, "attributes"_a, "request"_a,
          "frame_bit_offset"_a = 0, "One stored frame as the bytes of a PNG or JPEG file.");
    m.def("picture_shape", &picture_shape, "pixels"_a, "attributes"_a, "request"_a,
          "(rows, columns, 1 or 3 samples, bytes of a sample) of what render_pixels gives.");
    m.def("render_pixels", &render_pixels, "data"_a, "transfer_syntax_uid"_a, "pixels"_a, "attributes"_a, "request"_a,
          "out"_a, "frame_bit_offset"_a = 0, "One stored frame into a writable array of the shape of picture_shape.");
    m.def(
        "cielab_to_rgb",
        [](std::uint16_t lightness, std::uint16_t a, std::uint16_t b) {
            const auto rgb = pixel::cielab_to_rgb({lightness, a, b});
            return py::make_tuple(rgb[0], rgb[1], rgb[2]);
        },
        "lightness"_a, "a"_a, "b"_a, "CIELab of 16 bits each (PS3.3 C.10.7.1.1) to sRGB.");
    m.def("stored_range", &stored_range, "data"_a, "transfer_syntax_uid"_a, "pixels"_a, "attributes"_a, py::kw_only(),
          "frame_bit_offset"_a = 0, "(least, greatest) stored value without padding; None when there is none.");
}

}  // namespace hilum::bindings
