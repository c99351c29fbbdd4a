// SPDX-License-Identifier: Apache-2.0
#include "hilum/index/qido_json.hpp"

#include <algorithm>
#include <array>

#include "hilum/error.hpp"
#include "hilum/index/attributes.hpp"
#include "hilum/index/fold.hpp"

namespace hilum::index {
namespace {

constexpr std::uint32_t kSpecificCharacterSet = 0x00080005;
constexpr std::uint32_t kInstanceAvailability = 0x00080056;
constexpr std::uint32_t kRetrieveUrl = 0x00081190;
constexpr std::size_t kExactDigits = 15;

void write_string(std::string_view text, std::string& out) {
    static constexpr char kHex[] = "0123456789abcdef";
    out.push_back('"');
    while (!text.empty()) {
        const auto c = static_cast<unsigned char>(text.front());
        std::size_t length = 1;
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(static_cast<char>(c));
        } else if (c < 0x20 || c == 0x7F) {
            out.append("\\u00");
            out.push_back(kHex[c >> 4U]);
            out.push_back(kHex[c & 15U]);
        } else if (c < 0x80) {
            out.push_back(static_cast<char>(c));
        } else {
            length = character_length(text);
            const bool overlong = length == 3 && c == 0xE0 && static_cast<unsigned char>(text[1]) < 0xA0;
            const bool surrogate = length == 3 && c == 0xED && static_cast<unsigned char>(text[1]) >= 0xA0;
            const bool outside = length == 4 && ((c == 0xF0 && static_cast<unsigned char>(text[1]) < 0x90) ||
                                                 (c == 0xF4 && static_cast<unsigned char>(text[1]) >= 0x90));
            if (length == 1 || overlong || surrogate || outside) {
                out.append("\xEF\xBF\xBD");
                length = 1;
            } else {
                out.append(text.substr(0, length));
            }
        }
        text.remove_prefix(length);
    }
    out.push_back('"');
}

bool all_digits(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view take_while_digits(std::string_view& text) noexcept {
    const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
    const std::string_view digits = text.substr(0, end);
    text.remove_prefix(end);
    return digits;
}

/// Writes `text` as a JSON number of the same value, or returns false with nothing written.
bool write_number(std::string_view text, std::string& out) {
    const bool negative = !text.empty() && text.front() == '-';
    if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
        text.remove_prefix(1);
    }
    std::string_view whole = take_while_digits(text);
    std::string_view fraction;
    if (!text.empty() && text.front() == '.') {
        text.remove_prefix(1);
        fraction = take_while_digits(text);
    }
    std::string_view exponent;
    if (!text.empty() && (text.front() == 'e' || text.front() == 'E')) {
        exponent = text.substr(1);
        const std::size_t sign = !exponent.empty() && (exponent.front() == '-' || exponent.front() == '+') ? 1 : 0;
        if (!all_digits(exponent.substr(sign)) || exponent.size() - sign > 3) {
            return false;
        }
        text = {};
    }
    if (!text.empty() || (whole.empty() && fraction.empty()) || whole.size() + fraction.size() > kExactDigits + 2) {
        return false;
    }
    while (whole.size() > 1 && whole.front() == '0') {
        whole.remove_prefix(1);
    }
    if (negative) {
        out.push_back('-');
    }
    out.append(whole.empty() ? std::string_view("0") : whole);
    if (!fraction.empty()) {
        out.push_back('.');
        out.append(fraction);
    }
    if (!exponent.empty()) {
        out.push_back('e');
        out.append(exponent);
    }
    return true;
}

bool is_number(const Attribute& a) noexcept {
    static constexpr std::array<const char*, 10> kNumbers = {"IS", "DS", "US", "UL", "SS",
                                                             "SL", "FL", "FD", "SV", "UV"};
    return std::any_of(kNumbers.begin(), kNumbers.end(),
                       [&](const char* name) { return a.vr[0] == name[0] && a.vr[1] == name[1]; });
}

void write_name(std::string_view value, std::string& out) {
    static constexpr std::array<std::string_view, 3> kGroups = {"Alphabetic", "Ideographic", "Phonetic"};
    out.push_back('{');
    bool first = true;
    for (const std::string_view group : kGroups) {
        const std::size_t end = value.find('=');
        const std::string_view text = trim(value.substr(0, end));
        if (!text.empty()) {
            if (!first) {
                out.push_back(',');
            }
            first = false;
            write_string(group, out);
            out.push_back(':');
            write_string(text, out);
        }
        if (end == std::string_view::npos) {
            break;
        }
        value.remove_prefix(end + 1);
    }
    out.push_back('}');
}

void write_value(const Attribute& attribute, std::string_view value, std::string& out) {
    if (value.empty()) {
        out.append("null");
    } else if (attribute.is("PN")) {
        write_name(value, out);
    } else if (!is_number(attribute) || !write_number(value, out)) {
        write_string(value, out);
    }
}

void write_attribute(const Attribute& attribute, std::string& out) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    out.push_back('"');
    for (int shift = 28; shift >= 0; shift -= 4) {
        out.push_back(kHex[attribute.tag >> shift & 15U]);
    }
    out.append("\":{\"vr\":\"");
    out.append(attribute.vr, 2);
    out.push_back('"');
    if (attribute.is("SQ")) {
        if (!attribute.value.empty()) {
            out.append(",\"Value\":[");
            ItemCursor items(attribute.value);
            std::string_view item;
            bool first = true;
            while (items.next(item)) {
                if (!first) {
                    out.push_back(',');
                }
                first = false;
                write_object(std::as_bytes(std::span(item.data(), item.size())), out);
            }
            out.push_back(']');
        }
    } else if (!trim(attribute.value).empty()) {
        out.append(",\"Value\":[");
        ValueCursor values(attribute.value, is_multiple(attribute.vr));
        std::string_view value;
        bool first = true;
        while (values.next(value)) {
            if (!first) {
                out.push_back(',');
            }
            first = false;
            write_value(attribute, value, out);
        }
        out.push_back(']');
    }
    out.push_back('}');
}

