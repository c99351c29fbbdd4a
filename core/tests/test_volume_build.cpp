// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "check.hpp"
#include "hilum/volume/bricks.hpp"
#include "hilum/volume/build.hpp"
#include "hilum/volume/geometry.hpp"

namespace {

using hilum::Errc;
using hilum::SampleType;
using namespace hilum::volume;

/// A folder that is gone at the end.
class Folder {
public:
    Folder() { HILUM_CHECK(::mkdtemp(name_.data()) != nullptr); }
    ~Folder() { std::filesystem::remove_all(name_); }
    [[nodiscard]] std::vector<std::string> paths(std::size_t count, const std::string& prefix = "") const {
        std::vector<std::string> all;
        for (std::size_t i = 0; i < count; ++i) {
            all.push_back(name_ + "/" + prefix + std::to_string(i));
        }
        return all;
    }

private:
    std::string name_ = "/tmp/hilum-build-XXXXXX";
};

std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

template <typename T>
struct Frames {
    std::vector<T> values;
    std::size_t pixels;

    [[nodiscard]] ReadFrame reader() const {
        return [this](std::uint32_t frame, std::span<std::byte> out) {
            HILUM_CHECK(out.size() == pixels * sizeof(T));
            std::memcpy(out.data(), values.data() + frame * pixels, out.size());
        };
    }
};

template <typename T>
Frames<T> random_frames(const Layout& layout, std::uint32_t count) {
    std::mt19937 random(3);
    Frames<T> frames{{}, std::size_t{layout.shape[1]} * layout.shape[2]};
    frames.values.resize(frames.pixels * count);
    for (T& value : frames.values) {
        value = static_cast<T>(random() >> 8U);
    }
    return frames;
}

Plan plain_plan(const Layout& layout) {
    Plan plan;
    plan.layout = layout;
    plan.source = layout.type;
    plan.slices.resize(layout.shape[0]);
    for (std::uint32_t i = 0; i < layout.shape[0]; ++i) {
        plan.slices[i].first = i;
    }
    return plan;
}

template <typename T>
std::vector<T> whole(const std::string& path, const Layout& base, const Level& level) {
    Layout layout = base;
    layout.shape = level.shape;
    const Bricks bricks = Bricks::map(path, layout, level.ranges);
    const Bricks computed = Bricks::map(path, layout, {});
    HILUM_CHECK(std::equal(computed.view().ranges.begin(), computed.view().ranges.end(), level.ranges.begin()));
    std::vector<T> out(std::size_t{level.shape[0]} * level.shape[1] * level.shape[2]);
    read_box(bricks.view(), {{0, 0, 0}, level.shape}, std::as_writable_bytes(std::span(out)), 2);
    return out;
}

/// Mean of what lies below, voxel by voxel.
template <typename T>
std::vector<T> halved_twin(const std::vector<T>& in, const std::array<std::uint32_t, 3>& shape) {
    const auto small = halved(shape);
    std::vector<T> out;
    for (std::uint32_t z = 0; z < small[0]; ++z) {
        for (std::uint32_t y = 0; y < small[1]; ++y) {
            for (std::uint32_t x = 0; x < small[2]; ++x) {
                double sum = 0.0;
                double count = 0.0;
                for (std::uint32_t i = 0; i < 8; ++i) {
                    const std::uint32_t az = 2 * z + (i >> 2U);
                    const std::uint32_t ay = 2 * y + ((i >> 1U) & 1U);
                    const std::uint32_t ax = 2 * x + (i & 1U);
                    if (az < shape[0] && ay < shape[1] && ax < shape[2]) {
                        sum += static_cast<double>(in[(std::size_t{az} * shape[1] + ay) * shape[2] + ax]);
                        count += 1.0;
                    }
                }
                out.push_back(static_cast<T>(std::floor(sum / count + 0.5)));
            }
        }
    }
    return out;
}

template <typename T>
void check_pyramid(SampleType type, const std::array<std::uint32_t, 3>& shape) {
    const Folder folder;
    Layout layout{shape, type};
    const Frames<T> frames = random_frames<T>(layout, shape[0]);
    const auto paths = folder.paths(3);
    const std::vector<Level> levels = build(plain_plan(layout), frames.reader(), paths, 3);
    std::vector<T> expected = frames.values;
    for (std::size_t i = 0; i < levels.size(); ++i) {
        HILUM_CHECK(whole<T>(paths[i], layout, levels[i]) == expected);
        HILUM_CHECK(levels[i].bytes == std::filesystem::file_size(paths[i]));
        expected = halved_twin(expected, levels[i].shape);
    }
    const auto again = folder.paths(3, "again");
    (void)build(plain_plan(layout), frames.reader(), again, 1);
    HILUM_CHECK(content(paths[0]) == content(again[0]) && content(paths[2]) == content(again[2]));
}

HILUM_TEST("each level is the mean of the one below, of every integer type", {
    check_pyramid<std::uint8_t>(SampleType::u8, {70, 33, 5});
    check_pyramid<std::int8_t>(SampleType::s8, {3, 64, 65});
    check_pyramid<std::int16_t>(SampleType::s16, {65, 40, 71});
    check_pyramid<std::uint16_t>(SampleType::u16, {33, 32, 31});
    check_pyramid<std::int32_t>(SampleType::s32, {34, 7, 9});
    check_pyramid<std::uint32_t>(SampleType::u32, {1, 1, 100});
});

HILUM_TEST("NaN has no part in means where there are numbers", {
    const Folder folder;
    const Layout layout{{2, 2, 4}, SampleType::f32};
    const float nan = std::numeric_limits<float>::quiet_NaN();
    Frames<float> frames{{1, nan, nan, nan, 3, nan, nan, nan, nan, nan, nan, nan, 5, nan, nan, nan}, 8};
    const auto paths = folder.paths(2);
    const std::vector<Level> levels = build(plain_plan(layout), frames.reader(), paths, 1);
    const std::vector<float> means = whole<float>(paths[1], layout, levels[1]);
    HILUM_CHECK(means[0] == 3.0F && std::isnan(means[1]));
    HILUM_CHECK((levels[0].ranges[0] == BrickRange{1, 5}));
});

HILUM_TEST("slices are mixed of two frames, halves up", {
    const Folder folder;
    const Layout layout{{4, 1, 2}, SampleType::s16};
    const Frames<std::int16_t> frames{{-3, 10, 0, 13}, 2};
    Plan plan = plain_plan(layout);
    plan.slices = {{0, 1, 0.0}, {0, 1, 0.5}, {0, 1, 1.0}, {1, 0, 0.25}};
    const auto paths = folder.paths(1);
    const std::vector<Level> levels = build(plan, frames.reader(), paths, 2);
    HILUM_CHECK(
        (whole<std::int16_t>(paths[0], layout, levels[0]) == std::vector<std::int16_t>{-3, 10, -1, 12, 0, 13, -1, 12}));
});

HILUM_TEST("frames of different rescale become modality values", {
    const Folder folder;
    const Layout layout{{2, 1, 2}, SampleType::f32};
    const Frames<std::uint16_t> frames{{1, 2, 3, 65535}, 2};
    Plan plan = plain_plan(layout);
    plan.source = SampleType::u16;
    plan.rescales = {{0.5, 1.0}, {2.0, -1.0}};
    const auto paths = folder.paths(1);
    const std::vector<Level> levels = build(plan, frames.reader(), paths, 1);
    HILUM_CHECK((whole<float>(paths[0], layout, levels[0]) == std::vector<float>{1.5, 2.0, 5.0, 131069.0}));
});

HILUM_TEST("bricks of nothing but fill are left out", {
    const Folder folder;
    Layout layout{{33, 33, 64}, SampleType::u8};
    layout.fill = 7;
    Frames<std::uint8_t> frames{std::vector<std::uint8_t>(33U * 33U * 64U, 7), 33U * 64U};
    frames.values[frames.values.size() - 1] = 9;
    const auto paths = folder.paths(1);
    const std::vector<Level> levels = build(plain_plan(layout), frames.reader(), paths, 2);
    HILUM_CHECK(levels[0].bytes == 32768 + 8 * 16 + 4);
    HILUM_CHECK(whole<std::uint8_t>(paths[0], layout, levels[0]) == frames.values);
});

HILUM_TEST("plans that cannot be are refused, and errors of frames come through", {
    const Folder folder;
    const Layout layout{{3, 2, 2}, SampleType::s16};
    const Frames<std::int16_t> frames = random_frames<std::int16_t>(layout, 3);
    int number = 0;
    const auto refuse = [&](Errc code, auto change) {
        Plan plan = plain_plan(layout);
        change(plan);
        const auto paths = folder.paths(1, std::to_string(number++));
        HILUM_CHECK_THROWS(code, build(plan, frames.reader(), paths, 1));
    };
    refuse(Errc::invalid_argument, [](Plan& p) { p.slices.pop_back(); });
    refuse(Errc::invalid_argument, [](Plan& p) { p.slices[0].weight = 1.5; });
    refuse(Errc::invalid_argument, [](Plan& p) { p.slices[0].weight = std::numeric_limits<double>::quiet_NaN(); });
    refuse(Errc::invalid_argument, [](Plan& p) { p.source = SampleType::u16; });
    refuse(Errc::invalid_argument, [](Plan& p) { p.rescales.resize(1); });
    refuse(Errc::invalid_argument, [](Plan& p) { p.layout.shape[2] = 0; });
    HILUM_CHECK_THROWS(Errc::invalid_argument, build(plain_plan(layout), frames.reader(), {}, 1));
    const std::vector<std::string> nowhere{"/nowhere/at/all"};
    HILUM_CHECK_THROWS(Errc::not_found, build(plain_plan(layout), frames.reader(), nowhere, 1));
    const auto failing = [](std::uint32_t frame, std::span<std::byte>) {
        throw hilum::Error(frame == 0 ? Errc::bad_codestream : Errc::io_error, "as tested");
    };
    const auto paths = folder.paths(1, "failing");
    HILUM_CHECK_THROWS(Errc::bad_codestream, build(plain_plan(layout), failing, paths, 2));
});

HILUM_TEST("geometry of a plain image", {
    hilum::test::Bytes object = hilum::test::part10("1.2.840.10008.1.2.1");
    object.element(0x00080008, "CS", "ORIGINAL\\PRIMARY");
    object.element(0x00080032, "TM", "010203.5");
    object.element(0x00180050, "DS", "2.5");
    object.element(0x00200013, "IS", "12");
    object.element(0x00200032, "DS", "1\\-2.5\\ 3e1 ");
    object.element(0x00200037, "DS", "1\\0\\0\\0\\1\\0");
    object.element(0x00200052, "UI", "1.2.3");
    object.element(0x00280030, "DS", "0.5\\nonsense");
    object.us(0x00280103, 1);
    object.us(0x00280120, 0xF830);
    object.element(0x00281053, "DS", "0");
    const Geometry found = read_geometry(object.span(), 1);
    const FrameGeometry& g = found.frames.at(0);
    HILUM_CHECK((g.position == std::array<double, 3>{1.0, -2.5, 30.0}));
    HILUM_CHECK((g.orientation == std::array<double, 6>{1, 0, 0, 0, 1, 0}));
    HILUM_CHECK(std::isnan(g.spacing[0]) && std::isnan(g.spacing[1]));
    HILUM_CHECK(g.slice_thickness == 2.5 && g.instance_number == 12 && g.acquisition_time == 3723.5);
    HILUM_CHECK(g.slope == 1.0 && g.padding == -2000 && std::isnan(g.echo_time));
    HILUM_CHECK(found.labels.at(0) == "ORIGINAL\\PRIMARY\n\n\n" && found.frame_of_reference_uid == "1.2.3");
});

/// A functional group with one item of one element.
void group(hilum::test::Bytes& to, std::uint32_t tag, std::uint32_t inner, const char* vr, const char* value) {
    to.header(tag, "SQ", 0xFFFFFFFF).item().element(inner, vr, value).end_item().end_sequence();
}

HILUM_TEST("functional groups of a frame go before the shared ones", {
    hilum::test::Bytes object = hilum::test::part10("1.2.840.10008.1.2.1");
    object.header(0x52009229, "SQ", 0xFFFFFFFF).item();
    group(object, 0x00209116, 0x00200037, "DS", "1\\0\\0\\0\\1\\0");
    group(object, 0x00289110, 0x00280030, "DS", "2\\3");
    group(object, 0x00289145, 0x00281053, "DS", "4");
    object.end_item().end_sequence();
    object.header(0x52009230, "SQ", 0xFFFFFFFF);
    for (const char* position : {"0\\0\\0", "0\\0\\5"}) {
        object.item();
        group(object, 0x00209113, 0x00200032, "DS", position);
        group(object, 0x00209111, 0x00209056, "SH", "A");
        if (position[4] == '5') {
            group(object, 0x00289145, 0x00281053, "DS", "6");
        }
        object.end_item();
    }
    object.end_sequence();
    const Geometry found = read_geometry(object.span(), 3);
    HILUM_CHECK(found.frames.size() == 3);
    HILUM_CHECK(found.frames[1].position[2] == 5.0 && found.frames[0].slope == 4.0 && found.frames[1].slope == 6.0);
    HILUM_CHECK((found.frames[1].spacing == std::array<double, 2>{2, 3}));
    HILUM_CHECK(std::isnan(found.frames[2].position[0]));  // more frames than groups
    HILUM_CHECK((found.labels == std::vector<std::string>{"\nA\n\n", "\n\n\n"}));
});

HILUM_TEST("doses are placed by their frame offsets", {
    hilum::test::Bytes object = hilum::test::part10("1.2.840.10008.1.2.1");
    object.element(0x00200032, "DS", "1\\2\\10").element(0x00200037, "DS", "1\\0\\0\\0\\1\\0");
    object.element(0x30040002, "CS", "GY").element(0x3004000C, "DS", "10\\12\\15");
    object.element(0x3004000E, "DS", "0.25");
    const Geometry found = read_geometry(object.span(), 3);
    HILUM_CHECK(found.frames[1].slope == 0.25 && found.labels.at(0) == "\n\nGY\n");
    HILUM_CHECK(found.frames[0].position[2] == 10.0 && found.frames[2].position[2] == 15.0);
    HILUM_CHECK(read_geometry(object.span(), 2).frames[1].position[2] == 10.0);  // as many offsets as frames, or none
});

HILUM_TEST("frames of reconstructed NM are placed by the first detector and the spacing between slices", {
    hilum::test::Bytes object = hilum::test::part10("1.2.840.10008.1.2.1");
    object.element(0x00080060, "CS", "NM").element(0x00180088, "DS", "-4");
    object.header(0x00540022, "SQ", 0xFFFFFFFF).item();
    object.element(0x00200032, "DS", "1\\2\\3").element(0x00200037, "DS", "1\\0\\0\\0\\1\\0");
    object.end_item().end_sequence();
    const Geometry found = read_geometry(object.span(), 3);
    HILUM_CHECK(found.frames[0].position[2] == 3.0 && found.frames[2].position[2] == -5.0);
    HILUM_CHECK(found.frames[1].orientation[4] == 1.0);
});

}  // namespace

HILUM_TEST_MAIN
