// SPDX-License-Identifier: Apache-2.0
// Input: a small volume, a region of any numbers and a surface. It is answered or refused; what is closed is closed.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "hilum/error.hpp"
#include "hilum/mesh/mesh.hpp"
#include "hilum/volume/bricks.hpp"
#include "hilum/volume/measure.hpp"

namespace {

using namespace hilum;
using namespace hilum::volume;

class Input {
public:
    explicit Input(std::span<const std::uint8_t> data) : data_(data) {}

    std::uint8_t byte() { return at_ < data_.size() ? data_[at_++] : std::uint8_t{0}; }
    /// Mostly numbers of a reasonable size, now and then any bits.
    double number() {
        const std::uint8_t kind = byte();
        if (kind >= 0xFC) {
            std::array<std::uint8_t, 8> bits{};
            std::ranges::generate(bits, [this] { return byte(); });
            double value = 0.0;
            std::memcpy(&value, bits.data(), sizeof(value));
            return value;
        }
        return (static_cast<double>(byte()) - 128.0) / ((kind & 1U) != 0 ? 4.0 : 32.0);
    }
    Point point() { return {number(), number(), number()}; }

private:
    std::span<const std::uint8_t> data_;
    std::size_t at_ = 0;
};

Bricks make_volume(Input& in) {
    Layout layout;
    for (std::uint32_t& size : layout.shape) {
        const std::uint8_t wanted = in.byte();
        size = wanted < 0xF8 ? 1U + wanted % 12U : wanted - 0xD8U;  // now and then of several bricks
    }
    constexpr std::array kTypes{SampleType::u8, SampleType::s16, SampleType::s32, SampleType::f32};
    layout.type = kTypes[in.byte() % kTypes.size()];
    for (std::size_t n = 0; n < 12; ++n) {
        layout.affine[n] += in.number() / 8.0;
    }
    std::vector<std::byte> voxels(std::size_t{layout.shape[0]} * layout.shape[1] * layout.shape[2] *
                                  bytes_of(layout.type));
    std::uint32_t state = in.byte() + 1U;
    for (std::byte& voxel : voxels) {
        state = state * 1664525U + 1013904223U;
        voxel = static_cast<std::byte>(state >> 24U);
    }
    return Bricks::copy(voxels, layout);
}

Region make_region(Input& in, const BrickView& view, std::vector<std::uint8_t>& mask) {
    Region region;
    const std::uint8_t parts = in.byte();
    region.box.size = view.shape;
    if ((parts & 1U) != 0) {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            region.box.first[axis] = in.byte() % 40U;
            region.box.size[axis] = in.byte() % 40U;
        }
    }
    for (std::uint8_t n = in.byte() % 4U; n != 0; --n) {
        region.layers.push_back({in.point(), in.number(), in.number()});
    }
    if ((parts & 2U) != 0) {
        Ellipsoid& shape = region.ellipsoid.emplace();
        std::ranges::generate(shape.to_unit, [&] { return in.number(); });
        shape.centre = in.point();
    }
    if ((parts & 4U) != 0) {
        Polygon& shape = region.polygon.emplace();
        shape = {in.point(), in.point(), in.point(), {}};
        for (std::uint8_t n = in.byte() % 16U; n != 0; --n) {
            shape.points.push_back({in.number(), in.number()});
        }
    }
    if ((parts & 8U) != 0) {
        GridMask& shape = region.mask.emplace();
        for (std::uint32_t& size : shape.shape) {
            size = in.byte() % 8U;
        }
        mask.resize(std::size_t{shape.shape[0]} * shape.shape[1] * shape.shape[2]);
        std::ranges::generate(mask, [&] { return in.byte(); });
        shape.voxels = mask;
        std::ranges::generate(shape.mapping, [&] { return in.number(); });
    }
    return region;
}

void require(bool held) {
    if (!held) {
        std::abort();
    }
}

bool is_closed(const mesh::Mesh& made) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> ahead;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> back;
    for (const auto& t : made.triangles) {
        for (std::size_t n = 0; n < 3; ++n) {
            ahead.emplace_back(t[n], t[(n + 1) % 3]);
            back.emplace_back(t[(n + 1) % 3], t[n]);
        }
    }
    std::ranges::sort(ahead);
    std::ranges::sort(back);
    return ahead == back && std::ranges::adjacent_find(ahead) == ahead.end();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in({data, size});
    try {
        const Bricks volume = make_volume(in);
        const BrickView& view = volume.view();
        std::vector<std::uint8_t> mask;
        const Region region = make_region(in, view, mask);
        const Moments one = measure(view, region, 1);
        const Moments two = measure(view, region, 2);
        const std::uint64_t all = std::uint64_t{view.shape[0]} * view.shape[1] * view.shape[2];
        require(one.count == two.count && one.count + one.not_numbers <= all);
        const std::array edges{in.number(), in.number(), in.number()};
        std::array<std::uint64_t, 2> counts{};
        if (edges[0] < edges[1] && edges[1] < edges[2]) {
            histogram(view, region, in.number(), in.number(), edges, counts, 1);
            require(counts[0] + counts[1] <= one.count);
        }
        std::array<double, 33> line{};
        sample_line(view, in.point(), in.point(), (in.byte() & 1U) != 0, line);
        mesh::Isosurface wanted;
        wanted.threshold = in.number() * 8.0;
        const std::uint8_t kind = in.byte();
        wanted.below = (kind & 1U) != 0;
        wanted.closed = (kind & 2U) == 0;
        wanted.region = (kind & 4U) != 0 ? &region : nullptr;
        wanted.vertices = 100000;
        mesh::Mesh made = mesh::isosurface(view, wanted, 1);
        require(!wanted.closed || is_closed(made));
        mesh::smooth(made, kind >> 6U);
        mesh::decimate(made, {made.triangles.size() / (1U + in.byte() % 16U), 0.0});
        require(!wanted.closed || is_closed(made));
        mesh::keep_largest(made, in.byte() % 4U);
        require(mesh::normals(made).size() == made.vertices.size());
    } catch (const Error&) {
    }
    return 0;
}