std::string retrieve_url(const AnswerRow& row, std::string_view base) {
    static constexpr std::array<std::string_view, 5> kPaths = {"", "", "/studies/", "/series/", "/instances/"};
    std::string url(base);
    for (const RecordView& record : row) {
        const auto level = static_cast<std::size_t>(record.kind());
        if (level >= 2) {
            url.append(kPaths[level]);
            url.append(record.uid());
        }
    }
    return url;
}

Attribute made(std::uint32_t tag, const char (&vr)[3], std::string_view value) {
    return {tag, {vr[0], vr[1]}, value};
}

}  // namespace

void append_attributes(std::span<const std::byte> list, std::vector<Attribute>& out) {
    AttributeCursor cursor(list);
    Attribute attribute;
    while (cursor.next(attribute)) {
        out.push_back(attribute);
    }
}

void gather_attributes(const AnswerRow& row, std::vector<Attribute>& out) {
    out.clear();
    for (auto record = row.rbegin(); record != row.rend(); ++record) {
        for (const auto& list : {record->derived(), record->attributes()}) {
            append_attributes(list, out);
        }
    }
}

void write_object(std::span<const std::byte> list, std::string& out) {
    out.push_back('{');
    AttributeCursor cursor(list);
    Attribute attribute;
    bool first = true;
    while (cursor.next(attribute)) {
        if (!first) {
            out.push_back(',');
        }
        first = false;
        write_attribute(attribute, out);
    }
    out.push_back('}');
}

void write_answers(std::span<const AnswerRow> rows, const AnswerFields& fields, std::string& out) {
    if (!fields.extras.empty() && fields.extras.size() != rows.size()) {
        throw Error(Errc::invalid_argument, "there must be one extra attribute list per row, or none");
    }
    std::vector<Attribute> attributes;
    out.push_back('[');
    for (const AnswerRow& row : rows) {
        if (&row != rows.data()) {
            out.push_back(',');
        }
        gather_attributes(row, attributes);
        if (!fields.extras.empty()) {
            append_attributes(fields.extras[static_cast<std::size_t>(&row - rows.data())], attributes);
        }
        const std::string url = retrieve_url(row, fields.base_url);
        attributes.push_back(made(kSpecificCharacterSet, "CS", "ISO_IR 192"));
        attributes.push_back(made(kInstanceAvailability, "CS", "ONLINE"));
        if (!fields.base_url.empty() && url.size() > fields.base_url.size()) {
            attributes.push_back(made(kRetrieveUrl, "UR", url));
        }
        std::stable_sort(attributes.begin(), attributes.end(),
                         [](const Attribute& a, const Attribute& b) { return a.tag < b.tag; });
        out.push_back('{');
        bool first = true;
        std::uint32_t last = 0;
        for (const Attribute& attribute : attributes) {
            const bool wanted = fields.all || attribute.tag == kRetrieveUrl ||
                                std::binary_search(fields.tags.begin(), fields.tags.end(), attribute.tag);
            if (!wanted || attribute.tag == last) {
                continue;
            }
            if (!first) {
                out.push_back(',');
            }
            first = false;
            last = attribute.tag;
            write_attribute(attribute, out);
        }
        out.push_back('}');
    }
    out.push_back(']');
}

}  // namespace hilum::index
