// SPDX-License-Identifier: Apache-2.0
#include "hilum/index/identifier.hpp"

#include <algorithm>
#include <vector>

#include "hilum/index/attributes.hpp"
#include "hilum/index/fold.hpp"

namespace hilum::index {
namespace {

constexpr std::size_t kLongest = 0xFFFE;
constexpr std::size_t kNameGroups = 3;

bool has_short_length(const std::array<char, 2>& vr) noexcept {
    static constexpr std::array<std::string_view, 12> kTexts = {"AE", "AS", "CS", "DA", "DS", "DT",
                                                                "IS", "LO", "PN", "SH", "TM", "UI"};
    return std::find(kTexts.begin(), kTexts.end(), std::string_view(vr.data(), vr.size())) != kTexts.end();
}

bool has_long_length(const std::array<char, 2>& vr) noexcept {
    static constexpr std::array<std::string_view, 13> kLong = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ",
                                                               "SV", "UC", "UN", "UR", "UT", "UV"};
    return std::find(kLong.begin(), kLong.end(), std::string_view(vr.data(), vr.size())) != kLong.end();
}

bool is_ascii(std::string_view text) noexcept {
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        const std::size_t length = character_length(text);
        if (length == 1 && static_cast<unsigned char>(text.front()) >= 0x80) {
            return false;
        }
        text.remove_prefix(length);
    }
    return true;
}

void write_u16(std::uint32_t value, bool big_endian, std::string& out) {
    const auto low = static_cast<char>(value & 0xFFU);
    const auto high = static_cast<char>(value >> 8U & 0xFFU);
    out.push_back(big_endian ? high : low);
    out.push_back(big_endian ? low : high);
}

void write_u32(std::uint32_t value, bool big_endian, std::string& out) {
    write_u16(big_endian ? value >> 16U : value & 0xFFFFU, big_endian, out);
    write_u16(big_endian ? value & 0xFFFFU : value >> 16U, big_endian, out);
}

void write_head(std::uint32_t tag, const std::array<char, 2>& vr, std::size_t length, const IdentifierForm& form,
                std::string& out) {
    write_u16(tag >> 16U, form.big_endian, out);
    write_u16(tag & 0xFFFFU, form.big_endian, out);
    const auto size = static_cast<std::uint32_t>(length);
    if (!form.explicit_vr) {
        write_u32(size, form.big_endian, out);
        return;
    }
    out.append(vr.data(), vr.size());
    if (has_long_length(vr)) {
        write_u16(0, form.big_endian, out);
        write_u32(size, form.big_endian, out);
    } else {
        write_u16(size, form.big_endian, out);
    }
}

/// Component groups without blanks around them and without empty ones at the end (PS3.5 6.2.1).
void write_name(std::string_view value, std::string& out) {
    std::size_t full = out.size();
    for (std::size_t group = 0; group < kNameGroups; ++group) {
        const std::size_t end = value.find('=');
        const std::string_view text = trim(value.substr(0, end));
        out.append(text);
        if (!text.empty()) {
            full = out.size();
        }
        if (end == std::string_view::npos) {
            break;
        }
        out.push_back('=');
        value.remove_prefix(end + 1);
    }
    out.resize(full);
}

void write_values(const Attribute& attribute, std::string& out) {
    if (trim(attribute.value).empty()) {
        return;
    }
    ValueCursor values(attribute.value, is_multiple(attribute.vr));
    std::string_view value;
    bool first = true;
    while (values.next(value)) {
        if (!first) {
            out.push_back('\\');
        }
        first = false;
        if (attribute.is("PN")) {
            write_name(value, out);
        } else {
            out.append(value);
        }
    }
}

bool write_attribute(const Attribute& attribute, const IdentifierForm& form, std::string& out) {
    const std::array<char, 2> vr{attribute.vr[0], attribute.vr[1]};
    if (!has_short_length(vr) || !(form.utf8 ? is_utf8(attribute.value) : is_ascii(attribute.value))) {
        return false;
    }
    std::string value;
    write_values(attribute, value);
    if (value.size() % 2 != 0) {
        value.push_back(attribute.is("UI") ? '\0' : ' ');
    }
    if (value.size() > kLongest) {
        return false;
    }
    write_head(attribute.tag, vr, value.size(), form, out);
    out.append(value);
    return true;
}

}  // namespace

bool write_identifier(const AnswerRow& row, std::span<const std::byte> extras, const IdentifierForm& form,
                      std::string& out) {
    const std::size_t begin = out.size();
    std::vector<Attribute> attributes;
    gather_attributes(row, attributes);
    append_attributes(extras, attributes);
    for (const AnswerElement& element : form.elements) {
        if (!element.made.empty()) {
            out.append(element.made);
            continue;
        }
        const auto found = std::find_if(attributes.begin(), attributes.end(),
                                        [&](const Attribute& attribute) { return attribute.tag == element.tag; });
        if (found == attributes.end()) {
            write_head(element.tag, element.vr, 0, form, out);
        } else if (!write_attribute(*found, form, out)) {
            out.resize(begin);
            return false;
        }
    }
    return true;
}

}  // namespace hilum::index
