// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <vector>

#include "convert.hpp"
#include "hilum/dicom/charset.hpp"
#include "hilum/dicom/json.hpp"
#include "hilum/error.hpp"
#include "module.hpp"

namespace hilum::bindings {
namespace {

using dicom::CharacterSet;
using dicom::TextKind;

/// Arguments are declared py::object and converted here, because pybind11 prints all of them, and so patients' data,
/// when one does not fit its declared type.
template <typename T>
T argument(const py::object& value, const char* name) {
    try {
        return py::cast<T>(value);
    } catch (const py::cast_error&) {
        throw py::type_error(std::string("wrong type of argument ") + name);
    }
}

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

py::tuple decode_text(const py::object& data, const py::object& character_set, const py::object& kind) {
    const BufferView view(data);
    const CharacterSet cs = dicom::parse_character_set(argument<std::string>(character_set, "character_set"));
    std::string out;
    const bool clean = dicom::append_utf8(out, view.bytes(), cs, text_kind(argument<std::string>(kind, "kind")));
    return py::make_tuple(py::str(out), clean && !cs.unknown && !cs.ignored);
}

/// Tags of paths such as "00400275.00400009", of which the first counts.
std::vector<dicom::Tag> top_level_tags(const py::object& paths) {
    std::vector<dicom::Tag> tags;
    for (const py::handle path : paths) {
        const auto text = argument<std::string>(py::reinterpret_borrow<py::object>(path), "wanted");
        const auto tag = dicom::parse_tag(std::string_view(text).substr(0, 8));
        if (!tag || (text.size() > 8 && text[8] != '.')) {
            throw Error(Errc::invalid_argument, "a wanted element is no path of tags");
        }
        tags.push_back(*tag);
    }
    return tags;
}

py::bytes dataset_json(const py::object& data, const py::object& header_length, const py::object& bulk_data_uri,
                       const py::object& inline_limit, const py::object& wanted, const py::object& add) {
    const BufferView view(data);
    const BufferView members(add);
    const auto uri = argument<std::string>(bulk_data_uri, "bulk_data_uri");
    const std::span<const std::byte> added = members.bytes();
    dicom::JsonOptions options;
    options.bulk_data_uri = uri;
    options.inline_limit = argument<std::size_t>(inline_limit, "inline_limit");
    options.add = {reinterpret_cast<const char*>(added.data()), added.size()};
    if (!header_length.is_none()) {
        options.header_length = argument<std::size_t>(header_length, "header_length");
    }
    std::vector<dicom::Tag> tags;
    if (!wanted.is_none()) {
        tags = top_level_tags(wanted);
        options.wanted = &tags;
    }
    std::string out;
    {
        const py::gil_scoped_release unlocked;
        out = dicom::dataset_json(view.bytes(), options);
    }
    return {out.data(), out.size()};
}

py::object bulkdata(const py::object& data, const py::object& path) {
    const BufferView view(data);
    const auto text = argument<std::string>(path, "path");
    dicom::BulkData found;
    {
        const py::gil_scoped_release unlocked;
        found = dicom::find_bulk_data(view.bytes(), text);
    }
    if (found.inflated.empty() && found.swap == 1) {
        return py::make_tuple(found.offset, found.length);
    }
    const std::span<const std::byte> source = found.inflated.empty() ? view.bytes() : std::span(found.inflated);
    return py::bytes(dicom::little_endian_value(source, found));
}

}  // namespace

void bind_json(py::module_& m) {
    m.def("decode_text", &decode_text, py::arg("data"), py::arg("character_set") = "", py::arg("kind") = "values",
          "Text under a Specific Character Set as (str, whether nothing was replaced, ignored or guessed).");
    m.def("dataset_json", &dataset_json, py::arg("data"), py::arg("header_length") = py::none(), py::kw_only(),
          py::arg("bulk_data_uri") = "", py::arg("inline_limit") = 1024, py::arg("wanted") = py::none(),
          py::arg("add") = py::bytes(), "The data set as one object of the DICOM JSON Model (PS3.18 F), UTF-8.");
    m.def("bulkdata", &bulkdata, py::arg("data"), py::arg("path"),
          "Offset and length of the value at a path of dataset_json's BulkDataURI; the value itself, little endian, "
          "where it does not stand in the bytes as such (big endian or deflated data sets).");
}

}  // namespace hilum::bindings
