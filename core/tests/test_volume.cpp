// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "hilum/checksum.hpp"
#include "hilum/volume/bricks.hpp"

namespace {

using hilum::Errc;
using hilum::SampleType;
using namespace hilum::volume;
using Bytes = std::vector<std::byte>;

/// A file that is gone at the end.
class TemporaryFile {
public:
    explicit TemporaryFile(const Bytes& content) {
        const int fd = ::mkstemp(name_.data());
        HILUM_CHECK(fd >= 0 && ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
        ::close(fd);
    }
    ~TemporaryFile() { remove(); }
    void remove() { std::remove(name_.c_str()); }
    [[nodiscard]] const std::string& name() const { return name_; }

private:
    std::string name_ = "/tmp/hilum-volume-XXXXXX";
};

template <typename T>
Bytes bytes_of_values(const std::vector<T>& values) {
    Bytes out(values.size() * sizeof(T));
    std::memcpy(out.data(), values.data(), out.size());
    return out;
}

std::vector<std::int16_t> random_voxels(const Layout& layout) {
    std::mt19937 random(7);
    std::vector<std::int16_t> voxels(std::size_t{layout.shape[0]} * layout.shape[1] * layout.shape[2]);
    for (std::int16_t& voxel : voxels) {
        voxel = static_cast<std::int16_t>(random());
    }
    return voxels;
}

void append(Bytes& to, std::uint64_t value) {
    const auto* raw = reinterpret_cast<const std::byte*>(&value);
    to.insert(to.end(), raw, raw + sizeof(value));
}

/// A shard as PS Zarr v3's sharding codec has it, of the bricks of `bricks`; those equal to `missing` are left out.
Bytes shard_of(const BrickView& view, std::size_t missing) {
    Bytes shard;
    Bytes index;
    for (std::size_t i = 0; i < view.offsets.size(); ++i) {
        append(index, i == missing ? kMissing : shard.size());
        append(index, i == missing ? kMissing : view.brick_bytes());
        if (i != missing) {
            shard.insert(shard.end(), view.brick(i), view.brick(i) + view.brick_bytes());
        }
    }
    const std::uint32_t checksum = hilum::crc32c(index);
    const auto* raw = reinterpret_cast<const std::byte*>(&checksum);
    index.insert(index.end(), raw, raw + sizeof(checksum));
    shard.insert(shard.end(), index.begin(), index.end());
    return shard;
}

Bytes box_of(const Bytes& voxels, const Layout& layout, const Box& box) {
    const std::size_t sample = bytes_of(layout.type);
    Bytes out;
    for (std::uint32_t z = 0; z < box.size[0]; ++z) {
        for (std::uint32_t y = 0; y < box.size[1]; ++y) {
            const std::size_t line = std::size_t{box.first[0] + z} * layout.shape[1] + box.first[1] + y;
            const std::byte* from = voxels.data() + (line * layout.shape[2] + box.first[2]) * sample;
            out.insert(out.end(), from, from + box.size[2] * sample);
        }
    }
    return out;
}

HILUM_TEST("boxes come back for any number of threads", {
    const Layout layout{{70, 41, 65}, SampleType::s16};
    const Bytes voxels = bytes_of_values(random_voxels(layout));
    const Bricks bricks = Bricks::copy(voxels, layout);
    for (const Box& box : {Box{{0, 0, 0}, {70, 41, 65}}, Box{{31, 5, 31}, {2, 30, 2}}, Box{{69, 40, 64}, {1, 1, 1}}}) {
        for (const unsigned threads : {1U, 4U}) {
            Bytes out(std::size_t{box.size[0]} * box.size[1] * box.size[2] * 2);
            read_box(bricks.view(), box, out, threads);
            HILUM_CHECK(out == box_of(voxels, layout, box));
        }
    }
    Bytes out(2);
    HILUM_CHECK_THROWS(Errc::out_of_range, read_box(bricks.view(), {{70, 0, 0}, {1, 1, 1}}, out, 1));
    HILUM_CHECK_THROWS(Errc::out_of_range, read_box(bricks.view(), {{0, 0, 0}, {1, 1, 66}}, out, 1));
    HILUM_CHECK_THROWS(Errc::out_of_range, read_box(bricks.view(), {{0, 0, 0}, {1, 0, 1}}, out, 1));
    HILUM_CHECK_THROWS(Errc::buffer_too_small, read_box(bricks.view(), {{0, 0, 0}, {1, 1, 2}}, out, 1));
});

HILUM_TEST("a shard is mapped and outlives its file", {
    Layout layout{{33, 32, 40}, SampleType::s16};
    layout.fill = -7;
    const Bricks memory = Bricks::copy(bytes_of_values(random_voxels(layout)), layout);
    TemporaryFile file(shard_of(memory.view(), 1));
    Bricks mapped = Bricks::map(file.name(), layout, {});
    file.remove();
    const Bricks moved = std::move(mapped);
    HILUM_CHECK(moved.view().brick(1) == nullptr);
    HILUM_CHECK(moved.view().ranges[0] == memory.view().ranges[0]);
    HILUM_CHECK((moved.view().ranges[1] == BrickRange{-7, -7}));
    Bytes out(2);
    read_box(moved.view(), {{0, 0, 39}, {1, 1, 1}}, out, 1);
    HILUM_CHECK(out == bytes_of_values(std::vector<std::int16_t>{-7}));
});

HILUM_TEST("damaged shards are refused", {
    const Layout layout{{33, 32, 40}, SampleType::s16};
    const Bricks memory = Bricks::copy(bytes_of_values(random_voxels(layout)), layout);
    const Bytes good = shard_of(memory.view(), ~std::size_t{0});
    const auto refuse = [&](const Bytes& bytes, const Layout& as) {
        const TemporaryFile file(bytes);
        HILUM_CHECK_THROWS(Errc::bad_record, (void)Bricks::map(file.name(), as, {}));
    };
    refuse({}, layout);
    refuse(Bytes(good.begin(), good.end() - 1), layout);
    refuse(Bytes(good.begin() + 2, good.end()), layout);  // bricks that begin before the file does
    refuse(Bytes(good.end() - 50, good.end()), layout);
    Layout other = layout;
    other.type = SampleType::s32;
    refuse(good, other);
    other = layout;
    other.shape[0] = 65;
    refuse(good, other);
    HILUM_CHECK_THROWS(Errc::not_found, (void)Bricks::map("/nowhere/at/all", layout, {}));
    const TemporaryFile file(good);
    HILUM_CHECK_THROWS(Errc::bad_record, (void)Bricks::map(file.name(), layout, std::vector<BrickRange>(3)));
});

HILUM_TEST("layouts that no volume has are refused", {
    const auto refuse = [](Errc code, auto change) {
        Layout layout{{2, 2, 2}, SampleType::u8};
        change(layout);
        HILUM_CHECK_THROWS(code, check_layout(layout));
    };
    refuse(Errc::invalid_argument, [](Layout& l) { l.shape[1] = 0; });
    refuse(Errc::limit_exceeded, [](Layout& l) { l.shape = {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}; });
    refuse(Errc::invalid_argument, [](Layout& l) { l.fill = 256; });
    refuse(Errc::invalid_argument, [](Layout& l) { l.fill = std::numeric_limits<double>::quiet_NaN(); });
    refuse(Errc::invalid_argument, [](Layout& l) { l.affine[0] = 0; });
    refuse(Errc::invalid_argument, [](Layout& l) { l.affine[3] = std::numeric_limits<double>::infinity(); });
    refuse(Errc::invalid_argument, [](Layout& l) { l.slope = 0; });
});

}  // namespace

HILUM_TEST_MAIN
