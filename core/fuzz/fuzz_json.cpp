// SPDX-License-Identifier: Apache-2.0
// Any bytes: dataset_json gives valid JSON in valid UTF-8 or a hilum::Error; every BulkDataURI in it resolves.
#include <cstdlib>
#include <string>

#include "../tests/json_check.hpp"
#include "hilum/dicom/json.hpp"
#include "hilum/error.hpp"

using hilum::dicom::BulkData;

namespace {

void require(bool held) {
    if (!held) {
        std::abort();
    }
}

/// Follow up to eight of the URIs. A stray duplicate or a bad element before the wanted one may make it unreachable.
void follow(std::span<const std::byte> data, const std::string& json) {
    constexpr std::string_view kKey = "\"BulkDataURI\":\"u/";
    std::size_t at = json.find(kKey);
    for (int i = 0; i < 8 && at != std::string::npos; ++i, at = json.find(kKey, at)) {
        at += kKey.size();
        try {
            const BulkData found = hilum::dicom::find_bulk_data(data, json.substr(at, json.find('"', at) - at));
            const auto source = found.inflated.empty() ? data : std::span<const std::byte>(found.inflated);
            require(found.offset <= source.size() && found.length <= source.size() - found.offset);
            require(little_endian_value(source, found).size() == found.length);
        } catch (const hilum::Error&) {
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::span<const std::byte> data(reinterpret_cast<const std::byte*>(bytes), size);
    const unsigned choice = size > 0 ? bytes[0] : 0U;  // the preamble's first byte, which means nothing
    hilum::dicom::JsonOptions options;
    options.bulk_data_uri = "u";
    options.inline_limit = choice & 0x0FU;
    options.add = (choice & 0x10U) != 0 ? R"("00083002":{"vr":"UI","Value":["1.2"]})" : "";
    if ((choice & 0x20U) != 0) {
        options.header_length = size / 2;
    }
    try {
        const std::string json = dataset_json(data, options);
        require(hilum::test::JsonCheck(json).valid());
        follow(data, json);
    } catch (const hilum::Error&) {
    }
    return 0;
}
