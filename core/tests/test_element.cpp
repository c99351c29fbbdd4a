// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "bytes.hpp"
#include "check.hpp"
#include "hilum/dicom/dictionary.hpp"
#include "hilum/dicom/element.hpp"
#include "hilum/limits.hpp"

using hilum::Errc;
using hilum::dicom::Element;
using hilum::dicom::ElementReader;
using hilum::dicom::Encoding;
using hilum::dicom::SequenceReader;
using hilum::dicom::Tag;
using hilum::dicom::Vr;
using hilum::dicom::Warning;
using hilum::dicom::Warnings;
using hilum::test::Bytes;

namespace {

constexpr Encoding kExplicit{true, false};
constexpr Encoding kImplicit{false, false};

/// All elements as text: "tag:length" and, for sequences, their items in brackets.
void print(ElementReader& reader, std::string& out) {
    Element element;
    while (reader.next(element)) {
        out += hilum::dicom::to_string(element.tag);
        if (!element.is_sequence()) {
            out += ":" + std::to_string(element.length) + " ";
            continue;
        }
        SequenceReader items(reader, element);
        ElementReader item;
        while (items.next(item)) {
            out += "[";
            print(item, out);
            out += "]";
        }
    }
}

std::string print(const Bytes& bytes, Encoding encoding, Warnings& warnings) {
    std::string out;
    ElementReader reader(bytes.span(), 0, encoding, warnings);
    print(reader, out);
    return out;
}

std::vector<std::uint32_t> top_tags(const Bytes& bytes, Encoding encoding) {
    Warnings warnings;
    ElementReader reader(bytes.span(), 0, encoding, warnings);
    std::vector<std::uint32_t> tags;
    for (Element element; reader.next(element);) {
        tags.push_back(element.tag.value);
    }
    return tags;
}

Bytes nested(bool explicit_vr, bool undefined) {
    Bytes inner(explicit_vr);
    inner.element(0x00080100, "SH", "A").element(0x00080104, "LO", "meaning");
    Bytes all(explicit_vr);
    if (undefined) {
        all.header(0x00081032, "SQ", 0xFFFFFFFFU).item().raw(inner.data()).end_item();
        all.item().raw(inner.data()).end_item().end_sequence();
    } else {
        all.header(0x00081032, "SQ", 2 * (inner.size() + 8));
        all.item(inner.size()).raw(inner.data()).item(inner.size()).raw(inner.data());
    }
    return all.element(0x00100020, "LO", "ID");
}

}  // namespace

HILUM_TEST("sequences of both kinds and encodings read the same", {
    const std::string expected =
        "(0008,1032)[(0008,0100):2 (0008,0104):8 ][(0008,0100):2 (0008,0104):8 ](0010,0020):2 ";
    for (const bool explicit_vr : {true, false}) {
        for (const bool undefined : {true, false}) {
            Warnings warnings;
            HILUM_CHECK(print(nested(explicit_vr, undefined), {explicit_vr, false}, warnings) == expected);
            HILUM_CHECK(warnings.empty());
            const auto tags = top_tags(nested(explicit_vr, undefined), {explicit_vr, false});
            HILUM_CHECK((tags == std::vector<std::uint32_t>{0x00081032, 0x00100020}));
        }
    }
});

HILUM_TEST("big endian", {
    Bytes bytes(true, true);
    bytes.us(0x00280010, 258).header(0x00081032, "SQ", 0xFFFFFFFFU).item().us(0x00280011, 1).end_item().end_sequence();
    Warnings warnings;
    HILUM_CHECK(print(bytes, {true, true}, warnings) == "(0028,0010):2 (0008,1032)[(0028,0011):2 ]");
});

HILUM_TEST("an unread or half read child is skipped by its parent", {
    const Bytes bytes = nested(true, true);
    Warnings warnings;
    ElementReader reader(bytes.span(), 0, kExplicit, warnings);
    Element element;
    HILUM_CHECK(reader.next(element) && element.is_sequence());
    {
        SequenceReader items(reader, element);
        ElementReader item;
        HILUM_CHECK(items.next(item));
        Element inner;
        HILUM_CHECK(item.next(inner) && inner.tag == Tag{0x00080100});
        HILUM_CHECK(items.next(item));
    }
    HILUM_CHECK(reader.next(element) && element.tag == Tag{0x00100020});
    HILUM_CHECK(!reader.next(element));
    HILUM_CHECK(!reader.next(element));
});

