// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "convert.hpp"
#include "hilum/error.hpp"
#include "hilum/render/cell_grid.hpp"
#include "hilum/render/fused.hpp"
#include "hilum/render/labels.hpp"
#include "hilum/render/projection.hpp"
#include "hilum/render/raycast.hpp"
#include "hilum/render/reslice.hpp"
#include "hilum/volume/bricks.hpp"
#include "module.hpp"
#include "pixels.hpp"

namespace hilum::bindings {
namespace {

constexpr std::size_t kCameraFields = 17;

/// A float64 array of rows of `width`.
std::vector<double> to_doubles(const py::object& value, std::size_t width, const char* name) {
    const BufferView view(value);
    const std::size_t row = width * sizeof(double);
    if (view.raw().itemsize != static_cast<Py_ssize_t>(sizeof(double)) || view.raw().format == nullptr ||
        std::strcmp(view.raw().format, "d") != 0 || view.bytes().size() % row != 0) {
        throw Error(Errc::invalid_argument,
                    std::string(name) + " must be a C-contiguous float64 array with rows of " + std::to_string(width));
    }
    std::vector<double> found(view.bytes().size() / sizeof(double));
    std::memcpy(found.data(), view.bytes().data(), view.bytes().size());
    return found;
}

render::Vec3 vec3(const std::vector<double>& values, std::size_t at) {
    return {values[at], values[at + 1], values[at + 2]};
}

template <typename Value>
Value choose(const py::object& value, const char* name, const std::vector<std::pair<const char*, Value>>& table) {
    const std::string wanted = to_text(value, name);
    for (const auto& [text, found] : table) {
        if (wanted == text) {
            return found;
        }
    }
    throw Error(Errc::invalid_argument, std::string("unknown ") + name);
}

render::Interpolation to_interpolation(const py::object& value) {
    return choose<render::Interpolation>(value, "interpolation",
                                         {{"nearest", render::Interpolation::nearest},
                                          {"linear", render::Interpolation::linear},
                                          {"cubic", render::Interpolation::cubic}});
}

render::Blend to_blend(const py::object& value) {
    return choose<render::Blend>(
        value, "blend",
        {{"maximum", render::Blend::maximum}, {"minimum", render::Blend::minimum}, {"mean", render::Blend::mean}});
}

render::Camera to_camera(const py::object& value) {
    const std::vector<double> all = to_doubles(value, kCameraFields, "camera");
    if (all.size() != kCameraFields) {
        throw Error(Errc::invalid_argument, "camera must be 17 numbers");
    }
    return {vec3(all, 0), vec3(all, 3), vec3(all, 6), vec3(all, 9), vec3(all, 12), all[15] != 0.0, all[16]};
}

std::vector<render::ClipPlane> to_clip(const py::object& value) {
    const std::vector<double> all = to_doubles(value, 4, "clip");
    std::vector<render::ClipPlane> planes;
    for (std::size_t i = 0; i < all.size(); i += 4) {
        planes.push_back({vec3(all, i), all[i + 3]});
    }
    return planes;
}

render::Execution to_execution(const py::object& threads, const py::object& simd, const py::object& skip) {
    return {to_number(threads, "threads"), to_bool(simd), to_bool(skip)};
}

render::CellGrid make_cells(const volume::Bricks& volume, const py::object& threads) {
    const unsigned wanted = to_number(threads, "threads");
    const py::gil_scoped_release unlocked;
    return render::make_cell_grid(volume.view(), wanted);
}

void reslice(const volume::Bricks& volume, const render::CellGrid* cells, const py::object& rows,
             const py::object& columns, const py::object& interpolation, const py::object& samples,
             const py::object& blend, const py::object& outside, const py::object& out, const py::object& threads,
             const py::object& simd, const py::object& skip) {
    const std::vector<double> numbers = to_doubles(rows, 9, "rows");
    std::vector<render::Row> made;
    made.reserve(numbers.size() / 9);
    for (std::size_t i = 0; i < numbers.size(); i += 9) {
        made.push_back({vec3(numbers, i), vec3(numbers, i + 3), vec3(numbers, i + 6)});
    }
    const render::Slab slab{to_number(samples, "samples"), to_blend(blend)};
    const render::Interpolation kind = to_interpolation(interpolation);
    const render::Execution execution = to_execution(threads, simd, skip);
    const std::uint32_t width = to_number(columns, "columns");
    const double value = to_real(outside, "outside");
    const BufferView target(out, true);
    const py::gil_scoped_release unlocked;
    render::reslice(volume.view(), cells, made, width, kind, slab, value, execution, target.writable());
}

void project(const volume::Bricks& volume, const render::CellGrid& cells, const py::object& camera,
             const py::object& size, const py::object& blend, const py::object& outside, const py::object& clip,
             const py::object& out, const py::object& threads, const py::object& simd, const py::object& skip) {
    const render::Camera view = to_camera(camera);
    const py::tuple shape = to_tuple(size, 2, "size");
    const render::ImageSize pixels{to_number(shape[0], "size"), to_number(shape[1], "size")};
    const std::vector<render::ClipPlane> planes = to_clip(clip);
    const render::Blend kind = to_blend(blend);
    const render::Execution execution = to_execution(threads, simd, skip);
    const double value = to_real(outside, "outside");
    const BufferView target(out, true);
    const py::gil_scoped_release unlocked;
    render::project(volume.view(), cells, view, pixels, kind, value, planes, execution, target.writable());
}

render::TransferFunction to_transfer(const py::object& colours, const py::object& opacities, const py::object& unit) {
    render::TransferFunction function;
    const std::vector<double> c = to_doubles(colours, 4, "colours");
    for (std::size_t i = 0; i < c.size(); i += 4) {
        function.colours.push_back(
            {c[i], static_cast<float>(c[i + 1]), static_cast<float>(c[i + 2]), static_cast<float>(c[i + 3])});
    }
    const std::vector<double> o = to_doubles(opacities, 2, "opacities");
    for (std::size_t i = 0; i < o.size(); i += 2) {
        function.opacities.push_back({o[i], static_cast<float>(o[i + 1])});
    }
    function.unit = to_real(unit, "unit");
    return function;
}

render::Shading to_shading(const py::object& value) {
    if (value.is_none()) {
        return {};
    }
    const py::tuple parts = to_tuple(value, 4, "shading");
    const auto part = [&](std::size_t i) { return static_cast<float>(to_real(parts[i], "shading")); };
    return {true, part(0), part(1), part(2), part(3)};
}

std::array<float, 3> to_background(const py::object& value) {
    const py::tuple parts = to_tuple(value, 3, "background");
    std::array<float, 3> found{};
    for (std::size_t i = 0; i < 3; ++i) {
        found[i] = static_cast<float>(to_real(parts[i], "background"));
    }
    return found;
}

/// A volume put elsewhere.
volume::BrickView to_view(const py::object& volume, const py::object& affine) {
    volume::BrickView found = volume.cast<const volume::Bricks&>().view();
    const std::vector<double> numbers = to_doubles(affine, 16, "affine");
    std::copy_n(numbers.begin(), std::min<std::size_t>(numbers.size(), 16), found.affine.begin());
    return found;
}

/// Each (volume, affine, styles, is mask): float64 (n, 6) of shown, opacity, tint, red, green, blue.
std::vector<render::Labels> to_labels(const py::object& value) {
    std::vector<render::Labels> found;
    for (const py::handle item : py::reinterpret_borrow<py::list>(value)) {
        const py::tuple parts = to_tuple(py::reinterpret_borrow<py::object>(item), 4, "labels");
        render::Labels labels{to_view(parts[0], parts[1]), {}, to_bool(parts[3])};
        const std::vector<double> styles = to_doubles(parts[2], 6, "styles");
        for (std::size_t i = 0; i < styles.size(); i += 6) {
            const auto part = [&](std::size_t at) { return static_cast<float>(styles[i + at]); };
            labels.styles.push_back({styles[i] != 0.0, part(1), part(2), {part(3), part(4), part(5)}});
        }
        found.push_back(std::move(labels));
    }
    return found;
}

void raycast(const volume::Bricks& volume, const render::CellGrid& cells, const py::object& camera,
             const py::object& size, const py::object& colours, const py::object& opacities, const py::object& unit,
             const py::object& shading, const py::object& background, const py::object& clip, const py::object& labels,
             const py::object& out, const py::object& threads, const py::object& simd, const py::object& skip) {
    const render::Camera view = to_camera(camera);
    const py::tuple shape = to_tuple(size, 2, "size");
    const render::ImageSize pixels{to_number(shape[0], "size"), to_number(shape[1], "size")};
    const render::TransferFunction function = to_transfer(colours, opacities, unit);
    const render::Shading light = to_shading(shading);
    const std::array<float, 3> behind = to_background(background);
    const std::vector<render::ClipPlane> planes = to_clip(clip);
    const std::vector<render::Labels> segments = to_labels(labels);
    const render::Execution execution = to_execution(threads, simd, skip);
    const BufferView target(out, true);
    const std::span<std::uint8_t> bytes = {reinterpret_cast<std::uint8_t*>(target.writable().data()),
                                           target.writable().size()};
    const py::gil_scoped_release unlocked;
    if (segments.empty()) {
        render::raycast(volume.view(), cells, view, pixels, function, light, behind, planes, execution, bytes);
    } else {
        render::raycast_labelled(volume.view(), cells, view, pixels, function, light, behind, planes, segments,
                                 execution, bytes);
    }
}

/// (volume, affine, cells, (colours, opacities, unit), shading, clip, [(volume, affine, excludes)], stream)
render::FusedLayer to_layer(const py::object& value) {
    const py::tuple parts = to_tuple(value, 8, "layers");
    render::FusedLayer found;
    found.view = to_view(parts[0], parts[1]);
    found.cells = &parts[2].cast<const render::CellGrid&>();
    const py::tuple transfer = to_tuple(parts[3], 3, "transfer");
    found.transfer = to_transfer(transfer[0], transfer[1], transfer[2]);
    found.shading = to_shading(parts[4]);
    found.clip = to_clip(parts[5]);
    for (const py::handle item : py::reinterpret_borrow<py::list>(parts[6])) {
        const py::tuple mask = to_tuple(py::reinterpret_borrow<py::object>(item), 3, "masks");
        found.masks.push_back({to_view(mask[0], mask[1]), to_bool(mask[2])});
    }
    found.stream = to_number(parts[7], "stream");
    return found;
}

/// Each (bits, first, second): float64 weights.
std::vector<render::FusedWeights> to_weights(const py::list& value) {
    std::vector<render::FusedWeights> found;
    for (const py::handle item : value) {
        const py::tuple parts = to_tuple(py::reinterpret_borrow<py::object>(item), 3, "weights");
        const std::vector<double> first = to_doubles(parts[1], 1, "weights");
        const std::vector<double> second = to_doubles(parts[2], 1, "weights");
        const auto narrow = [](const std::vector<double>& from) {
            std::vector<float> to(from.size());
            std::ranges::transform(from, to.begin(), [](double one) { return static_cast<float>(one); });
            return to;
        };
        found.push_back({to_number(parts[0], "bits"), narrow(first), narrow(second)});
    }
    return found;
}

void raycast_fused(const py::list& layers, const py::list& weights, const py::object& camera, const py::object& size,
                   const py::object& background, const py::object& out, const py::object& threads,
                   const py::object& skip) {
    std::vector<render::FusedLayer> volumes;
    for (const py::handle item : layers) {
        volumes.push_back(to_layer(py::reinterpret_borrow<py::object>(item)));
    }
    const std::vector<render::FusedWeights> tables = to_weights(weights);
    const render::Camera view = to_camera(camera);
    const py::tuple shape = to_tuple(size, 2, "size");
    const render::ImageSize pixels{to_number(shape[0], "size"), to_number(shape[1], "size")};
    const std::array<float, 3> behind = to_background(background);
    const render::Execution execution{to_number(threads, "threads"), false, to_bool(skip)};
    const BufferView target(out, true);
    const std::span<std::uint8_t> bytes = {reinterpret_cast<std::uint8_t*>(target.writable().data()),
                                           target.writable().size()};
    const py::gil_scoped_release unlocked;
    render::raycast_fused(volumes, tables, view, pixels, behind, execution, bytes);
}

}  // namespace

void bind_render(py::module_& m) {
    using namespace py::literals;
    py::class_<render::CellGrid>(m, "RenderCells", "Least and greatest value of small cells of a volume. Immutable.")
        .def(py::init(&make_cells), "volume"_a, py::kw_only(), "threads"_a = 0, "Reads the whole volume once.");
    m.def("reslice", &reslice, "volume"_a, "cells"_a.none(true), "rows"_a, "columns"_a, py::kw_only(),
          "interpolation"_a = "linear", "samples"_a = 1, "blend"_a = "maximum", "outside"_a, "out"_a, "threads"_a = 0,
          "simd"_a = true, "skip"_a = true,
          "Rows of pixels: float64 (rows, 9) of origin, step to the next pixel, step through the slab (LPS mm); "
          "out: stored values (rows, columns).");
    m.def("project", &project, "volume"_a, "cells"_a, "camera"_a, "size"_a, py::kw_only(), "blend"_a = "maximum",
          "outside"_a, "clip"_a, "out"_a, "threads"_a = 0, "simd"_a = true, "skip"_a = true,
          "Projection: camera float64 (17) of origin, right, down, direction, eye, perspective, step (LPS mm); clip "
          "float64 (n, 4); out: stored values (rows, columns) = size.");
    m.def(
        "raycast", &raycast, "volume"_a, "cells"_a, "camera"_a, "size"_a, py::kw_only(), "colours"_a, "opacities"_a,
        "unit"_a, "shading"_a, "background"_a, "clip"_a, "labels"_a = py::list(), "out"_a, "threads"_a = 0,
        "simd"_a = true, "skip"_a = true,
        "Volume rendering: colours float64 (n, 4), opacities (n, 2) by modality value; labels: list of (uint8 volume, "
        "affine, float64 (n, 6) of shown, opacity, tint, red, green, blue of each value, is mask); out: uint8 (rows, "
        "columns, 3).");
    m.def("raycast_fused", &raycast_fused, "layers"_a, "weights"_a, "camera"_a, "size"_a, py::kw_only(), "background"_a,
          "out"_a, "threads"_a = 0, "skip"_a = true,
          "Volume rendering of several volumes: layers (volume, affine, cells, (colours, opacities, unit), shading, "
          "clip, masks (uint8 volume, affine, excludes), stream); weights (bits, first, second) of streams, float64.");
}

}  // namespace hilum::bindings
