// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/scan.hpp"

#include <zlib.h>

#include <string>
#include <vector>

#include "bytes.hpp"
#include "check.hpp"
#include "hilum/byte_order.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/limits.hpp"

using hilum::Errc;
using hilum::dicom::Level;
using hilum::dicom::ScanResult;
using hilum::dicom::Warning;
using hilum::test::Bytes;
using hilum::test::part10;

namespace {

constexpr const char* kExplicit = "1.2.840.10008.1.2.1";

/// A small image: keys, description, pixel data of 4 x 2 x 16 bits.
Bytes dataset(bool explicit_vr = true, bool big_endian = false) {
    Bytes d(explicit_vr, big_endian);
    d.element(0x00080005, "CS", "ISO_IR 100").element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2");
    d.element(0x00080018, "UI", "1.2.3.4").element(0x00080020, "DA", "20240131").element(0x00080060, "CS", "CT");
    Bytes code(explicit_vr, big_endian);
    code.element(0x00080100, "SH", "X").element(0x00080102, "SH", "99L").element(0x00080104, "LO", "Caf\xE9");
    d.header(0x00081032, "SQ", code.size() + 8).item(code.size()).raw(code.data());
    d.element(0x00100010, "PN", "M\xFCller^Eva ").element(0x00100020, "LO", "A \\B").element(0x00100030, "DA", "");
    d.element(0x0020000D, "UI", "1.2.3").element(0x0020000E, "UI", "1.2.3.1").element(0x00200013, "IS", " 7 ");
    d.us(0x00280002, 1).element(0x00280004, "CS", "MONOCHROME2").us(0x00280010, 2).us(0x00280011, 4);
    d.us(0x00280100, 16).us(0x00280101, 12).us(0x00280102, 11).us(0x00280103, 0);
    return d;
}

Bytes image(const char* syntax, bool explicit_vr = true, bool big_endian = false) {
    Bytes d = dataset(explicit_vr, big_endian);
    d.header(0x7FE00010, "OW", 16).zeros(16);
    return part10(syntax).raw(d.data());
}

std::string entry(std::uint32_t tag, const char* vr, const std::string& value) {
    std::string out(8, '\0');
    auto* at = reinterpret_cast<std::byte*>(out.data());
    hilum::store(at, tag);
    out[4] = vr[0];
    out[5] = vr[1];
    hilum::store(at + 6, static_cast<std::uint16_t>(value.size()));
    return out + value;
}

std::vector<std::byte> deflated(const Bytes& plain) {
    std::vector<std::byte> out(plain.size() + 1000);
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(plain.data().data()));
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

ScanResult scan(const Bytes& bytes) {
    return hilum::dicom::scan(bytes.span());
}

}  // namespace