HILUM_TEST("UN of undefined length holds implicit items, UN of a known sequence its items", {
    Bytes inner(false);
    inner.element(0x00080100, "SH", "AB");
    Bytes bytes;
    bytes.header(0x00091001, "UN", 0xFFFFFFFFU).item().raw(inner.data()).end_item().end_sequence();
    bytes.header(0x00400260, "UN", inner.size() + 8).item(inner.size()).raw(inner.data());
    Warnings warnings;
    HILUM_CHECK(print(bytes, kExplicit, warnings) == "(0009,1001)[(0008,0100):2 ](0040,0260)[(0008,0100):2 ]");
    HILUM_CHECK(warnings.empty());
});

HILUM_TEST("implicit elements and items inside an explicit data set", {
    Bytes implicit(false);
    implicit.element(0x00080100, "SH", "AB");
    Bytes bytes;
    bytes.header(0x00081032, "SQ", implicit.size() + 8).item(implicit.size()).raw(implicit.data());
    bytes.raw(Bytes(false).element(0x00100020, "LO", "ID").data()).element(0x00100030, "DA", "");
    Warnings warnings;
    HILUM_CHECK(print(bytes, kExplicit, warnings) == "(0008,1032)[(0008,0100):2 ](0010,0020):2 (0010,0030):0 ");
    HILUM_CHECK(warnings.has(Warning::implicit_in_explicit));
});

HILUM_TEST("what is cut is truncated, what contradicts is bad", {
    const Bytes whole = nested(true, true);
    for (std::size_t length = 1; length < whole.size(); ++length) {
        const std::span<const std::byte> part = whole.span().first(length);
        Warnings warnings;
        ElementReader reader(part, 0, kExplicit, warnings);
        Element element;
        if (length == whole.size() - 10) {  // between the two elements
            HILUM_CHECK(reader.next(element) && !reader.next(element));
            continue;
        }
        HILUM_CHECK_THROWS(Errc::truncated, [&] {
            while (reader.next(element)) {
            }
        }());
    }
    Bytes past;
    past.header(0x00081032, "SQ", 8 + 8).item(8).header(0x00080100, "SH", 100).element(0x00100020, "LO", "ID");
    Warnings warnings;
    HILUM_CHECK_THROWS(Errc::bad_element, print(past, kExplicit, warnings));
    Bytes no_item;
    no_item.header(0x00081032, "SQ", 10).element(0x00080100, "SH", "AB");
    HILUM_CHECK_THROWS(Errc::bad_sequence, print(no_item, kExplicit, warnings));
});

HILUM_TEST("lenient where nothing is lost: delimiters, padding, odd lengths", {
    Warnings warnings;
    Bytes stray;
    stray.element(0x00080005, "CS", "").end_item().end_sequence().element(0x00100020, "LO", "ID").zeros(13);
    HILUM_CHECK(print(stray, kExplicit, warnings) == "(0008,0005):0 (0010,0020):2 ");
    HILUM_CHECK(warnings.has(Warning::stray_delimiter) && warnings.has(Warning::trailing_bytes));

    // A single zero may be the start of an overlay element, but not behind pixel data.
    Bytes one_zero;
    one_zero.element(0x00100020, "LO", "ID").zeros(1);
    HILUM_CHECK_THROWS(Errc::truncated, print(one_zero, kExplicit, warnings));
    Bytes padded;
    padded.element(0x7FE00010, "OB", "").zeros(1);
    HILUM_CHECK(print(padded, kExplicit, warnings) == "(7FE0,0010):0 ");

    warnings = {};
    Bytes unclosed;  // an item that only its sequence ends, inside a sequence of defined length
    unclosed.header(0x00081032, "SQ", 18).item().element(0x00080100, "SH", "AB").element(0x00100020, "LO", "ID");
    HILUM_CHECK(print(unclosed, kExplicit, warnings) == "(0008,1032)[(0008,0100):2 ](0010,0020):2 ");
    HILUM_CHECK(warnings.has(Warning::missing_delimiter));

    warnings = {};
    Bytes odd;
    odd.header(0x00100020, "LO", 3).text("ABC").element(0x00100030, "DA", "");
    HILUM_CHECK(print(odd, kExplicit, warnings) == "(0010,0020):3 (0010,0030):0 ");
    HILUM_CHECK(warnings.has(Warning::odd_length));
});

