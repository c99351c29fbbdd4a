// SPDX-License-Identifier: Apache-2.0
// Geometry out of headers, and frames to bricks: out of packs, and out of memory.
#include <cstring>
#include <string>
#include <vector>

#include <pybind11/stl.h>

#include "convert.hpp"
#include "hilum/error.hpp"
#include "hilum/pack/frames.hpp"
#include "hilum/volume/build.hpp"
#include "hilum/volume/geometry.hpp"
#include "module.hpp"
#include "pixels.hpp"
#include "volumes.hpp"

namespace hilum::bindings {
namespace {

/// In the order of volume::FrameGeometry.
constexpr const char* kGeometryFields[] = {
    "position_x",
    "position_y",
    "position_z",
    "row_x",
    "row_y",
    "row_z",
    "column_x",
    "column_y",
    "column_z",
    "row_spacing",
    "column_spacing",
    "slice_thickness",
    "slice_spacing",
    "slope",
    "intercept",
    "temporal_position",
    "trigger_time",
    "echo_time",
    "b_value",
    "acquisition_number",
    "acquisition_time",
    "instance_number",
    "segment_number",
    "padding",
    "label",
};
static_assert(std::size(kGeometryFields) == volume::kGeometryFields);

template <typename T>
std::vector<T> to_records(const py::object& value, const char* name) {
    const BufferView view(value);
    if (view.bytes().size() % sizeof(T) != 0) {
        throw Error(Errc::invalid_argument, std::string(name) + " are not whole");
    }
    std::vector<T> records(view.bytes().size() / sizeof(T));
    std::memcpy(records.data(), view.bytes().data(), view.bytes().size());
    return records;
}

volume::Plan to_plan(const py::object& value) {
    const py::tuple fields = to_tuple(value, 4, "plan");
    volume::Plan plan;
    plan.layout = to_layout(fields[0]);
    plan.slices = to_records<volume::Slice>(fields[1], "slices");
    plan.source = to_sample_type(fields[2]);
    if (!fields[3].is_none()) {
        plan.rescales = to_records<pixel::Rescale>(fields[3], "rescales");
    }
    return plan;
}

std::vector<std::string> to_paths(const py::object& value) {
    std::vector<std::string> paths;
    for (const py::handle item : value) {
        paths.push_back(to_text(py::reinterpret_borrow<py::object>(item), "a path"));
    }
    return paths;
}

py::list to_python(const std::vector<volume::Level>& levels) {
    py::list all;
    for (const volume::Level& level : levels) {
        all.append(py::make_tuple(py::make_tuple(level.shape[0], level.shape[1], level.shape[2]),
                                  to_bytes(std::span(level.ranges)), level.bytes));
    }
    return all;
}

std::vector<volume::Level> run(const volume::Plan& plan, const volume::ReadFrame& read,
                               const std::vector<std::string>& paths, unsigned threads) {
    const py::gil_scoped_release unlocked;
    return volume::build(plan, read, paths, threads);
}

py::list build_volume(pack::PackReader& reader, const py::object& objects, const py::object& refs,
                      const py::object& plan, const py::object& paths, const py::object& threads) {
    const StoredObjects stored(objects);
    const std::vector<pack::FrameRef> frames = to_records<pack::FrameRef>(refs, "refs");
    const auto read = [&](std::uint32_t index, std::span<std::byte> out) {
        if (index >= frames.size() || frames[index].object >= stored.all().size()) {
            throw Error(Errc::out_of_range, "there is no such frame in the request");
        }
        try {
            pack::decode_frame(reader, stored.all()[frames[index].object], frames[index].frame, out);
        } catch (const Error& error) {
            throw codec::FrameError(index, error);
        }
    };
    return to_python(run(to_plan(plan), read, to_paths(paths), to_number(threads, "threads")));
}

py::list build_volume_of(const py::object& frames, const py::object& plan, const py::object& paths,
                         const py::object& threads) {
    const BufferView view(frames);
    const auto read = [&](std::uint32_t index, std::span<std::byte> out) {
        if (index >= view.bytes().size() / out.size()) {
            throw Error(Errc::out_of_range, "there is no such frame in the request");
        }
        std::memcpy(out.data(), view.bytes().data() + index * out.size(), out.size());
    };
    return to_python(run(to_plan(plan), read, to_paths(paths), to_number(threads, "threads")));
}

/// Texts of headers may be in any character set, or be damaged: every byte is one character.
py::str to_characters(const std::string& text) {
    auto* made = PyUnicode_DecodeLatin1(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
    if (made == nullptr) {
        throw py::error_already_set();
    }
    return py::reinterpret_steal<py::str>(made);
}

py::list read_geometries(pack::PackReader& reader, const py::object& places, const py::object& threads) {
    std::vector<volume::HeaderPlace> wanted;
    for (const py::handle item : places) {
        const py::tuple fields = to_tuple(item, 5, "a place");
        wanted.push_back({to_long_number(fields[0], "pack"), to_long_number(fields[1], "offset"),
                          to_long_number(fields[2], "length"), to_long_number(fields[3], "header_length"),
                          to_number(fields[4], "frames")});
    }
    const unsigned count = to_number(threads, "threads");
    std::vector<volume::Geometry> found;
    {
        const py::gil_scoped_release unlocked;
        found = volume::read_geometries(reader, wanted, count);
    }
    py::list all;
    for (const volume::Geometry& geometry : found) {
        py::list labels;
        for (const std::string& label : geometry.labels) {
            labels.append(to_characters(label));
        }
        all.append(py::make_tuple(to_bytes(std::as_bytes(std::span(geometry.frames))), std::move(labels),
                                  to_characters(geometry.frame_of_reference_uid)));
    }
    return all;
}

}  // namespace

void bind_volume_build(py::module_& m) {
    using namespace py::literals;
    py::tuple names(std::size(kGeometryFields));
    for (std::size_t i = 0; i < std::size(kGeometryFields); ++i) {
        names[i] = kGeometryFields[i];
    }
    m.attr("GEOMETRY_FIELDS") = names;
    m.def("read_geometries", &read_geometries, "reader"_a, "places"_a, "threads"_a = 0,
          "Where frames lie: for each object (pack, offset, length, header length, frames) the numbers of "
          "GEOMETRY_FIELDS, float64 (frames, fields), the texts that its labels count, "
          "and the Frame of Reference UID; a character of them is a byte of the header.");
    m.def("build_volume", &build_volume, "reader"_a, "objects"_a, "refs"_a, "plan"_a, "paths"_a, "threads"_a = 0,
          "One time point to new shards, one per level: objects and refs as for decode_stored_frames; plan (layout, "
          "slices (first, second, weight), dtype of the frames, rescales or None). Gives (shape, ranges, bytes) each.");
    m.def("build_volume_of", &build_volume_of, "frames"_a, "plan"_a, "paths"_a, "threads"_a = 0,
          "The same of decoded frames, (frames, rows, columns).");
}

}  // namespace hilum::bindings
