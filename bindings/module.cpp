// SPDX-License-Identifier: Apache-2.0
#include "module.hpp"

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    m.doc() = "hilum's engine: scan, pack, codec, pixel. Private: use the package's modules.";
    hilum::bindings::bind_errors(m);
    hilum::bindings::bind_dicom(m);
    hilum::bindings::bind_json(m);
    hilum::bindings::bind_pack(m);
    hilum::bindings::bind_index(m);
    hilum::bindings::bind_codec(m);
    hilum::bindings::bind_pixel(m);
}