HILUM_TEST("zeros that are no padding are refused at once, not looked at again and again", {
    Bytes bytes(false);
    bytes.element(0x00100020, "LO", "ID").zeros(64U << 20U).element(0x00100030, "DA", "");
    Warnings warnings;
    HILUM_CHECK_THROWS(Errc::bad_element, print(bytes, kImplicit, warnings));
});

HILUM_TEST("VRs that no edition knows have a 16 or a 32 bit length", {
    Warnings warnings;
    Bytes bytes;
    bytes.header(0x00080008, "ZZ", 2).text("ab");                         // as most programs write
    bytes.header(0x00080012, "ZZ", 0).element(0x00080060, "CS", "CT");    // short and empty
    bytes.u16(0x0009).u16(0x1001).text("ZY").u16(0).u32(4).text("abcd");  // as the standard says
    bytes.element(0x00100020, "LO", "ID");
    HILUM_CHECK(print(bytes, kExplicit, warnings) ==
                "(0008,0008):2 (0008,0012):0 (0008,0060):2 (0009,1001):4 (0010,0020):2 ");
    HILUM_CHECK(warnings.has(Warning::unknown_vr));
});

HILUM_TEST("nesting is limited, read or skipped, and costs no stack", {
    Bytes deep;
    for (int i = 0; i < 1000000; ++i) {
        deep.header(0x00081032, "SQ", 0xFFFFFFFFU).item();
    }
    HILUM_CHECK_THROWS(Errc::nesting_too_deep, top_tags(deep, kExplicit));
    Warnings warnings;
    HILUM_CHECK_THROWS(Errc::nesting_too_deep, print(deep, kExplicit, warnings));

    Bytes allowed;
    for (unsigned i = 0; i < hilum::limits::kMaxNesting; ++i) {
        allowed.header(0x00081032, "SQ", 0xFFFFFFFFU).item();
    }
    for (unsigned i = 0; i < hilum::limits::kMaxNesting; ++i) {
        allowed.end_item().end_sequence();
    }
    HILUM_CHECK(top_tags(allowed, kExplicit).size() == 1);
    HILUM_CHECK(print(allowed, kExplicit, warnings).size() > 100);
});

HILUM_TEST("the dictionary", {
    using hilum::dicom::dictionary_vr;
    HILUM_CHECK(dictionary_vr(Tag{0x00100010}) == Vr::PN);
    HILUM_CHECK(dictionary_vr(Tag{0x7FE00010}) == Vr::ox);
    HILUM_CHECK(dictionary_vr(Tag{0x60023000}) == Vr::ox);
    HILUM_CHECK(dictionary_vr(Tag{0x00280106}) == Vr::xs);
    HILUM_CHECK(dictionary_vr(Tag{0x00080000}) == Vr::UL);
    HILUM_CHECK(dictionary_vr(Tag{0x00090010}) == Vr::LO);
    HILUM_CHECK(dictionary_vr(Tag{0x00091010}) == Vr::UN);
    HILUM_CHECK(dictionary_vr(Tag{0x0008FFFE}) == Vr::UN);
    HILUM_CHECK(dictionary_vr(Tag{0x52009230}) == Vr::SQ);
    HILUM_CHECK(resolve_vr(Vr::xs, true) == Vr::SS && resolve_vr(Vr::xs, false) == Vr::US);
    HILUM_CHECK(to_string(Tag{0x7FE00010}) == "(7FE0,0010)");
});

HILUM_TEST_MAIN
