// SPDX-License-Identifier: Apache-2.0
// One translator: hilum::Error -> the class of hilum.errors that its code stands for.
#include "hilum/error.hpp"

#include <exception>

#include "hilum/codec/batch.hpp"
#include "hilum/dimse/pdu_reader.hpp"
#include "module.hpp"

namespace hilum::bindings {
namespace {

const char* class_name(Errc code) noexcept {
    switch (code) {
        case Errc::limit_exceeded:
            return "LimitExceeded";
        case Errc::not_found:
            return "NotFound";
        default:
            break;
    }
    const auto value = static_cast<int>(code);
    if (value < 100) {
        return "DataError";
    }
    return value < 200 ? "UsageError" : "Unavailable";
}

}  // namespace

py::object to_exception(const Error& error) {
    const py::object type = py::module_::import("hilum.errors").attr(class_name(error.code()));
    const py::object offset =
        error.offset() == Error::kNoOffset ? py::object(py::none()) : py::object(py::int_(error.offset()));
    using namespace py::literals;
    py::object exception = type(error.what(), "code"_a = static_cast<int>(error.code()), "offset"_a = offset);
    if (const auto* of_frame = dynamic_cast<const codec::FrameError*>(&error)) {
        exception.attr("frame") = of_frame->frame();
    }
    if (const auto* of_peer = dynamic_cast<const dimse::ProtocolError*>(&error)) {
        exception.attr("reason") = static_cast<int>(of_peer->reason());
    }
    return exception;
}

void bind_errors(py::module_& m) {
    (void)m;
    py::register_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) {
                std::rethrow_exception(pointer);
            }
        } catch (const Error& error) {
            const py::object value = to_exception(error);
            PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(value.ptr())), value.ptr());
        }
    });
}

}  // namespace hilum::bindings
