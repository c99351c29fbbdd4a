// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pybind11/pybind11.h>

namespace py = pybind11;

namespace hilum {
class Error;
}

namespace hilum::bindings {

/// The exception of hilum.errors that stands for `error`, not raised.
py::object to_exception(const Error& error);

void bind_errors(py::module_& m);
void bind_dicom(py::module_& m);
void bind_dimse(py::module_& m);
void bind_json(py::module_& m);
void bind_pack(py::module_& m);
void bind_index(py::module_& m);
void bind_codec(py::module_& m);
void bind_frames(py::module_& m);
void bind_encode(py::module_& m);
void bind_pixel(py::module_& m);
void bind_picture(py::module_& m);
void bind_volume(py::module_& m);
void bind_render(py::module_& m);
void bind_volume_build(py::module_& m);
void bind_measure(py::module_& m);

}  // namespace hilum::bindings
