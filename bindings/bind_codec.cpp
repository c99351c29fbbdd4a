// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "convert.hpp"
#include "hilum/codec/registry.hpp"
#include "hilum/error.hpp"
#include "module.hpp"
#include "pixels.hpp"

namespace hilum::bindings {
namespace {

void decode(const py::object& data, const py::object& transfer_syntax_uid, const py::object& pixels,
            const py::object& frame_bit_offset, const py::object& out) {
    const FrameArguments arguments(data, transfer_syntax_uid, pixels, frame_bit_offset);
    const BufferView target(out, true);
    const py::gil_scoped_release unlocked;
    codec::decode_frame(arguments.frame(), arguments.syntax, arguments.description, target.writable());
}

py::tuple codecs() {
    py::list all;
    for (const codec::Syntax& syntax : codec::syntaxes()) {
        for (const codec::Codec* one : syntax.decoders) {
            all.append(py::make_tuple(syntax.uid, syntax.name, one->name, one->provider));
        }
    }
    return py::tuple(all);
}

}  // namespace

void bind_codec(py::module_& m) {
    using namespace py::literals;
    m.def("decode", &decode, "data"_a, "transfer_syntax_uid"_a, "pixels"_a, "frame_bit_offset"_a = 0, py::kw_only(),
          "out"_a,
          "Stored values of one frame (a buffer, or a list of fragments) into out: (rows, columns[, samples]).");
    m.def(
        "check_pixels", [](const py::object& pixels) { codec::check_description(to_description(pixels)); }, "pixels"_a,
        "Raises unless every field is one that the decoders and the caller's allocation may trust.");
    m.def("codecs", &codecs, "(transfer syntax UID, its name, decoder, whose code) for each decoder, best first.");
}

}  // namespace hilum::bindings
