// SPDX-License-Identifier: Apache-2.0
#include "pixels.hpp"

#include <string>

#include "hilum/error.hpp"

namespace hilum::bindings {
namespace {

std::uint32_t number(const py::object& fields, std::size_t index, std::uint32_t maximum) {
    const py::object item = fields[py::int_(index)];
    const long long value = PyLong_AsLongLong(item.ptr());
    if (value == -1 && PyErr_Occurred() != nullptr) {
        throw py::error_already_set();
    }
    if (value < 0 || value > static_cast<long long>(maximum)) {
        throw Error(Errc::bad_value, "pixel description: field " + std::to_string(index) + " is out of range");
    }
    return static_cast<std::uint32_t>(value);
}

std::uint16_t short_number(const py::object& fields, std::size_t index) {
    return static_cast<std::uint16_t>(number(fields, index, 0xFFFF));
}

codec::PixelKeyword keyword(const std::string& text) {
    if (text == "PixelData") {
        return codec::PixelKeyword::pixel_data;
    }
    if (text == "FloatPixelData") {
        return codec::PixelKeyword::float_pixel_data;
    }
    if (text == "DoubleFloatPixelData") {
        return codec::PixelKeyword::double_float_pixel_data;
    }
    throw Error(Errc::invalid_argument,
                "pixel description: the keyword is none of PixelData, FloatPixelData, DoubleFloatPixelData");
}

}  // namespace

codec::PixelDescription to_description(const py::object& fields) {
    if (!PyTuple_Check(fields.ptr()) || PyTuple_GET_SIZE(fields.ptr()) != 11) {
        throw Error(Errc::invalid_argument, "the pixel description must be a tuple of 11 fields");
    }
    codec::PixelDescription d;
    d.rows = number(fields, 0, 0xFFFFFFFFU);
    d.columns = number(fields, 1, 0xFFFFFFFFU);
    d.samples_per_pixel = short_number(fields, 2);
    d.planar_configuration = short_number(fields, 3);
    d.bits_allocated = short_number(fields, 4);
    d.bits_stored = short_number(fields, 5);
    d.high_bit = short_number(fields, 6);
    d.pixel_representation = short_number(fields, 7);
    d.photometric = codec::parse_photometric(py::cast<std::string>(fields[py::int_(8)]));
    d.number_of_frames = number(fields, 9, 0xFFFFFFFFU);
    d.keyword = keyword(py::cast<std::string>(fields[py::int_(10)]));
    return d;
}

Fragments::Fragments(const py::object& source) {
    if (PyList_Check(source.ptr()) || PyTuple_Check(source.ptr())) {
        for (const py::handle item : source) {
            views_.push_back(std::make_unique<BufferView>(py::reinterpret_borrow<py::object>(item)));
        }
    } else {
        views_.push_back(std::make_unique<BufferView>(source));
    }
    spans_.reserve(views_.size());
    for (const auto& view : views_) {
        spans_.push_back(view->bytes());
    }
}

}  // namespace hilum::bindings
