// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "convert.hpp"
#include "hilum/error.hpp"
#include "hilum/volume/bricks.hpp"
#include "module.hpp"
#include "pixels.hpp"
#include "volumes.hpp"

namespace hilum::bindings {
namespace {

constexpr std::pair<SampleType, const char*> kTypes[] = {
    {SampleType::u8, "uint8"},   {SampleType::s8, "int8"},   {SampleType::u16, "uint16"},  {SampleType::s16, "int16"},
    {SampleType::u32, "uint32"}, {SampleType::s32, "int32"}, {SampleType::f32, "float32"}, {SampleType::f64, "float64"},
};

std::vector<volume::BrickRange> to_ranges(const py::object& value) {
    if (value.is_none()) {
        return {};
    }
    const BufferView view(value);
    if (view.bytes().size() % sizeof(volume::BrickRange) != 0) {
        throw Error(Errc::invalid_argument, "ranges must be pairs of float32");
    }
    std::vector<volume::BrickRange> ranges(view.bytes().size() / sizeof(volume::BrickRange));
    std::memcpy(ranges.data(), view.bytes().data(), view.bytes().size());
    return ranges;
}

volume::Bricks map(const py::object& path, const py::object& layout, const py::object& ranges) {
    const std::string name = to_text(path, "path");
    const volume::Layout wanted = to_layout(layout);
    std::vector<volume::BrickRange> known = to_ranges(ranges);
    const py::gil_scoped_release unlocked;
    return volume::Bricks::map(name, wanted, std::move(known));
}

volume::Bricks copy(const py::object& voxels, const py::object& layout) {
    const BufferView view(voxels);
    const volume::Layout wanted = to_layout(layout);
    const py::gil_scoped_release unlocked;
    return volume::Bricks::copy(view.bytes(), wanted);
}

void read(const volume::Bricks& bricks, const py::object& first, const py::object& size, const py::object& out,
          const py::object& threads) {
    const volume::Box box{to_extent(first, "first"), to_extent(size, "size")};
    const unsigned wanted = to_number(threads, "threads");
    const BufferView target(out, true);
    const py::gil_scoped_release unlocked;
    volume::read_box(bricks.view(), box, target.writable(), wanted);
}

py::tuple layout_of(const volume::Bricks& bricks) {
    const volume::BrickView& v = bricks.view();
    py::tuple affine(v.affine.size());
    for (std::size_t i = 0; i < v.affine.size(); ++i) {
        affine[i] = v.affine[i];
    }
    return py::make_tuple(py::make_tuple(v.shape[0], v.shape[1], v.shape[2]), name_of(v.type), v.fill, v.slope,
                          v.intercept, affine);
}

py::tuple brick_grid(const volume::Bricks& bricks) {
    const volume::BrickView& v = bricks.view();
    return py::make_tuple(v.bricks(0), v.bricks(1), v.bricks(2));
}

py::bytes ranges(const volume::Bricks& bricks) {
    return to_bytes(bricks.view().ranges);
}

}  // namespace

py::bytes to_bytes(std::span<const volume::BrickRange> ranges) {
    return to_bytes(std::as_bytes(ranges));
}

SampleType to_sample_type(const py::object& name) {
    const std::string wanted = to_text(name, "dtype");
    for (const auto& [type, text] : kTypes) {
        if (wanted == text) {
            return type;
        }
    }
    throw Error(Errc::invalid_argument, "no volume has this dtype");
}

const char* name_of(SampleType type) noexcept {
    for (const auto& [known, text] : kTypes) {
        if (known == type) {
            return text;
        }
    }
    return "";
}

std::array<std::uint32_t, 3> to_extent(const py::object& value, const char* name) {
    const py::tuple fields = to_tuple(value, 3, name);
    return {to_number(fields[0], name), to_number(fields[1], name), to_number(fields[2], name)};
}

volume::Layout to_layout(const py::object& fields) {
    const py::tuple all = to_tuple(fields, 6, "layout");
    volume::Layout layout;
    layout.shape = to_extent(all[0], "shape");
    layout.type = to_sample_type(all[1]);
    layout.fill = to_real(all[2], "fill");
    layout.slope = to_real(all[3], "slope");
    layout.intercept = to_real(all[4], "intercept");
    const py::tuple affine = to_tuple(all[5], layout.affine.size(), "affine");
    for (std::size_t i = 0; i < layout.affine.size(); ++i) {
        layout.affine[i] = to_real(affine[i], "affine");
    }
    return layout;
}

void bind_volume(py::module_& m) {
    using namespace py::literals;
    py::class_<volume::Bricks>(m, "VolumeView",
                               "Bricks of one level of one time point, mapped or in memory. Immutable, thread-safe.")
        .def_static("map", &map, "path"_a, "layout"_a, "ranges"_a = py::none(),
                    "Maps a shard. layout: (shape (z, y, x), dtype, fill, slope, intercept, affine as 16 numbers).")
        .def_static("copy", &copy, "voxels"_a, "layout"_a, "Copies a C-contiguous (z, y, x) array into bricks.")
        .def("read", &read, "first"_a, "size"_a, py::kw_only(), "out"_a, "threads"_a = 0,
             "Copies a box of voxels, first and size (z, y, x), into out.")
        .def_property_readonly("layout", &layout_of, "As given to map and copy.")
        .def_property_readonly("bricks", &brick_grid, "Bricks along z, y, x.")
        .def("ranges", &ranges, "Least and greatest stored value of each brick: float32 (bz, by, bx, 2).");
}

}  // namespace hilum::bindings
