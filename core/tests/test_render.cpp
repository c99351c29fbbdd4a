// SPDX-License-Identifier: Apache-2.0
// Rendering: phantoms with exact answers, vectors against the scalar twin, bricks that are missing, and bad input.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "check.hpp"
#include "hilum/render/cell_grid.hpp"
#include "hilum/render/labels.hpp"
#include "hilum/render/projection.hpp"
#include "hilum/render/raycast.hpp"
#include "hilum/render/reslice.hpp"

namespace {

using namespace hilum;
using namespace hilum::render;

constexpr std::uint32_t kEdge = 32;
constexpr std::size_t kBrickSamples = std::size_t{kEdge} * kEdge * kEdge;

/// Bricks in memory, in any order, some of them missing.
template <typename T>
struct Phantom {
    template <typename Value>
    Phantom(std::array<std::uint32_t, 3> shape, SampleType type, Value value, unsigned drop_every = 0) {
        view.shape = shape;
        view.type = type;
        view.fill = 7.0;
        const std::uint32_t nz = view.bricks(0);
        const std::uint32_t ny = view.bricks(1);
        const std::uint32_t nx = view.bricks(2);
        for (std::uint32_t bz = 0; bz < nz; ++bz) {
            for (std::uint32_t by = 0; by < ny; ++by) {
                for (std::uint32_t bx = 0; bx < nx; ++bx) {
                    add_brick({bz, by, bx}, value, drop_every);
                }
            }
        }
        view.base = reinterpret_cast<const std::byte*>(samples.data());
        view.size = samples.size() * sizeof(T);
        view.offsets = offsets;
        view.ranges = ranges;
    }

