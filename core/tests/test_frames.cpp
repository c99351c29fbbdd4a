// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/frames.hpp"

#include <string>
#include <vector>

#include "bytes.hpp"
#include "check.hpp"

using hilum::Errc;
using hilum::dicom::Codec;
using hilum::dicom::Element;
using hilum::dicom::FrameKind;
using hilum::dicom::FrameSource;
using hilum::dicom::FrameTable;
using hilum::dicom::PixelDescription;
using hilum::dicom::PixelItems;
using hilum::dicom::Tag;
using hilum::dicom::Warning;
using hilum::dicom::Warnings;
using hilum::test::Bytes;

namespace {

const std::string kStart = "\xFF\xD8\xFF\xE0";
const std::string kEnd = "\xFF\xD9";

struct Case {
    std::vector<std::string> fragments;
    std::uint32_t frames = 1;
    Codec codec = Codec::jpeg;
    std::vector<std::uint32_t> basic_offsets{};
    std::vector<std::uint64_t> extended_offsets{};
    std::vector<std::uint64_t> extended_lengths{};
};

Bytes pixel_data(const Case& c) {
    Bytes bytes;
    bytes.header(0x7FE00010, "OB", 0xFFFFFFFFU).item(c.basic_offsets.size() * 4);
    for (const std::uint32_t offset : c.basic_offsets) {
        bytes.u32(offset);
    }
    for (const std::string& fragment : c.fragments) {
        bytes.item(fragment.size()).text(fragment);
    }
    return bytes.end_sequence();
}

/// The frames as text with a bar between fragments.
std::vector<std::string> frames_of(const Case& c, Warnings& warnings) {
    const Bytes bytes = pixel_data(c);
    Bytes offsets;
    Bytes lengths;
    for (const std::uint64_t offset : c.extended_offsets) {
        offsets.u64(offset);
    }
    for (const std::uint64_t length : c.extended_lengths) {
        lengths.u64(length);
    }
    Warnings ignored;
    hilum::dicom::ElementReader reader(bytes.span(), 0, {true, false}, ignored);
    Element element;
    reader.next(element);
    PixelItems items = hilum::dicom::read_pixel_items(bytes.span(), element);
    HILUM_CHECK(items.end == bytes.size());
    PixelDescription pixels;
    pixels.number_of_frames = c.frames;
    const FrameSource source{bytes.span(), element, &items, c.codec, &pixels, offsets.span(), lengths.span(), false};
    const std::string encoded = hilum::dicom::make_frame_table(source, warnings);
    const FrameTable table({reinterpret_cast<const std::byte*>(encoded.data()), encoded.size()});
    std::vector<std::string> frames;
    for (std::uint32_t i = 0; i < table.frames(); ++i) {
        std::string frame;
        for (const hilum::dicom::Fragment& fragment : table.fragments(i)) {
            frame += frame.empty() ? "" : "|";
            frame.append(reinterpret_cast<const char*>(bytes.span().data()) + fragment.offset, fragment.length);
        }
        frames.push_back(frame);
    }
    HILUM_CHECK_THROWS(Errc::out_of_range, table.fragments(table.frames()));
    return frames;
}

using Frames = std::vector<std::string>;

bool gives(const Case& c, const Frames& expected, bool warns = false) {
    Warnings warnings;
    return frames_of(c, warnings) == expected && warnings.has(Warning::bad_frame_table) == warns;
}

}  // namespace

HILUM_TEST("one fragment per frame, with and without tables", {
    HILUM_CHECK(gives({{"ab", "cd"}, 2}, {"ab", "cd"}));
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::rle}, {"ab", "cd"}));
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::jpeg, {0, 10}}, {"ab", "cd"}));
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::jpeg, {}, {0, 10}, {2, 1}}, {"ab", "c"}));
});

HILUM_TEST("several fragments per frame", {
    HILUM_CHECK(gives({{"ab", "cd", "ef"}, 1}, {"ab|cd|ef"}));
    HILUM_CHECK(gives({{"ab", "cd", "ef"}, 2, Codec::jpeg, {0, 20}}, {"ab|cd", "ef"}));
    const Frames marked{kStart + "ab", "cd", kStart + "ef", "gh" + kEnd};
    HILUM_CHECK(gives({marked, 2}, {marked[0] + "|cd", marked[2] + "|" + marked[3]}));
    const Frames ends{"ab", "cd" + kEnd, "ef", "gh" + kEnd};
    HILUM_CHECK(gives({ends, 2}, {"ab|" + ends[1], "ef|" + ends[3]}));
    const std::string j2k = "\xFF\x4F\xFF\x51";
    HILUM_CHECK(gives({{j2k, "xx", j2k, j2k}, 3, Codec::jpeg_2000}, {j2k + "|xx", j2k, j2k}));
    HILUM_CHECK(gives({{"ab", "cd"}, 100, Codec::mpeg}, {"ab|cd"}));
});

