// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pybind11/pybind11.h>

namespace py = pybind11;

namespace hilum::bindings {

void bind_errors(py::module_& m);
void bind_dicom(py::module_& m);
void bind_json(py::module_& m);
void bind_pack(py::module_& m);
void bind_index(py::module_& m);
void bind_codec(py::module_& m);
void bind_pixel(py::module_& m);

}  // namespace hilum::bindings