HILUM_TEST("the keys, lists and description are the same in every encoding", {
    const std::string code =
        entry(0x00080100, "SH", "X") + entry(0x00080102, "SH", "99L") + entry(0x00080104, "LO", "Caf\xC3\xA9");
    const std::string item = std::string{static_cast<char>(code.size()), '\0'} + code;
    struct {
        const char* syntax;
        bool explicit_vr;
        bool big_endian;
    } const cases[] = {
        {kExplicit, true, false}, {"1.2.840.10008.1.2", false, false}, {"1.2.840.10008.1.2.2", true, true}};
    for (const auto& c : cases) {
        const Bytes bytes = image(c.syntax, c.explicit_vr, c.big_endian);
        const ScanResult r = scan(bytes);
        HILUM_CHECK(r.warnings.empty());
        HILUM_CHECK(r.transfer_syntax_uid == c.syntax && r.has_meta && r.has_preamble && !r.is_dicomdir);
        HILUM_CHECK(r.sop_instance_uid == "1.2.3.4" && r.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2");
        HILUM_CHECK(r.study_instance_uid == "1.2.3" && r.series_instance_uid == "1.2.3.1");
        HILUM_CHECK(r.header_length == bytes.size() - 16 - (c.explicit_vr ? 12 : 8));
        HILUM_CHECK(r.attributes[0] == entry(0x00100010, "PN", "M\xC3\xBCller^Eva") + entry(0x00100020, "LO", "A\\B") +
                                           entry(0x00100030, "DA", ""));
        HILUM_CHECK(r.attributes[1] == entry(0x00080020, "DA", "20240131") + entry(0x00081032, "SQ", item) +
                                           entry(0x0020000D, "UI", "1.2.3"));
        HILUM_CHECK(r.attributes[2] == entry(0x00080060, "CS", "CT") + entry(0x0020000E, "UI", "1.2.3.1"));
        HILUM_CHECK(r.attributes[3].find(entry(0x00200013, "IS", "7")) != std::string::npos);
        HILUM_CHECK(r.attributes[3].find(entry(0x00280010, "US", "2") + entry(0x00280011, "US", "4")) !=
                    std::string::npos);
        HILUM_CHECK(r.has_pixels && r.pixels.rows == 2 && r.pixels.columns == 4 && r.pixels.bits_stored == 12);
        HILUM_CHECK(r.pixels.photometric_interpretation == "MONOCHROME2" && r.pixels.number_of_frames == 1);
        const hilum::dicom::FrameTable table({reinterpret_cast<const std::byte*>(r.frame_table.data()), 21});
        HILUM_CHECK(table.frames() == 1 && table.frame_bits() == 128 && table.first() == bytes.size() - 16);
    }
});

HILUM_TEST("no preamble, no meta, wrong declarations", {
    const Bytes whole = image(kExplicit);
    Bytes no_preamble;
    no_preamble.raw({whole.data().begin() + 132, whole.data().end()});
    HILUM_CHECK(scan(no_preamble).warnings.has(Warning::no_preamble));
    HILUM_CHECK(scan(no_preamble).transfer_syntax_uid == kExplicit);
    for (const bool explicit_vr : {true, false}) {
        for (const bool big_endian : {false, true}) {
            const Bytes bare = dataset(explicit_vr, big_endian);
            const ScanResult r = scan(bare);
            HILUM_CHECK(r.warnings.has(Warning::missing_meta) && !r.has_pixels && r.header_length == bare.size());
            HILUM_CHECK(r.frame_table == std::string(1, '\0') && r.sop_instance_uid == "1.2.3.4");
            HILUM_CHECK(r.transfer_syntax_uid ==
                        (explicit_vr ? (big_endian ? "1.2.840.10008.1.2.2" : kExplicit) : "1.2.840.10008.1.2"));
        }
    }
    HILUM_CHECK(scan(image(kExplicit, false)).warnings.has(Warning::encoding_mismatch));
    HILUM_CHECK(scan(image("1.2.840.10008.1.2")).warnings.has(Warning::encoding_mismatch));
    HILUM_CHECK(scan(image(kExplicit, true, true)).warnings.has(Warning::encoding_mismatch));
    HILUM_CHECK(scan(image("1.2.999.1")).warnings.has(Warning::unknown_transfer_syntax));
    HILUM_CHECK(scan(image("x\r\nSet-Cookie")).transfer_syntax_uid == kExplicit);
});

HILUM_TEST("refused: not DICOM, missing and invalid UIDs", {
    Bytes text;
    text.text("This is no DICOM file, only some text that is long enough to be one.");
    HILUM_CHECK_THROWS(Errc::not_dicom, scan(text));
    HILUM_CHECK_THROWS(Errc::not_dicom, scan(Bytes()));
    HILUM_CHECK_THROWS(Errc::not_dicom, scan(Bytes().zeros(4096)));
    const auto with = [](std::uint32_t tag, const std::string& value) {
        Bytes d;
        for (const auto& [t, v] : {std::pair{0x00080016U, std::string("1.2")},
                                   {0x00080018U, std::string("1.2.3.4")},
                                   {0x0020000DU, std::string("1.2.3")},
                                   {0x0020000EU, std::string("1.2.3.1")}}) {
            if (t != tag || !value.empty()) {
                d.element(t, "UI", t == tag ? value : v);
            }
        }
        return part10(kExplicit).raw(d.data());
    };
    HILUM_CHECK(scan(with(0, "")).study_instance_uid == "1.2.3");
    for (const std::uint32_t tag : {0x00080016U, 0x00080018U, 0x0020000DU, 0x0020000EU}) {
        HILUM_CHECK_THROWS(Errc::missing_element, scan(with(tag, "")));
        for (const char* bad : {"../../evil", "1..2", ".1", "1.", "1.2a", "1 2", "1.2\\1.3", "1/2", "%2e%2e"}) {
            HILUM_CHECK_THROWS(Errc::bad_value, scan(with(tag, bad)));
        }
        HILUM_CHECK_THROWS(Errc::bad_value, scan(with(tag, std::string(65, '1'))));
        HILUM_CHECK(!scan(with(tag, std::string(64, '1'))).sop_instance_uid.empty());
        HILUM_CHECK(!hilum::dicom::scan(with(tag, "../x").span(), false).has_pixels);
    }
});

HILUM_TEST("a DICOMDIR is known as such", {
    Bytes d;
    d.element(0x00041130, "CS", "DISC").header(0x00041220, "SQ", 0);
    const ScanResult r = scan(part10(kExplicit, "1.2.840.10008.1.3.10", "1.2.9").raw(d.data()));
    HILUM_CHECK(r.is_dicomdir && r.sop_instance_uid == "1.2.9" && r.study_instance_uid.empty());
});

HILUM_TEST("cut anywhere: never a success that lacks bytes of an element", {
    for (const bool explicit_vr : {true, false}) {
        const Bytes whole = image(explicit_vr ? kExplicit : "1.2.840.10008.1.2", explicit_vr);
        for (std::size_t length = 0; length < whole.size(); ++length) {
            try {
                const ScanResult r = hilum::dicom::scan(whole.span().first(length));
                HILUM_CHECK(!r.has_pixels && length == r.header_length);
            } catch (const hilum::Error& error) {
                HILUM_CHECK(error.code() == Errc::truncated || error.code() == Errc::not_dicom ||
                            error.code() == Errc::missing_element);
            }
        }
    }
});

HILUM_TEST("bytes behind the pixel data: padding, garbage, elements", {
    Bytes padded = image(kExplicit);
    HILUM_CHECK(scan(padded.zeros(7)).warnings.has(Warning::trailing_bytes));
    Bytes garbage = image(kExplicit);
    HILUM_CHECK(scan(garbage.text("garbage that is no element")).warnings.has(Warning::trailing_bytes));
    Bytes element = image(kExplicit);
    element.header(0xFFFCFFFC, "OB", 4).zeros(4);
    HILUM_CHECK(scan(element).warnings.empty());
    Bytes cut = image(kExplicit);
    cut.header(0xFFFCFFFC, "OB", 400).zeros(4);
    HILUM_CHECK_THROWS(Errc::truncated, scan(cut));
});

HILUM_TEST("elements out of order and twice", {
    Bytes d;
    d.element(0x0020000D, "UI", "1.2.3").element(0x0020000E, "UI", "1.2.3.1").element(0x00080018, "UI", "9.9");
    d.element(0x00080018, "UI", "1.2.3.4").element(0x00080016, "UI", "1.2").element(0x00100020, "LO", "ID");
    const ScanResult r = scan(part10(kExplicit).raw(d.data()));
    HILUM_CHECK(r.sop_instance_uid == "1.2.3.4" && r.attributes[0] == entry(0x00100020, "LO", "ID"));
    HILUM_CHECK(r.warnings.has(Warning::tag_order) && r.warnings.has(Warning::duplicate_element));
});

HILUM_TEST("a wanted sequence that cannot be read is left out, the object is kept", {
    Bytes d = dataset();
    Bytes broken = part10(kExplicit);
    broken.element(0x00080016, "UI", "1.2").element(0x00080018, "UI", "1.2.3.4");
    broken.header(0x00081032, "SQ", 16).item(8).header(0x00080100, "SH", 500);
    broken.element(0x0020000D, "UI", "1.2.3").element(0x0020000E, "UI", "1.2.3.1");
    const ScanResult r = scan(broken);
    HILUM_CHECK(r.warnings.has(Warning::value_length_past_end));
    HILUM_CHECK(r.attributes[1] == entry(0x0020000D, "UI", "1.2.3"));
});

HILUM_TEST("deflated objects, their frames, and bombs", {
    Bytes d = dataset();
    d.header(0x7FE00010, "OW", 16).zeros(16);
    const Bytes whole = part10("1.2.840.10008.1.2.1.99").raw(deflated(d));
    const ScanResult r = scan(whole);
    HILUM_CHECK(r.deflated && r.header_length == whole.size() && r.sop_instance_uid == "1.2.3.4");
    const hilum::dicom::FrameTable table({reinterpret_cast<const std::byte*>(r.frame_table.data()), 21});
    const auto layout = hilum::dicom::read_layout(whole.span());
    const std::vector<std::byte> plain = hilum::dicom::inflate_object(whole.span(), layout);
    HILUM_CHECK(table.inflated() && table.first() == plain.size() - 16);
    const ScanResult again = hilum::dicom::scan(plain);
    HILUM_CHECK(!again.deflated && again.transfer_syntax_uid == kExplicit && again.attributes == r.attributes);
    for (std::size_t length = layout.dataset_offset; length < whole.size(); ++length) {
        HILUM_CHECK_THROWS(Errc::truncated, hilum::dicom::scan(whole.span().first(length)));
    }
    HILUM_CHECK_THROWS(Errc::limit_exceeded, hilum::dicom::inflate_object(whole.span(), layout, 100));
    const Bytes noise = part10("1.2.840.10008.1.2.1.99").text("\xFF\xFF\xFF\xFF not deflated");
    HILUM_CHECK_THROWS(Errc::bad_deflate, scan(noise));
});

HILUM_TEST("values are cut at a whole character", {
    Bytes d;
    d.element(0x00080005, "CS", "ISO_IR 192").element(0x00080016, "UI", "1.2").element(0x00080018, "UI", "1.2.3.4");
    std::string text(hilum::limits::kMaxIndexedValueBytes - 1, 'a');
    d.element(0x00081030, "LO", text + "\xC3\xA9" + "bbb").element(0x0020000D, "UI", "1.2.3");
    d.element(0x0020000E, "UI", "1.2.3.1");
    const ScanResult r = scan(part10(kExplicit).raw(d.data()));
    HILUM_CHECK(r.attributes[1] == entry(0x00081030, "LO", text) + entry(0x0020000D, "UI", "1.2.3"));
});

HILUM_TEST("extract reads nested tags from a header alone", {
    const Bytes whole = image(kExplicit);
    const ScanResult r = scan(whole);
    const auto paths = std::vector<std::string>{"00081032.00080104", "00280100", "00081032.00080100", "00990099"};
    const hilum::dicom::TagPaths tags(paths);
    const std::string code = entry(0x00080100, "SH", "X") + entry(0x00080104, "LO", "Caf\xC3\xA9");
    HILUM_CHECK(hilum::dicom::extract(whole.span().first(r.header_length), tags.wanted()) ==
                entry(0x00081032, "SQ", std::string{static_cast<char>(code.size()), '\0'} + code) +
                    entry(0x00280100, "US", "16"));
    for (const char* bad : {"", "0008", "0008006g", "00081032.", ".00080100", "000810320", "00081032..00080100"}) {
        const std::vector<std::string> wrong{bad};
        HILUM_CHECK_THROWS(Errc::invalid_argument, hilum::dicom::TagPaths(wrong).wanted().size());
    }
});

HILUM_TEST_MAIN
