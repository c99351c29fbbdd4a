// SPDX-License-Identifier: Apache-2.0
#include "hilum/cpu.hpp"

#include "module.hpp"

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    m.doc() = "hilum's engine: scan, pack, codec, pixel. Private: use the package's modules.";
    hilum::bindings::bind_errors(m);
    hilum::bindings::bind_dicom(m);
    hilum::bindings::bind_dimse(m);
    hilum::bindings::bind_json(m);
    hilum::bindings::bind_pack(m);
    hilum::bindings::bind_index(m);
    hilum::bindings::bind_codec(m);
    hilum::bindings::bind_frames(m);
    hilum::bindings::bind_encode(m);
    hilum::bindings::bind_pixel(m);
    hilum::bindings::bind_picture(m);
    hilum::bindings::bind_volume(m);
    hilum::bindings::bind_render(m);
    hilum::bindings::bind_volume_build(m);
    hilum::bindings::bind_measure(m);
    m.def(
        "cpu_features",
        [] {
            const hilum::cpu::Features& found = hilum::cpu::features();
            py::dict features;
            features["sse42"] = found.sse42;
            features["avx2"] = found.avx2;
            features["fma"] = found.fma;
            features["avx512bw"] = found.avx512bw;
            features["sha"] = found.sha;
            return features;
        },
        "What the kernels use of this processor; all false with HILUM_CPU=scalar.");
}
