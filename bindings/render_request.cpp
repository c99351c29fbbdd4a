// SPDX-License-Identifier: Apache-2.0
// hilum.pixels.settings.RenderSettings as the core's RenderRequest, field by field.
#include <string>

#include "hilum/error.hpp"
#include "pixels.hpp"

namespace hilum::bindings {
namespace {

[[noreturn]] void refuse(const std::string& why) {
    throw Error(Errc::invalid_argument, why);
}

std::int32_t to_signed(const py::handle& value, const char* name) {
    int overflow = 0;
    const long long number =
        PyLong_Check(value.ptr()) ? PyLong_AsLongLongAndOverflow(value.ptr(), &overflow) : 1LL << 40;
    if (overflow != 0 || number < -0x7FFFFFFFLL || number > 0x7FFFFFFFLL) {
        refuse(std::string(name) + " must be an int of 32 bits");
    }
    return static_cast<std::int32_t>(number);
}

std::uint16_t to_word(const py::object& value, const char* name) {
    const std::uint32_t number = to_number(value, name);
    if (number > 0xFFFF) {
        refuse(std::string(name) + " must be an int from 0 to 65535");
    }
    return static_cast<std::uint16_t>(number);
}

template <typename Convert>
auto optional(const py::object& value, Convert&& convert) -> std::optional<decltype(convert(value))> {
    if (value.is_none()) {
        return std::nullopt;
    }
    return convert(value);
}

pixel::VoiFunction to_function(const std::string& name) {
    for (const auto function :
         {pixel::VoiFunction::linear, pixel::VoiFunction::linear_exact, pixel::VoiFunction::sigmoid}) {
        if (name == name_of(function)) {
            return function;
        }
    }
    refuse("the VOI LUT function is none of LINEAR, LINEAR_EXACT, SIGMOID");
}

pixel::Window to_window(const py::object& value) {
    return {to_real(value.attr("center"), "window center"), to_real(value.attr("width"), "window width"),
            to_function(to_text(value.attr("function"), "VOI LUT function"))};
}

pixel::Rescale to_rescale(const py::object& value) {
    return {to_real(value.attr("slope"), "rescale slope"), to_real(value.attr("intercept"), "rescale intercept")};
}

/// Any sequence, item by item, at most `limit`.
template <typename Each>
void for_items(const py::object& value, std::size_t limit, const char* name, Each&& each) {
    if (!PySequence_Check(value.ptr()) || PyUnicode_Check(value.ptr())) {
        refuse(std::string(name) + " must be a sequence");
    }
    const py::ssize_t size = PySequence_Size(value.ptr());
    if (size < 0) {
        throw py::error_already_set();
    }
    if (static_cast<std::size_t>(size) > limit) {
        refuse(std::string(name) + " has more than " + std::to_string(limit) + " items");
    }
    for (py::ssize_t i = 0; i < size; ++i) {
        each(py::reinterpret_steal<py::object>(PySequence_GetItem(value.ptr(), i)));
    }
}

pixel::Lut to_lut(const py::object& value) {
    pixel::Lut lut;
    lut.first = to_signed(value.attr("first"), "the first input of a table");
    lut.bits = to_word(value.attr("bits"), "the bits of a table");
    for_items(value.attr("entries"), 65536, "the entries of a table",
              [&](const py::object& entry) { lut.entries.push_back(to_word(entry, "an entry of a table")); });
    return lut;
}

pixel::Palette to_palette(const py::object& value) {
    const py::tuple tables = to_tuple(value, 3, "palette");
    return {to_lut(tables[0]), to_lut(tables[1]), to_lut(tables[2])};
}

pixel::PresentationLut to_presentation(const py::object& value) {
    if (!PyUnicode_Check(value.ptr())) {
        return {false, to_lut(value)};
    }
    const auto shape = py::cast<std::string>(value);
    if (shape != "IDENTITY" && shape != "INVERSE") {
        refuse("the presentation LUT is none of IDENTITY, INVERSE and a table");
    }
    return {shape == "INVERSE", std::nullopt};
}

pixel::Ink to_ink(const py::object& value) {
    pixel::Ink ink;
    ink.value = to_word(value.attr("value"), "a presentation value");
    ink.colour = optional(py::object(value.attr("colour")), [](const py::object& colour) {
        const py::tuple rgb = to_tuple(colour, 3, "colour");
        pixel::Rgb result{};
        for (std::size_t i = 0; i < 3; ++i) {
            const std::uint16_t sample = to_word(rgb[i], "colour");
            result[i] = static_cast<std::uint8_t>(sample > 255 ? 255 : sample);
        }
        return result;
    });
    return ink;
}

pixel::OverlayPlane to_plane(const py::object& value) {
    pixel::OverlayPlane plane;
    plane.rows = to_number(value.attr("rows"), "overlay rows");
    plane.columns = to_number(value.attr("columns"), "overlay columns");
    const py::tuple origin = to_tuple(value.attr("origin"), 2, "overlay origin");
    plane.row = to_signed(origin[0], "overlay origin");
    plane.column = to_signed(origin[1], "overlay origin");
    const BufferView bits(value.attr("bits"));
    plane.bits.assign(bits.bytes().begin(), bits.bytes().end());
    return plane;
}

pixel::OverlayRequest to_overlay(const py::object& value) {
    pixel::OverlayRequest overlay;
    const py::object plane = value.attr("plane");
    overlay.ink = to_ink(value);
    overlay.outline = optional(py::object(value.attr("outline")), &to_bool);
    if (!PyLong_Check(plane.ptr())) {
        overlay.plane = to_plane(plane);
        return overlay;
    }
    overlay.group = to_word(plane, "overlay group");
    if ((overlay.group & 0xFF01U) != 0x6000) {
        refuse("an overlay group is none of 0x6000, 0x6002, ...");
    }
    return overlay;
}

std::optional<std::vector<pixel::OverlayRequest>> to_overlays(const py::object& value) {
    if (PyUnicode_Check(value.ptr())) {
        if (py::cast<std::string>(value) != "file") {
            refuse("overlays are neither \"file\" nor a sequence");
        }
        return std::nullopt;
    }
    std::vector<pixel::OverlayRequest> overlays;
    for_items(value, 256, "overlays", [&](const py::object& overlay) { overlays.push_back(to_overlay(overlay)); });
    return overlays;
}

pixel::Shutter to_shutter(const py::object& value) {
    pixel::Shutter shutter;
    shutter.ink = to_ink(value);
    shutter.rectangle = optional(py::object(value.attr("rectangle")), [](const py::object& edges) {
        const py::tuple four = to_tuple(edges, 4, "shutter rectangle");
        return pixel::ShutterRectangle{to_signed(four[0], "shutter edge"), to_signed(four[1], "shutter edge"),
                                       to_signed(four[2], "shutter edge"), to_signed(four[3], "shutter edge")};
    });
    shutter.circle = optional(py::object(value.attr("circle")), [](const py::object& circle) {
        const py::tuple three = to_tuple(circle, 3, "shutter circle");
        return pixel::ShutterCircle{to_signed(three[0], "shutter centre"), to_signed(three[1], "shutter centre"),
                                    to_signed(three[2], "shutter radius")};
    });
    for_items(value.attr("polygon"), std::size_t{1} << 20U, "shutter polygon", [&](const py::object& vertex) {
        const py::tuple pair = to_tuple(vertex, 2, "shutter vertex");
        shutter.polygon.push_back({to_signed(pair[0], "shutter vertex"), to_signed(pair[1], "shutter vertex")});
    });
    const py::object bitmap = value.attr("bitmap");
    if (PyLong_Check(bitmap.ptr())) {
        shutter.bitmap_group = to_word(bitmap, "shutter overlay group");
    } else {
        shutter.bitmap = optional(bitmap, &to_plane);
    }
    return shutter;
}

pixel::Region to_region(const py::object& value) {
    const py::tuple four = to_tuple(value, 4, "region");
    return {to_number(four[0], "region x"), to_number(four[1], "region y"), to_number(four[2], "region columns"),
            to_number(four[3], "region rows")};
}

pixel::DisplayedArea to_area(const py::object& value) {
    const py::tuple four = to_tuple(value, 4, "displayed_area");
    return {to_signed(four[0], "displayed area"), to_signed(four[1], "displayed area"),
            to_signed(four[2], "displayed area"), to_signed(four[3], "displayed area")};
}

void set_geometry(const py::object& settings, pixel::RenderRequest& r) {
    r.width = to_number(settings.attr("width"), "width");
    r.height = to_number(settings.attr("height"), "height");
    r.scale = to_real(settings.attr("scale"), "scale");
    r.region = optional(py::object(settings.attr("region")), &to_region);
    r.displayed_area = optional(py::object(settings.attr("displayed_area")), &to_area);
    r.exact_size = to_bool(settings.attr("exact_size"));
    r.square_pixels = to_bool(settings.attr("square_pixels"));
    r.pixel_aspect = optional(py::object(settings.attr("pixel_aspect")),
                              [](const py::object& aspect) { return to_real(aspect, "pixel_aspect"); });
    const std::string interpolation = to_text(settings.attr("interpolation"), "interpolation");
    if (interpolation != "linear" && interpolation != "cubic") {
        refuse("the interpolation is neither \"linear\" nor \"cubic\"");
    }
    r.interpolation = interpolation == "cubic" ? pixel::Interpolation::cubic : pixel::Interpolation::linear;
    r.rotation = to_number(settings.attr("rotation"), "rotation");
    r.flip = to_bool(settings.attr("flip"));
}

void set_values(const py::object& settings, pixel::RenderRequest& r) {
    const py::object modality = settings.attr("modality");
    if (py::hasattr(modality, "entries")) {
        r.modality_lut = to_lut(modality);
    } else {
        r.rescale = optional(modality, &to_rescale);
    }
    r.window = optional(py::object(settings.attr("window")), &to_window);
    r.voi_lut = optional(py::object(settings.attr("voi_lut")), &to_lut);
    r.window_index = to_number(settings.attr("window_index"), "window_index");
    r.window_name = optional(py::object(settings.attr("window_name")),
                             [](const py::object& name) { return to_text(name, "window_name"); });
    r.auto_window = to_bool(settings.attr("auto_window"));
    const py::tuple percentiles = to_tuple(settings.attr("percentiles"), 2, "percentiles");
    r.low_percentile = to_real(percentiles[0], "percentiles");
    r.high_percentile = to_real(percentiles[1], "percentiles");
    r.presentation = optional(py::object(settings.attr("presentation")), &to_presentation);
    r.palette = optional(py::object(settings.attr("palette")), &to_palette);
    r.invert = to_bool(settings.attr("invert"));
}

void set_paint(const py::object& settings, pixel::RenderRequest& r) {
    r.overlays = to_overlays(settings.attr("overlays"));
    const py::object shutter = settings.attr("shutter");
    r.file_shutter = PyUnicode_Check(shutter.ptr());
    if (!r.file_shutter) {
        r.shutter = optional(shutter, &to_shutter);
    } else if (py::cast<std::string>(shutter) != "file") {
        refuse("the shutter is none of \"file\", None and a Shutter");
    }
}

pixel::FileFormat to_format(const std::string& name) {
    if (name != "png" && name != "jpeg") {
        refuse("the format is neither \"png\" nor \"jpeg\"");
    }
    return name == "png" ? pixel::FileFormat::png : pixel::FileFormat::jpeg;
}

}  // namespace

pixel::RenderRequest to_request(const py::object& settings) {
    pixel::RenderRequest request;
    set_geometry(settings, request);
    set_values(settings, request);
    set_paint(settings, request);
    request.bits = to_number(settings.attr("bits"), "bits");
    request.format = to_format(to_text(settings.attr("format"), "format"));
    const std::uint32_t quality = to_number(settings.attr("quality"), "quality");
    request.quality = static_cast<int>(quality < 101 ? quality : 101);
    pixel::check_request(request);
    return request;
}

const pixel::RenderRequest& as_request(const py::object& value) {
    if (!py::isinstance<pixel::RenderRequest>(value)) {
        refuse("request must be a RenderRequest");
    }
    return value.cast<const pixel::RenderRequest&>();
}

}  // namespace hilum::bindings