    template <typename Value>
    void add_brick(std::array<std::uint32_t, 3> at, Value value, unsigned drop_every) {
        if (drop_every != 0 && offsets.size() % drop_every == drop_every - 1) {
            offsets.push_back(volume::kMissing);
            ranges.push_back({7.0F, 7.0F});
            return;
        }
        const std::size_t start = samples.size();
        offsets.push_back(start * sizeof(T));
        samples.resize(start + kBrickSamples, T{7});
        volume::BrickRange range{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
        for (std::uint32_t i = 0; i < kBrickSamples; ++i) {
            const std::uint32_t x = at[2] * kEdge + i % kEdge;
            const std::uint32_t y = at[1] * kEdge + i / kEdge % kEdge;
            const std::uint32_t z = at[0] * kEdge + i / (kEdge * kEdge);
            if (x < view.shape[2] && y < view.shape[1] && z < view.shape[0]) {
                const auto v = static_cast<T>(value(x, y, z));
                samples[start + i] = v;
                range.least = std::min(range.least, static_cast<float>(v));
                range.greatest = std::max(range.greatest, static_cast<float>(v));
            }
        }
        ranges.push_back(range);
    }

    std::vector<T> samples;
    std::vector<std::uint64_t> offsets;
    std::vector<volume::BrickRange> ranges;
    volume::BrickView view;
};

auto noise() {
    return [](std::uint32_t x, std::uint32_t y, std::uint32_t z) {
        std::uint32_t h = x * 73856093U ^ y * 19349663U ^ z * 83492791U;
        h ^= h >> 13U;
        h *= 0x5bd1e995U;
        return static_cast<std::int32_t>((h >> 15U) & 4095U) - 1024;
    };
}

std::vector<Row> oblique(std::uint32_t rows, double tilt) {
    std::vector<Row> all;
    const double c = std::cos(tilt);
    const double s = std::sin(tilt);
    for (std::uint32_t r = 0; r < rows; ++r) {
        const double v = r * 0.9;
        all.push_back({{-6.0 + s * v, -3.0 + c * v * 0.8, -2.0 + 0.6 * v}, {c, 0.3 * s, s}, {-s * 0.7, 0.4, c * 0.7}});
    }
    return all;
}

template <typename T>
std::vector<T> resliced(const volume::BrickView& view, const std::vector<Row>& rows, std::uint32_t columns,
                        Interpolation interpolation, Slab slab, Execution execution, const CellGrid* cells = nullptr) {
    std::vector<T> out(rows.size() * columns);
    reslice(view, cells, rows, columns, interpolation, slab, -5.0, execution, std::as_writable_bytes(std::span(out)));
    return out;
}

const Execution kPlain{1, false, false};
const Execution kFast{3, true, true};

HILUM_TEST("a linear field is cut exactly", {
    const auto field = [](std::uint32_t x, std::uint32_t y, std::uint32_t z) { return 16 * x + 32 * y + 8 * z; };
    const Phantom<std::int16_t> phantom({40, 70, 33}, SampleType::s16, field);
    for (const Execution& execution : {kPlain, kFast}) {
        std::vector<Row> rows;
        for (std::uint32_t r = 0; r < 60; ++r) {
            rows.push_back({{0.5, r * 0.5, r * 0.25}, {0.25, 0.25, 0.125}, {0, 0, 0}});
        }
        const auto image = resliced<std::int16_t>(phantom.view, rows, 100, Interpolation::linear, {}, execution);
        for (std::uint32_t r = 0; r < 60; ++r) {
            for (std::uint32_t c = 0; c < 100; ++c) {
                const double x = 0.5 + 0.25 * c;
                const double y = 0.5 * r + 0.25 * c;
                const double z = 0.25 * r + 0.125 * c;
                if (x <= 32 && y <= 69 && z <= 39) {
                    HILUM_CHECK(image[r * 100 + c] ==
                                static_cast<std::int16_t>(std::nearbyint(16 * x + 32 * y + 8 * z)));
                }
            }
        }
    }
});

HILUM_TEST("vectors threads and short cuts change nothing", {
    for (const unsigned drop : {0U, 3U}) {
        const Phantom<std::int16_t> s16({45, 66, 71}, SampleType::s16, noise(), drop);
        const Phantom<std::uint16_t> u16(
            {45, 66, 71}, SampleType::u16, [](auto x, auto y, auto z) { return (noise()(x, y, z) + 1024) * 16 + 7; },
            drop);
        const CellGrid cells = make_cell_grid(s16.view, 2);
        for (const double tilt : {0.0, 0.3, 1.1, 2.4}) {
            const std::vector<Row> rows = oblique(61, tilt);
            for (const Slab slab :
                 {Slab{1, Blend::maximum}, Slab{19, Blend::maximum}, Slab{19, Blend::minimum}, Slab{23, Blend::mean}}) {
                const auto plain = resliced<std::int16_t>(s16.view, rows, 83, Interpolation::linear, slab, kPlain);
                HILUM_CHECK(plain == resliced<std::int16_t>(s16.view, rows, 83, Interpolation::linear, slab, kFast));
                HILUM_CHECK(plain ==
                            resliced<std::int16_t>(s16.view, rows, 83, Interpolation::linear, slab, kFast, &cells));
                HILUM_CHECK(resliced<std::uint16_t>(u16.view, rows, 83, Interpolation::linear, slab, kPlain) ==
                            resliced<std::uint16_t>(u16.view, rows, 83, Interpolation::linear, slab, kFast));
            }
        }
    }
});

HILUM_TEST("cells bound what is in them", {
    const Phantom<std::int16_t> phantom({20, 41, 39}, SampleType::s16, noise(), 4);
    const CellGrid cells = make_cell_grid(phantom.view, 1);
    HILUM_CHECK((cells.shape == std::array<std::int32_t, 3>{5, 6, 3}));
    const std::uint32_t bricks_x = phantom.view.bricks(2);
    for (std::int32_t cz = 0; cz < 3; ++cz) {
        for (std::int32_t cx = 0; cx < 5; ++cx) {
            float least = 1e9F;
            float most = -1e9F;
            for (std::uint32_t z = static_cast<std::uint32_t>(cz) * 8;
                 z < std::min(20U, static_cast<std::uint32_t>(cz) * 8 + 9); ++z) {
                for (std::uint32_t y = 8; y < 17; ++y) {
                    for (std::uint32_t x = static_cast<std::uint32_t>(cx) * 8;
                         x < std::min(39U, static_cast<std::uint32_t>(cx) * 8 + 9); ++x) {
                        const std::size_t brick = x / 32 + (y / 32) * bricks_x;
                        const bool missing = phantom.offsets[brick] == volume::kMissing;
                        const auto v = missing ? 7.0F : static_cast<float>(noise()(x, y, z));
                        least = std::min(least, v);
                        most = std::max(most, v);
                    }
                }
            }
            const std::size_t at = cells.index(cx, 1, cz);
            HILUM_CHECK(cells.least[at] == least && cells.greatest[at] == most);
        }
    }
});

HILUM_TEST("fine cells bound what is in them", {
    const Phantom<std::int16_t> phantom({20, 41, 39}, SampleType::s16, noise(), 4);
    const CellGrid::Fine fine = make_cell_grid(phantom.view, 1).fine;
    HILUM_CHECK((fine.shape == std::array<std::int32_t, 3>{10, 11, 5}));
    std::vector<std::int16_t> least(fine.count(), 32767);
    std::vector<std::int16_t> most(fine.count(), -32768);
    for (std::int32_t z = 0; z < 20; ++z) {
        for (std::int32_t y = 0; y < 41; ++y) {
            for (std::int32_t x = 0; x < 39; ++x) {
                const auto brick = static_cast<std::size_t>(x / 32 + y / 32 * 2);
                const bool missing = phantom.offsets[brick] == volume::kMissing;
                const auto v = static_cast<std::int16_t>(missing ? 7
                                                                 : noise()(static_cast<std::uint32_t>(x),
                                                                           static_cast<std::uint32_t>(y),
                                                                           static_cast<std::uint32_t>(z)));
                // A voxel on the border of cells belongs to those on both sides.
                for (std::int32_t part = 0; part < 8; ++part) {
                    const std::int32_t cx = x / 4 - ((part & 1) != 0 && x % 4 == 0 ? 1 : 0);
                    const std::int32_t cy = y / 4 - ((part & 2) != 0 && y % 4 == 0 ? 1 : 0);
                    const std::int32_t cz = z / 4 - ((part & 4) != 0 && z % 4 == 0 ? 1 : 0);
                    if (cx >= 0 && cy >= 0 && cz >= 0) {
                        const std::size_t at = fine.index(cx, cy, cz);
                        least[at] = std::min(least[at], v);
                        most[at] = std::max(most[at], v);
                    }
                }
            }
        }
    }
    for (std::size_t i = 0; i < fine.count(); ++i) {
        HILUM_CHECK(static_cast<std::int16_t>(fine.least[i]) == least[i]);
        HILUM_CHECK(static_cast<std::int16_t>(fine.greatest[i]) == most[i]);
    }
});

Camera looking(bool perspective) {
    Camera camera;
    const double c = std::cos(0.6);
    const double s = std::sin(0.6);
    camera.direction = {s, c, 0.0};
    camera.right = {0.9 * c, -0.9 * s, 0.0};
    camera.down = {0.0, 0.0, -0.9};
    camera.origin = {-25.0, 10.0, 50.0};
    camera.eye = {-25.0 - 80 * s + 40 * c, 10.0 - 80 * c - 40 * s, 20.0};
    camera.perspective = perspective;
    camera.step = 0.7;
    return camera;
}

HILUM_TEST("projections are those of the scalar twin", {
    for (const unsigned drop : {0U, 3U}) {
        const Phantom<std::int16_t> phantom({45, 66, 71}, SampleType::s16, noise(), drop);
        const CellGrid cells = make_cell_grid(phantom.view, 1);
        const std::vector<ClipPlane> clip{{{1.0, 0.2, 0.0}, 9.0}, {{0.0, 0.0, -1.0}, -38.0}};
        for (const bool perspective : {false, true}) {
            for (const Blend blend : {Blend::maximum, Blend::minimum, Blend::mean}) {
                std::vector<std::int16_t> a(90 * 70);
                std::vector<std::int16_t> b(90 * 70);
                const Camera camera = looking(perspective);
                project(phantom.view, cells, camera, {70, 90}, blend, -9, clip, kPlain,
                        std::as_writable_bytes(std::span(a)));
                project(phantom.view, cells, camera, {70, 90}, blend, -9, clip, kFast,
                        std::as_writable_bytes(std::span(b)));
                HILUM_CHECK(a == b);
                HILUM_CHECK(std::ranges::count(a, std::int16_t{-9}) < 6000);
            }
        }
    }
});

HILUM_TEST("volume rendering is that of the scalar twin", {
    TransferFunction f;
    f.colours = {{-1024, 0.1F, 0.2F, 0.3F}, {2000, 0.9F, 0.4F, 0.2F}, {3071, 1.0F, 1.0F, 1.0F}};
    f.opacities = {{2400, 0.0F}, {2900, 0.2F}, {3071, 0.6F}};
    for (const unsigned drop : {0U, 3U}) {
        const Phantom<std::int16_t> phantom({45, 66, 71}, SampleType::s16, noise(), drop);
        const CellGrid cells = make_cell_grid(phantom.view, 1);
        for (const bool perspective : {false, true}) {
            for (const bool shaded : {false, true}) {
                Shading shading;
                shading.enabled = shaded;
                std::vector<std::uint8_t> a(90 * 70 * 3);
                std::vector<std::uint8_t> b(90 * 70 * 3);
                const Camera camera = looking(perspective);
                raycast(phantom.view, cells, camera, {70, 90}, f, shading, {0.1F, 0.2F, 0.3F}, {}, kPlain, a);
                raycast(phantom.view, cells, camera, {70, 90}, f, shading, {0.1F, 0.2F, 0.3F}, {}, kFast, b);
                HILUM_CHECK(a == b);
                HILUM_CHECK(*std::ranges::max_element(a) > 100);
            }
        }
    }
});

HILUM_TEST("without a segment labelled volume rendering is that without labels", {
    TransferFunction f;
    f.colours = {{-1024, 0.1F, 0.2F, 0.3F}, {3071, 1.0F, 1.0F, 1.0F}};
    f.opacities = {{2400, 0.0F}, {3071, 0.6F}};
    Shading shading;
    shading.enabled = true;
    const Phantom<std::int16_t> phantom({45, 66, 71}, SampleType::s16, noise(), 3);
    const Phantom<std::uint8_t> segment({20, 20, 20}, SampleType::u8, [](auto, auto, auto) { return 0; });
    const CellGrid cells = make_cell_grid(phantom.view, 1);
    const std::vector<Labels> labels{{segment.view, {{}, {true, 0.5F, 1.0F, {1.0F, 0.0F, 0.0F}}}, false}};
    for (const bool perspective : {false, true}) {
        std::vector<std::uint8_t> a(90 * 70 * 3);
        std::vector<std::uint8_t> b(90 * 70 * 3);
        const Camera camera = looking(perspective);
        raycast(phantom.view, cells, camera, {70, 90}, f, shading, {0.1F, 0.2F, 0.3F}, {}, kPlain, a);
        raycast_labelled(phantom.view, cells, camera, {70, 90}, f, shading, {0.1F, 0.2F, 0.3F}, {}, labels, kFast, b);
        HILUM_CHECK(a == b);
    }
});

HILUM_TEST("segments are coloured, alone or hidden", {
    const Phantom<std::int16_t> phantom({64, 64, 64}, SampleType::s16, [](auto, auto, auto) { return 0; });
    const Phantom<std::uint8_t> segment({16, 16, 16}, SampleType::u8, [](auto, auto, auto) { return 1; });
    const CellGrid cells = make_cell_grid(phantom.view, 1);
    TransferFunction f;
    f.colours = {{0, 0.0F, 0.0F, 1.0F}};
    f.opacities = {{0, 0.0F}, {1, 0.1F}};
    Camera camera;
    camera.direction = {0, 0, 1};
    camera.right = {1, 0, 0};
    camera.down = {0, 1, 0};
    camera.step = 1.0;
    Labels one{segment.view, {{}, {true, 0.25F, 1.0F, {1.0F, 0.5F, 0.0F}}}, false};
    one.view.affine[3] = 24.0;
    one.view.affine[7] = 24.0;
    one.view.affine[11] = 40.0;
    const auto render = [&](const Labels& labels, std::size_t row, std::size_t column) {
        std::vector<std::uint8_t> fast(64 * 64 * 3);
        std::vector<std::uint8_t> plain(64 * 64 * 3);
        const std::vector<Labels> all{labels};
        raycast_labelled(phantom.view, cells, camera, {64, 64}, f, {}, {0, 0, 0}, {}, all, kFast, fast);
        raycast_labelled(phantom.view, cells, camera, {64, 64}, f, {}, {0, 0, 0}, {}, all, kPlain, plain);
        HILUM_CHECK(fast == plain);
        const std::size_t at = 3 * (row * 64 + column);
        return std::array<int, 3>{fast[at], fast[at + 1], fast[at + 2]};
    };
    // 16 samples of 1 mm; where the volume is transparent the segment is seen
    const double seen = 255.0 * (1.0 - std::pow(0.75, 16.0));
    const std::array<int, 3> inside = render(one, 30, 30);
    HILUM_CHECK(std::abs(inside[0] - seen) <= 1.0 && std::abs(inside[1] - seen * 0.5) <= 1.0 && inside[2] == 0);
    HILUM_CHECK((render(one, 23, 30) == std::array<int, 3>{0, 0, 0}));
    HILUM_CHECK((render(one, 24, 30) == inside) && (render(one, 39, 39) == inside));
    HILUM_CHECK((render(one, 40, 30) == std::array<int, 3>{0, 0, 0}));
    f.opacities = {{0, 0.1F}};
    one.styles[1] = {};
    one.is_mask = true;
    HILUM_CHECK((render(one, 20, 20) == std::array<int, 3>{0, 0, 0}));
    HILUM_CHECK(std::abs(render(one, 30, 30)[2] - 255.0 * (1.0 - std::pow(0.9, 16.0))) <= 1.0);
    one.styles[1].is_shown = false;
    one.is_mask = false;
    HILUM_CHECK(std::abs(render(one, 30, 30)[2] - 255.0 * (1.0 - std::pow(0.9, 48.0))) <= 1.0);
    HILUM_CHECK(render(one, 20, 20)[2] > render(one, 30, 30)[2]);
    one.styles[1].tint = 2.0F;
    HILUM_CHECK_THROWS(Errc::invalid_argument, render(one, 1, 1));
    one.styles.clear();
    HILUM_CHECK_THROWS(Errc::invalid_argument, render(one, 1, 1));
    one.styles.resize(2);
    one.view.affine[0] = 1e300;
    HILUM_CHECK_THROWS(Errc::invalid_argument, render(one, 1, 1));
    one.view = phantom.view;
    HILUM_CHECK_THROWS(Errc::invalid_argument, render(one, 1, 1));
});

HILUM_TEST("a block of one value has the colour of the formula", {
    const Phantom<std::int16_t> phantom({64, 64, 64}, SampleType::s16, [](auto, auto, auto) { return 100; });
    const CellGrid cells = make_cell_grid(phantom.view, 1);
    TransferFunction f;
    f.colours = {{0, 1.0F, 0.5F, 0.0F}};
    f.opacities = {{0, 0.01F}};
    Camera camera;
    camera.direction = {0, 0, 1};
    camera.right = {1, 0, 0};
    camera.down = {0, 1, 0};
    camera.step = 0.5;
    std::vector<std::uint8_t> out(64 * 64 * 3);
    raycast(phantom.view, cells, camera, {64, 64}, f, {}, {0, 0, 0}, {}, kFast, out);
    // 128 samples of half a millimetre: what passes is 0.99^64
    const double seen = 255.0 * (1.0 - std::pow(0.99, 64.0));
    HILUM_CHECK(std::abs(out[3 * 2080] - seen) <= 1.0);
    HILUM_CHECK(std::abs(out[3 * 2080 + 1] - seen * 0.5) <= 1.0);
    HILUM_CHECK(out[3 * 2080 + 2] == 0);
});

HILUM_TEST("every sample type is rendered", {
    const auto check = []<typename T>(T, SampleType type) {
        const Phantom<T> phantom({9, 40, 40}, type, [](auto x, auto, auto) { return x; });
        const std::vector<Row> rows{{{0, 3, 2}, {0.5, 0, 0}, {0, 0, 0.5}}};
        for (const Interpolation i : {Interpolation::nearest, Interpolation::linear, Interpolation::cubic}) {
            for (const Slab slab : {Slab{1, Blend::maximum}, Slab{4, Blend::mean}}) {
                const auto image = resliced<T>(phantom.view, rows, 60, i, slab, kFast);
                for (std::uint32_t c = 2; c < 60; c += 2) {
                    HILUM_CHECK(image[c] == static_cast<T>(c / 2));
                }
            }
        }
        const CellGrid cells = make_cell_grid(phantom.view, 1);
        HILUM_CHECK(cells.greatest.back() == 39.0F && cells.least.front() == 0.0F);
    };
    check(std::uint8_t{}, SampleType::u8);
    check(std::int8_t{}, SampleType::s8);
    check(std::uint16_t{}, SampleType::u16);
    check(std::int16_t{}, SampleType::s16);
    check(std::uint32_t{}, SampleType::u32);
    check(std::int32_t{}, SampleType::s32);
    check(float{}, SampleType::f32);
    check(double{}, SampleType::f64);
});

HILUM_TEST("what lies outside is outside", {
    const Phantom<std::int16_t> phantom({8, 40, 40}, SampleType::s16, noise());
    for (const double far : {100.0, -100.0, 1e6, -1e9}) {
        const std::vector<Row> rows{{{far, 3, 2}, {1, 0, 0}, {0, 0, 1}}, {{3, far, 2}, {0, 0, 1}, {0, 1, 0}}};
        for (const std::uint32_t samples : {1U, 5U}) {
            const auto image =
                resliced<std::int16_t>(phantom.view, rows, 20, Interpolation::linear, {samples, Blend::mean}, kFast);
            HILUM_CHECK(std::ranges::count(image, std::int16_t{-5}) == 40);
        }
    }
});

HILUM_TEST("bad requests are refused", {
    const Phantom<std::int16_t> phantom({8, 40, 40}, SampleType::s16, noise());
    const double nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<std::int16_t> out(20);
    const auto bytes = std::as_writable_bytes(std::span(out));
    const auto cut = [&](const Row& row, Slab slab = {}) {
        const std::array<Row, 1> rows{row};
        reslice(phantom.view, nullptr, rows, 20, Interpolation::linear, slab, 0, kFast, bytes);
    };
    HILUM_CHECK_THROWS(Errc::invalid_argument, cut({{nan, 0, 0}, {1, 0, 0}, {0, 0, 1}}));
    HILUM_CHECK_THROWS(Errc::invalid_argument, cut({{0, 0, 0}, {nan, 0, 0}, {0, 0, 1}}));
    HILUM_CHECK_THROWS(Errc::invalid_argument, cut({{0, 0, 0}, {1e8, 0, 0}, {0, 0, 1}}));
    HILUM_CHECK_THROWS(Errc::limit_exceeded, cut({{0, 0, 0}, {1, 0, 0}, {0, 0, 1}}, {0, Blend::mean}));
    HILUM_CHECK_THROWS(Errc::limit_exceeded, cut({{0, 0, 0}, {1, 0, 0}, {0, 0, 1}}, {1U << 20, Blend::mean}));
    const CellGrid cells = make_cell_grid(phantom.view, 1);
    const auto shoot = [&](const Camera& camera) {
        project(phantom.view, cells, camera, {4, 5}, Blend::maximum, 0, {}, kFast, bytes);
    };
    Camera camera = looking(false);
    shoot(camera);
    camera.step = 0.0;
    HILUM_CHECK_THROWS(Errc::invalid_argument, shoot(camera));
    camera.step = 1e-5;
    HILUM_CHECK_THROWS(Errc::limit_exceeded, shoot(camera));
    camera = looking(false);
    camera.direction = {0, 0, 0};
    HILUM_CHECK_THROWS(Errc::invalid_argument, shoot(camera));
    TransferFunction f;
    std::vector<std::uint8_t> image(60);
    HILUM_CHECK_THROWS(Errc::invalid_argument,
                       raycast(phantom.view, cells, looking(false), {4, 5}, f, {}, {0, 0, 0}, {}, kFast, image));
    f.colours = {{1, 0, 0, 0}, {0, 0, 0, 0}};
    f.opacities = {{0, 0.5F}};
    HILUM_CHECK_THROWS(Errc::invalid_argument,
                       raycast(phantom.view, cells, looking(false), {4, 5}, f, {}, {0, 0, 0}, {}, kFast, image));
});

}  // namespace

HILUM_TEST_MAIN
