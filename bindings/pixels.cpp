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

std::string to_text(const py::object& value, const char* name) {
    if (!PyUnicode_Check(value.ptr())) {
        throw Error(Errc::invalid_argument, std::string(name) + " must be a str");
    }
    return py::cast<std::string>(value);
}

std::uint32_t to_number(const py::object& value, const char* name) {
    const long long number = PyLong_Check(value.ptr()) ? PyLong_AsLongLong(value.ptr()) : -1;
    if (number < 0 || number > 0xFFFFFFFFLL) {
        PyErr_Clear();
        throw Error(Errc::invalid_argument, std::string(name) + " must be an int from 0 to 4294967295");
    }
    return static_cast<std::uint32_t>(number);
}

std::uint64_t to_long_number(const py::object& value, const char* name) {
    const long long number = PyLong_Check(value.ptr()) ? PyLong_AsLongLong(value.ptr()) : -1;
    if (number < 0) {
        PyErr_Clear();
        throw Error(Errc::invalid_argument, std::string(name) + " must be an int from 0 on");
    }
    return static_cast<std::uint64_t>(number);
}

py::tuple to_tuple(const py::handle& value, std::size_t size, const char* name) {
    if (!PyTuple_Check(value.ptr()) || static_cast<std::size_t>(PyTuple_GET_SIZE(value.ptr())) != size) {
        throw Error(Errc::invalid_argument, std::string(name) + " must be a tuple of " + std::to_string(size));
    }
    return py::reinterpret_borrow<py::tuple>(value);
}

double to_real(const py::object& value, const char* name) {
    const double number = PyFloat_AsDouble(value.ptr());
    if (number == -1.0 && PyErr_Occurred() != nullptr) {
        PyErr_Clear();
        throw Error(Errc::invalid_argument, std::string(name) + " must be a number");
    }
    return number;
}

bool to_bool(const py::object& value) {
    return PyObject_IsTrue(value.ptr()) == 1;
}

const pixel::RenderingAttributes& to_attributes(const py::object& value) {
    if (!py::isinstance<pixel::RenderingAttributes>(value)) {
        throw Error(Errc::invalid_argument, "attributes must be RenderingAttributes");
    }
    return value.cast<const pixel::RenderingAttributes&>();
}

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
    d.photometric = codec::parse_photometric(to_text(fields[py::int_(8)], "photometric_interpretation"));
    d.number_of_frames = number(fields, 9, 0xFFFFFFFFU);
    d.keyword = keyword(to_text(fields[py::int_(10)], "keyword"));
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

StoredObjects::StoredObjects(const py::object& objects) {
    for (const py::handle item : objects) {
        const py::tuple fields = to_tuple(item, 6, "an object");
        const BufferView& table = tables_.emplace_back(fields[3]);
        objects_.push_back({to_long_number(fields[0], "pack"), to_long_number(fields[1], "offset"),
                            to_long_number(fields[2], "length"), dicom::FrameTable(table.bytes()),
                            &codec::require_syntax(to_text(fields[4], "transfer_syntax_uid")),
                            to_description(fields[5])});
    }
}

}  // namespace hilum::bindings
