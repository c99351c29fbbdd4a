// SPDX-License-Identifier: Apache-2.0
// Input: a small volume and a request of any numbers. It is answered or refused, with and without vectors, threads and
// short cuts; answers are the same.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "hilum/error.hpp"
#include "hilum/render/cell_grid.hpp"
#include "hilum/render/labels.hpp"
#include "hilum/render/projection.hpp"
#include "hilum/render/raycast.hpp"
#include "hilum/render/reslice.hpp"

namespace {

using namespace hilum;
using namespace hilum::render;

constexpr std::size_t kBrickSamples = std::size_t{32} * 32 * 32;

class Input {
public:
    explicit Input(std::span<const std::uint8_t> data) : data_(data) {}

    std::uint8_t byte() {
        if (at_ >= data_.size()) {
            return 0;
        }
        return data_[at_++];
    }
    /// Mostly numbers of a reasonable size, now and then any bits.
    double number() {
        const std::uint8_t kind = byte();
        if (kind == 0xFF) {
            std::array<std::uint8_t, 8> bits{};
            std::ranges::generate(bits, [this] { return byte(); });
            double value = 0.0;
            std::memcpy(&value, bits.data(), sizeof(value));
            return value;
        }
        return (static_cast<double>(byte()) * 256 + byte() - 32768) / (kind & 1U ? 512.0 : 8192.0);
    }
    Vec3 vector() { return {number(), number(), number()}; }

private:
    std::span<const std::uint8_t> data_;
    std::size_t at_ = 0;
};

struct Volume {
    explicit Volume(Input& in) {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            view.shape[axis] = 1U + in.byte() % 48U;
        }
        view.type = (in.byte() & 1U) != 0 ? SampleType::s16 : SampleType::u16;
        for (std::size_t i = 0; i < 12; ++i) {
            view.affine[i] = i % 5 == 0 ? 1.0 + in.byte() / 128.0 : in.byte() / 1024.0;
        }
        const std::size_t count = std::size_t{view.bricks(0)} * view.bricks(1) * view.bricks(2);
        const std::uint8_t missing = in.byte();
        std::uint32_t state = 1U + in.byte();
        for (std::size_t brick = 0; brick < count; ++brick) {
            ranges.push_back({0.0F, 65535.0F});
            if ((missing >> (brick % 8) & 1U) != 0) {
                offsets.push_back(volume::kMissing);
                continue;
            }
            offsets.push_back(samples.size() * 2);
            for (std::size_t i = 0; i < kBrickSamples; ++i) {
                state = state * 1664525U + 1013904223U;
                samples.push_back(static_cast<std::uint16_t>(state >> 16U));
            }
            ranges.back() = view.type == SampleType::s16 ? volume::BrickRange{-32768.0F, 32767.0F} : ranges.back();
        }
        view.base = reinterpret_cast<const std::byte*>(samples.data());
        view.size = samples.size() * 2;
        view.offsets = offsets;
        view.ranges = ranges;
    }

    std::vector<std::uint16_t> samples;
    std::vector<std::uint64_t> offsets;
    std::vector<volume::BrickRange> ranges;
    volume::BrickView view;
};

/// Runs both ways; both must give the same bytes, or refuse.
template <typename Make>
void compare(std::size_t size, Make&& make) {
    std::array<std::vector<std::byte>, 2> out{std::vector<std::byte>(size), std::vector<std::byte>(size)};
    std::array<bool, 2> refused{};
    for (std::size_t way = 0; way < 2; ++way) {
        try {
            make(way == 0 ? Execution{1, false, false} : Execution{2, true, true}, std::span(out[way]));
        } catch (const Error&) {
            refused[way] = true;
        }
    }
    if (refused[0] != refused[1] || (!refused[0] && out[0] != out[1])) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input in({data, size});
    const Volume volume(in);
    CellGrid cells;
    try {
        cells = make_cell_grid(volume.view, 1);
    } catch (const Error&) {
        return 0;
    }
    const auto blend = static_cast<Blend>(in.byte() % 3);
    std::vector<Row> rows(7);
    const Row first{in.vector(), in.vector(), in.vector()};
    const Vec3 down = in.vector();
    for (std::size_t r = 0; r < rows.size(); ++r) {
        rows[r] = first;
        for (std::size_t axis = 0; axis < 3; ++axis) {
            rows[r].origin[axis] += static_cast<double>(r) * down[axis];
        }
    }
    const std::uint32_t samples = 1U + in.byte() % 40U;
    compare(rows.size() * 21 * 2, [&](const Execution& execution, std::span<std::byte> out) {
        reslice(volume.view, &cells, rows, 21, Interpolation::linear, {samples, blend}, 3.0, execution, out);
    });
    Camera camera{in.vector(), in.vector(), in.vector(), in.vector(), in.vector(), (in.byte() & 1U) != 0, in.number()};
    camera.step = std::abs(camera.step) + 0.2;
    const double length =
        std::sqrt(camera.direction[0] * camera.direction[0] + camera.direction[1] * camera.direction[1] +
                  camera.direction[2] * camera.direction[2]);
    for (double& part : camera.direction) {
        part /= length;
    }
    const std::vector<ClipPlane> clip{{in.vector(), in.number()}};
    compare(std::size_t{9} * 13 * 2, [&](const Execution& execution, std::span<std::byte> out) {
        project(volume.view, cells, camera, {9, 13}, blend, 3.0, clip, execution, out);
    });
    TransferFunction f;
    f.colours = {{0, 0.1F, 0.5F, 0.9F}, {60000, 1.0F, 0.2F, 0.0F}};
    f.opacities = {{in.number() * 1000, 0.0F}, {40000, 0.3F}};
    Shading shading;
    shading.enabled = (in.byte() & 1U) != 0;
    compare(std::size_t{9} * 13 * 3, [&](const Execution& execution, std::span<std::byte> out) {
        raycast(volume.view, cells, camera, {9, 13}, f, shading, {0, 0, 0}, clip, execution,
                {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
    });
    volume::BrickView view = volume.view;  // its bytes as labels, somewhere else
    view.type = SampleType::u8;
    for (double& part : view.affine) {
        part += in.number() * 0.01;
    }
    const float part = static_cast<float>(in.byte()) / 255.0F;
    const std::vector<Labels> labels{
        {view, {{}, {true, part, part, {part, 0.5F, 0.0F}}, {false, 0.0F, 0.0F, {}}}, (in.byte() & 1U) != 0}};
    compare(std::size_t{9} * 13 * 3, [&](const Execution& execution, std::span<std::byte> out) {
        raycast_labelled(volume.view, cells, camera, {9, 13}, f, shading, {0, 0, 0}, clip, labels, execution,
                         {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
    });
    return 0;
}
