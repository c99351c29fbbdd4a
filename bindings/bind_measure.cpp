// SPDX-License-Identifier: Apache-2.0
// Numbers and surfaces out of volumes.
#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "convert.hpp"
#include "hilum/error.hpp"
#include "hilum/mesh/mesh.hpp"
#include "hilum/volume/measure.hpp"
#include "module.hpp"
#include "pixels.hpp"
#include "volumes.hpp"

namespace hilum::bindings {
namespace {

/// A float64 array of rows of `width`.
std::vector<double> to_doubles(const py::object& value, std::size_t width, const char* name) {
    const BufferView view(value);
    if (view.raw().format == nullptr || std::strcmp(view.raw().format, "d") != 0 ||
        view.bytes().size() % (width * sizeof(double)) != 0) {
        throw Error(Errc::invalid_argument,
                    std::string(name) + " must be a C-contiguous float64 array with rows of " + std::to_string(width));
    }
    std::vector<double> found(view.bytes().size() / sizeof(double));
    std::memcpy(found.data(), view.bytes().data(), view.bytes().size());
    return found;
}

std::vector<double> to_row(const py::object& value, std::size_t width, const char* name) {
    std::vector<double> found = to_doubles(value, width, name);
    if (found.size() != width) {
        throw Error(Errc::invalid_argument, std::string(name) + " must be " + std::to_string(width) + " numbers");
    }
    return found;
}

volume::Point point(const std::vector<double>& values, std::size_t at) {
    return {values[at], values[at + 1], values[at + 2]};
}

/// A region and the buffer that its mask borrows.
class RegionArgument {
public:
    explicit RegionArgument(const py::object& value) {
        const py::tuple fields = to_tuple(value, 6, "region");
        const std::vector<double> layers = to_doubles(fields[0], 5, "layers");
        for (std::size_t i = 0; i < layers.size(); i += 5) {
            region_.layers.push_back({point(layers, i), layers[i + 3], layers[i + 4]});
        }
        if (!fields[1].is_none()) {
            const std::vector<double> numbers = to_row(fields[1], 12, "ellipsoid");
            volume::Ellipsoid& shape = region_.ellipsoid.emplace();
            std::copy_n(numbers.begin(), 9, shape.to_unit.begin());
            shape.centre = point(numbers, 9);
        }
        if (!fields[2].is_none()) {
            set_polygon(to_tuple(fields[2], 2, "polygon"));
        }
        if (!fields[3].is_none()) {
            set_mask(to_tuple(fields[3], 4, "mask"));
        }
        region_.box = {to_extent(fields[4], "first"), to_extent(fields[5], "size")};
    }
    [[nodiscard]] const volume::Region& get() const noexcept { return region_; }

private:
    void set_polygon(const py::tuple& fields) {
        const std::vector<double> plane = to_row(fields[0], 9, "polygon");
        volume::Polygon& shape = region_.polygon.emplace();
        shape.origin = point(plane, 0);
        shape.u = point(plane, 3);
        shape.v = point(plane, 6);
        const std::vector<double> points = to_doubles(fields[1], 2, "points");
        for (std::size_t i = 0; i < points.size(); i += 2) {
            shape.points.push_back({points[i], points[i + 1]});
        }
    }
    void set_mask(const py::tuple& fields) {
        voxels_.emplace(fields[0]);
        volume::GridMask& mask = region_.mask.emplace();
        const std::span<const std::byte> bytes = voxels_->bytes();
        mask.voxels = {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
        mask.shape = to_extent(fields[1], "mask");
        const std::vector<double> mapping = to_row(fields[2], 12, "mapping");
        std::copy_n(mapping.begin(), mask.mapping.size(), mask.mapping.begin());
        const std::uint32_t least = to_number(fields[3], "least");
        if (least == 0 || least > 255) {
            throw Error(Errc::invalid_argument, "a mask is of values from 1 to 255");
        }
        mask.least = static_cast<std::uint8_t>(least);
    }

    volume::Region region_;
    std::optional<BufferView> voxels_;
};

py::tuple measure(const volume::Bricks& bricks, const py::object& region, const py::object& threads) {
    const RegionArgument wanted(region);
    const unsigned count = to_number(threads, "threads");
    volume::Moments found;
    {
        const py::gil_scoped_release unlocked;
        found = volume::measure(bricks.view(), wanted.get(), count);
    }
    return py::make_tuple(found.count, found.not_numbers, found.least, found.greatest, found.mean, found.squares);
}

void histogram(const volume::Bricks& bricks, const py::object& region, const py::object& edges, const py::object& slope,
               const py::object& intercept, const py::object& out, const py::object& threads) {
    const RegionArgument wanted(region);
    const std::vector<double> limits = to_doubles(edges, 1, "edges");
    const double factor = to_real(slope, "slope");
    const double offset = to_real(intercept, "intercept");
    const unsigned count = to_number(threads, "threads");
    const BufferView target(out, true);
    if (target.raw().itemsize != sizeof(std::uint64_t)) {
        throw Error(Errc::invalid_argument, "counts must be uint64");
    }
    const std::span<std::byte> bytes = target.writable();
    const py::gil_scoped_release unlocked;
    volume::histogram(bricks.view(), wanted.get(), factor, offset, limits,
                      {reinterpret_cast<std::uint64_t*>(bytes.data()), bytes.size() / sizeof(std::uint64_t)}, count);
}

void sample_line(const volume::Bricks& bricks, const py::object& line, const py::object& linear,
                 const py::object& out) {
    const std::vector<double> numbers = to_row(line, 6, "line");
    const bool interpolate = to_bool(linear);
    const BufferView target(out, true);
    if (target.raw().itemsize != sizeof(double)) {
        throw Error(Errc::invalid_argument, "out must be float64");
    }
    const std::span<std::byte> bytes = target.writable();
    const py::gil_scoped_release unlocked;
    volume::sample_line(bricks.view(), point(numbers, 0), point(numbers, 3), interpolate,
                        {reinterpret_cast<double*>(bytes.data()), bytes.size() / sizeof(double)});
}

py::tuple isosurface(const volume::Bricks& bricks, const py::object& threshold, const py::object& below,
                     const py::object& closed, const py::object& region, const py::object& largest,
                     const py::object& smooth, const py::object& faces, const py::object& error,
                     const py::object& vertices, const py::object& threads) {
    std::optional<RegionArgument> within;
    mesh::Isosurface wanted{to_real(threshold, "threshold"), to_bool(below), to_bool(closed)};
    if (!region.is_none()) {
        wanted.region = &within.emplace(region).get();
    }
    wanted.vertices = std::min(wanted.vertices, to_long_number(vertices, "vertices"));
    const std::uint32_t pieces = to_number(largest, "largest");
    const std::uint32_t passes = to_number(smooth, "smooth");
    const mesh::Decimation less{to_long_number(faces, "faces"), to_real(error, "error")};
    const unsigned count = to_number(threads, "threads");
    mesh::Mesh made;
    std::vector<std::array<float, 3>> directions;
    std::size_t before = 0;
    {
        const py::gil_scoped_release unlocked;
        made = mesh::isosurface(bricks.view(), wanted, count);
        if (pieces != 0) {
            mesh::keep_largest(made, pieces);
        }
        before = made.triangles.size();
        mesh::smooth(made, passes);
        if (less.faces != 0 || less.error > 0.0) {
            mesh::decimate(made, less);
        }
        directions = mesh::normals(made);
    }
    return py::make_tuple(to_bytes(std::as_bytes(std::span(made.vertices))),
                          to_bytes(std::as_bytes(std::span(directions))),
                          to_bytes(std::as_bytes(std::span(made.triangles))), before);
}

}  // namespace

void bind_measure(py::module_& m) {
    using namespace py::literals;
    m.def(
        "measure", &measure, "volume"_a, "region"_a, py::kw_only(), "threads"_a = 0,
        "Statistics of stored values: (count, not numbers, least, greatest, mean, sum of squared differences from it). "
        "region: (layers float64 (n, 5), ellipsoid float64 (12) or None, polygon (plane float64 (9), points float64 "
        "(m, 2)) or None, mask (uint8 (z, y, x), shape, mapping float64 (12), least) or None, first, size).");
    m.def("histogram", &histogram, "volume"_a, "region"_a, py::kw_only(), "edges"_a, "slope"_a, "intercept"_a, "out"_a,
          "threads"_a = 0, "Counts, uint64, of stored * slope + intercept between edges.");
    m.def("sample_line", &sample_line, "volume"_a, "line"_a, py::kw_only(), "linear"_a, "out"_a,
          "Stored values, float64, along a line: float64 (6) of start and step (LPS mm); NaN outside.");
    m.def(
        "isosurface", &isosurface, "volume"_a, "threshold"_a, py::kw_only(), "below"_a = false, "closed"_a = true,
        "region"_a = py::none(), "largest"_a = 0, "smooth"_a = 0, "faces"_a = 0, "error"_a = 0.0,
        "vertices"_a = limits::kMaxMeshVertices, "threads"_a = 0,
        "Triangles around stored values of at least (below: at most) the threshold: vertices and normals, float32 (n, "
        "3) (LPS mm), triangles, uint32 (m, 3), and how many there were before decimation.");
}

}  // namespace hilum::bindings
