// SPDX-License-Identifier: Apache-2.0
// The JSON writer without Python: cut and damaged objects, private dictionary. Values are tested in tests/unit/dicom.
#include "hilum/dicom/json.hpp"

#include <random>
#include <string>
#include <string_view>

#include "check.hpp"
#include "hilum/dicom/private_dictionary.hpp"
#include "json_check.hpp"

using hilum::Errc;
using hilum::dicom::dataset_json;
using hilum::dicom::find_bulk_data;
using hilum::dicom::JsonOptions;
using hilum::dicom::Tag;
using hilum::dicom::Vr;

namespace {

std::span<const std::byte> bytes(const std::string& text) {
    return std::as_bytes(std::span(text));
}

std::string number(std::uint64_t value, unsigned size) {
    std::string out;
    for (unsigned i = 0; i < size; ++i) {
        out.push_back(static_cast<char>(value >> (8 * i)));
    }
    return out;
}

std::string element(std::uint32_t tag, std::string_view vr, const std::string& value) {
    const bool longer = vr == "SQ" || vr == "OB" || vr == "UN" || vr == "OW";
    return number(tag >> 16U, 2) + number(tag & 0xFFFFU, 2) + std::string(vr) +
           (longer ? number(0, 2) + number(value.size(), 4) : number(value.size(), 2)) + value;
}

std::string item(const std::string& body) {
    return "\xfe\xff" + number(0xE000, 2) + number(body.size(), 4) + body;
}

std::string sample() {
    const std::string uid = element(0x00020010, "UI", "1.2.840.10008.1.2.1\0");
    return std::string(128, '\0') + "DICM" + element(0x00020000, "UL", number(uid.size() + 1, 4)) +
           element(0x00020010, "UI", std::string("1.2.840.10008.1.2.1") + '\0') +
           element(0x00080005, "CS", "ISO_IR 100") + element(0x00080060, "CS", "CT") +
           element(0x00081032, "SQ",
                   item(element(0x00080100, "SH", "code") + element(0x00091001, "OB", "0123456789")) + item("")) +
           element(0x00100010, "PN", "J\xe9r\xf4me^A ") + element(0x00280010, "US", number(512, 2)) +
           element(0x00281052, "DS", "-1024 ") + element(0x7FE00010, "OW", std::string(40, '\1'));
}

}  // namespace

HILUM_TEST("a whole object", {
    JsonOptions options;
    options.bulk_data_uri = "http://h/bulkdata";
    options.inline_limit = 4;
    HILUM_CHECK(dataset_json(bytes(sample()), options) ==
                R"({"00080005":{"vr":"CS","Value":["ISO_IR 100"]},"00080060":{"vr":"CS","Value":["CT"]},)"
                R"("00081032":{"vr":"SQ","Value":[{"00080100":{"vr":"SH","Value":["code"]},"00091001":{"vr":"OB",)"
                R"("BulkDataURI":"http://h/bulkdata/00081032/0/00091001"}},{}]},)"
                R"("00100010":{"vr":"PN","Value":[{"Alphabetic":"Jérôme^A"}]},"00280010":{"vr":"US","Value":[512]},)"
                R"("00281052":{"vr":"DS","Value":[-1024]},)"
                R"("7FE00010":{"vr":"OW","BulkDataURI":"http://h/bulkdata/7FE00010"}})");
});

HILUM_TEST("bulk data is found again", {
    const std::string data = sample();
    const auto found = find_bulk_data(bytes(data), "00081032/0/00091001");
    HILUM_CHECK(data.substr(found.offset, found.length) == "0123456789");
    HILUM_CHECK_THROWS(Errc::not_found, find_bulk_data(bytes(data), "00081032/1/00091001"));
    HILUM_CHECK_THROWS(Errc::invalid_argument, find_bulk_data(bytes(data), "pixels"));
});

HILUM_TEST("cut at every length: JSON or an error", {
    const std::string data = sample();
    for (std::size_t length = 0; length < data.size(); ++length) {
        try {
            const std::string json = dataset_json(bytes(data.substr(0, length)), {});
            HILUM_CHECK(hilum::test::JsonCheck(json).valid());
        } catch (const hilum::Error& error) {
            HILUM_CHECK(static_cast<int>(error.code()) < 100);
        }
    }
});

HILUM_TEST("damaged anywhere: JSON or an error", {
    std::mt19937 random(7);
    const std::string whole = sample();
    for (int round = 0; round < 20000; ++round) {
        std::string data = whole;
        for (unsigned i = 0; i <= random() % 6; ++i) {
            data[132 + random() % (data.size() - 132)] = static_cast<char>(random());
        }
        try {
            HILUM_CHECK(hilum::test::JsonCheck(dataset_json(bytes(data), {})).valid());
        } catch (const hilum::Error&) {
        }
    }
});

HILUM_TEST("private elements", {
    const auto owner = hilum::dicom::find_private_owner("SIEMENS CSA HEADER");
    HILUM_CHECK(private_vr(owner, Tag{0x00291010}) == Vr::OB);
    HILUM_CHECK(private_vr(owner, Tag{0x00292F10}) == Vr::OB);
    HILUM_CHECK(private_vr(owner, Tag{0x002910FF}) == Vr::UN);
    HILUM_CHECK(private_vr(hilum::dicom::find_private_owner("nobody"), Tag{0x00291010}) == Vr::UN);
    HILUM_CHECK(private_vr(hilum::dicom::find_private_owner(""), Tag{0x00291010}) == Vr::UN);
    HILUM_CHECK(private_vr(hilum::dicom::find_private_owner("zzz"), Tag{0x00291010}) == Vr::UN);
});

HILUM_TEST("the checker itself", {
    for (const char* good : {"{}", R"({"a":[1,-2.5e+3,null,"\u00e9"]})", R"({"00080005":{},"00080060":{}})"}) {
        HILUM_CHECK(hilum::test::JsonCheck(good).valid());
    }
    for (const char* bad : {"", "{", "{}}", "[01]", "[1.]", R"({"a":})", "\"\x01\"", R"("\x")", "[+1]", "[.5]",
                            R"({"00080060":{},"00080005":{}})", R"({"00080060":{},"00080060":{}})", "\"\xff\""}) {
        HILUM_CHECK(!hilum::test::JsonCheck(bad).valid());
    }
});

HILUM_TEST_MAIN
