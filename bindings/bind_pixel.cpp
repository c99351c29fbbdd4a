// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"
#include "module.hpp"

namespace hilum::bindings {

void bind_pixel(py::module_& m) {
    (void)m;
}

}  // namespace hilum::bindings
