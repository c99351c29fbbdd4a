// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"
#include "hilum/dicom/charset.hpp"
#include "hilum/error.hpp"
#include "module.hpp"

namespace hilum::bindings {
namespace {

using dicom::CharacterSet;
using dicom::TextKind;

TextKind text_kind(const std::string& name) {
    if (name == "values") {
        return TextKind::values;
    }
    if (name == "text") {
        return TextKind::text;
    }
    if (name == "person_name") {
        return TextKind::person_name;
    }
    throw Error(Errc::invalid_argument, "kind must be 'values', 'text' or 'person_name'");
}

py::tuple decode_text(const py::object& data, const std::string& character_set, const std::string& kind) {
    const BufferView view(data);
    const CharacterSet cs = dicom::parse_character_set(character_set);
    std::string out;
    const bool clean = dicom::append_utf8(out, view.bytes(), cs, text_kind(kind));
    return py::make_tuple(py::str(out), clean && !cs.unknown && !cs.ignored);
}

}  // namespace

void bind_json(py::module_& m) {
    m.def("decode_text", &decode_text, py::arg("data"), py::arg("character_set") = "", py::arg("kind") = "values",
          "Text under a Specific Character Set as (str, whether nothing was replaced, ignored or guessed).");
}

}  // namespace hilum::bindings