HILUM_TEST("what disagrees is warned of and gives what exists", {
    HILUM_CHECK(gives({{"ab", "cd"}, 3}, {"ab", "cd"}, true));
    HILUM_CHECK(gives({{}, 3}, {}, true));
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::jpeg, {0, 11}}, {"ab", "cd"}, true));  // no item there
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::jpeg, {10, 0}}, {"ab", "cd"}, true));  // not ascending
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::jpeg, {0, 0}}, {"ab", "cd"}, true));   // the same twice
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::jpeg, {0, 0xFFFFFFFF}}, {"ab", "cd"}, true));
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::jpeg, {0}}, {"ab", "cd"}, true));
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::jpeg, {}, {0, 10}, {2, 9}}, {"ab", "cd"}, true));
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::jpeg, {}, {0, 12}, {2, 2}}, {"ab", "cd"}, true));
    HILUM_CHECK(gives({{"ab", "cd"}, 2, Codec::jpeg, {}, {0}, {2}}, {"ab", "cd"}, true));
    HILUM_CHECK(gives({{"ab", "cd", "ef"}, 2}, {"ab|cd|ef"}, true));  // no marker to go by
});

HILUM_TEST("fragments that are cut or no fragments", {
    const Bytes whole = pixel_data({{"ab", "cdef"}, 2});
    for (std::size_t length = 12; length < whole.size(); ++length) {
        Warnings warnings;
        const auto part = whole.span().first(length);
        hilum::dicom::ElementReader reader(part, 0, {true, false}, warnings);
        Element element;
        HILUM_CHECK(reader.next(element));
        HILUM_CHECK_THROWS(Errc::truncated, hilum::dicom::read_pixel_items(part, element));
    }
    Bytes wrong;
    wrong.header(0x7FE00010, "OB", 0xFFFFFFFFU).item(0).element(0x00100020, "LO", "ID").end_sequence();
    Warnings warnings;
    hilum::dicom::ElementReader reader(wrong.span(), 0, {true, false}, warnings);
    Element element;
    reader.next(element);
    HILUM_CHECK_THROWS(Errc::bad_sequence, hilum::dicom::read_pixel_items(wrong.span(), element));
});

HILUM_TEST("bits of native frames", {
    PixelDescription p;
    p.rows = 3;
    p.columns = 5;
    p.bits_allocated = 1;
    HILUM_CHECK(p.frame_bits() == 15);
    p.rows = p.columns = 65535;
    p.samples_per_pixel = p.bits_allocated = 65535;
    HILUM_CHECK(p.frame_bits() == 65535ULL * 65535 * 65535 * 65535);
    p = {};
    p.rows = p.columns = 4;
    p.samples_per_pixel = 3;
    p.bits_allocated = 8;
    p.photometric_interpretation = "YBR_FULL_422";
    HILUM_CHECK(p.frame_bits() == 256);
});

HILUM_TEST("native frames that are not there are not in the table", {
    const Bytes bytes = Bytes().header(0x7FE00010, "OW", 40).zeros(40);
    Warnings warnings;
    hilum::dicom::ElementReader reader(bytes.span(), 0, {true, false}, warnings);
    Element element;
    reader.next(element);
    PixelDescription p;
    p.rows = 4;
    p.columns = 4;
    p.bits_allocated = 8;
    p.number_of_frames = 3;
    const FrameSource source{bytes.span(), element, nullptr, Codec::native, &p, {}, {}, true};
    const std::string encoded = hilum::dicom::make_frame_table(source, warnings);
    const FrameTable table({reinterpret_cast<const std::byte*>(encoded.data()), encoded.size()});
    HILUM_CHECK(table.kind() == FrameKind::native && table.inflated() && table.frames() == 2 && table.first() == 12);
    HILUM_CHECK(warnings.has(Warning::bad_frame_table));
});

HILUM_TEST("damaged tables are refused", {
    const auto open = [](const std::string& encoded) {
        return FrameTable({reinterpret_cast<const std::byte*>(encoded.data()), encoded.size()}).frames();
    };
    HILUM_CHECK(open(std::string(1, '\0')) == 0);
    for (const std::string& bad : {std::string(), std::string("\x04"), std::string("\x01xx"), std::string("\x02"),
                                   std::string("\x02\x01\0\0\0", 5), std::string("\x03\xFF\xFF\xFF\xFF", 5),
                                   std::string("\x02\x01\0\0\0xxxxxxxxxxxxx", 18)}) {
        HILUM_CHECK_THROWS(Errc::bad_frame_table, open(bad));
    }
});

HILUM_TEST_MAIN
