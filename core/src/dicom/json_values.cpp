// SPDX-License-Identifier: Apache-2.0
#include "json_values.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <type_traits>

#include "hilum/byte_order.hpp"

namespace hilum::dicom::json {
namespace {

constexpr char kHex[] = "0123456789ABCDEF";
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<bool, 256> make_escape_table() {
    std::array<bool, 256> table{};
    for (std::size_t i = 0; i < 0x20; ++i) {
        table[i] = true;
    }
    table['"'] = true;
    table['\\'] = true;
    return table;
}

constexpr auto kMustEscape = make_escape_table();

void append_escape(std::string& out, char character) {
    switch (character) {
        case '"':
            out += "\\\"";
            return;
        case '\\':
            out += "\\\\";
            return;
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        default:
            out += "\\u00";
            out.push_back(kHex[static_cast<unsigned char>(character) >> 4U]);
            out.push_back(kHex[static_cast<unsigned char>(character) & 0xFU]);
    }
}

template <typename Number>
void append_number(std::string& out, Number value) {
    std::array<char, 32> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    out.append(text.data(), end);
}

void append_real(std::string& out, double value) {
    if (std::isnan(value)) {
        out += "\"NaN\"";
    } else if (std::isinf(value)) {
        out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
    } else if (value == 0 && std::signbit(value)) {
        out += "-0.0";
    } else {
        append_number(out, value);
    }
}

/// 64-bit integers that a double cannot hold are strings (note of Table F.2.3-1).
template <typename Integer>
void append_integer(std::string& out, Integer value) {
    if constexpr (sizeof(Integer) == 8) {
        constexpr Integer kExact = Integer{1} << 53;
        bool exact = value <= kExact;
        if constexpr (std::is_signed_v<Integer>) {
            exact = exact && value >= -kExact;
        }
        if (!exact) {
            out.push_back('"');
            append_number(out, value);
            out.push_back('"');
            return;
        }
    }
    append_number(out, value);
}

template <typename Number>
void append_all(std::string& out, std::span<const std::byte> bytes, bool big_endian) {
    for (std::size_t at = 0; at + sizeof(Number) <= bytes.size(); at += sizeof(Number)) {
        if (at != 0) {
            out.push_back(',');
        }
        if constexpr (std::is_same_v<Number, float>) {
            append_real(out, double{std::bit_cast<float>(load<std::uint32_t>(&bytes[at], big_endian))});
        } else if constexpr (std::is_same_v<Number, double>) {
            append_real(out, std::bit_cast<double>(load<std::uint64_t>(&bytes[at], big_endian)));
        } else {
            append_integer(out, load<Number>(&bytes[at], big_endian));
        }
    }
}

void append_tags(std::string& out, std::span<const std::byte> bytes, bool big_endian) {
    for (std::size_t at = 0; at + 4 <= bytes.size(); at += 4) {
        out += at == 0 ? "\"" : ",\"";
        append_tag(out, {load<std::uint16_t>(&bytes[at], big_endian), load<std::uint16_t>(&bytes[at + 2], big_endian)});
        out.push_back('"');
    }
}

/// Digits from `at` on.
std::string_view take_digits(std::string_view text, std::size_t& at) noexcept {
    const std::size_t begin = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
        ++at;
    }
    return text.substr(begin, at - begin);
}

std::string_view without_leading_zeros(std::string_view digits) noexcept {
    return digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
}

struct Decimal {
    bool negative = false;
    std::string_view integer;   ///< no leading zeros
    std::string_view fraction;  ///< as written
    std::string_view exponent;  ///< sign and digits
};

/// PS3.5 section 6.2, DS and IS. Blanks inside, commas, words and the like: false.
bool parse_decimal(std::string_view text, Decimal& number) noexcept {
    std::size_t at = 0;
    if (text[0] == '-' || text[0] == '+') {
        number.negative = text[0] == '-';
        ++at;
    }
    const std::string_view integer = take_digits(text, at);
    if (at < text.size() && text[at] == '.') {
        ++at;
        number.fraction = take_digits(text, at);
    }
    if (integer.empty() && number.fraction.empty()) {
        return false;
    }
    if (at < text.size() && (text[at] == 'E' || text[at] == 'e')) {
        const std::size_t begin = ++at;
        at += at < text.size() && (text[at] == '-' || text[at] == '+') ? 1U : 0U;
        if (take_digits(text, at).empty()) {
            return false;
        }
        number.exponent = text.substr(begin, at - begin);
    }
    number.integer = without_leading_zeros(integer);
    return at == text.size();
}

/// Few enough digits and a small enough exponent for a double.
bool fits_double(const Decimal& number) noexcept {
    constexpr std::size_t kDigits = 17;
    constexpr std::size_t kLongest = 25;
    const std::string_view fraction = number.fraction.substr(0, number.fraction.find_last_not_of('0') + 1);
    const std::size_t digits =
        number.integer.empty() ? without_leading_zeros(fraction).size() : number.integer.size() + fraction.size();
    int exponent = 0;
    const std::size_t skip = number.exponent.starts_with('+') ? 1 : 0;
    const std::string_view text = number.exponent.substr(skip);
    const auto result = std::from_chars(text.data(), text.data() + text.size(), exponent);
    const bool small = result.ec != std::errc::result_out_of_range && exponent > -280 && exponent < 280;
    return digits <= kDigits && small && number.integer.size() <= kDigits && number.fraction.size() <= kLongest;
}

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (kMustEscape[static_cast<unsigned char>(text[at])]) [[unlikely]] {
            out.append(text.substr(begin, at - begin));
            append_escape(out, text[at]);
            begin = at + 1;
        }
    }
    out.append(text.substr(begin));
}

void append_string(std::string& out, std::string_view text) {
    out.push_back('"');
    append_escaped(out, text);
    out.push_back('"');
}

void append_base64(std::string& out, std::span<const std::byte> bytes, std::size_t swap) {
    const std::size_t whole = bytes.size() - bytes.size() % swap;
    const auto byte_at = [&](std::size_t at) -> std::uint32_t {
        const std::size_t from = swap > 1 && at < whole ? at - at % swap + (swap - 1 - at % swap) : at;
        return std::to_integer<std::uint32_t>(bytes[from]);
    };
    out.push_back('"');
    std::size_t at = 0;
    std::array<char, 4> group;
    for (; at + 3 <= bytes.size(); at += 3) {
        const std::uint32_t bits = (byte_at(at) << 16U) | (byte_at(at + 1) << 8U) | byte_at(at + 2);
        for (unsigned i = 0; i < 4; ++i) {
            group[i] = kBase64[(bits >> (18U - 6U * i)) & 0x3FU];
        }
        out.append(group.data(), group.size());
    }
    if (const std::size_t left = bytes.size() - at; left > 0) {
        const std::uint32_t bits = (byte_at(at) << 16U) | (left > 1 ? byte_at(at + 1) << 8U : 0U);
        out.push_back(kBase64[bits >> 18U]);
        out.push_back(kBase64[(bits >> 12U) & 0x3FU]);
        out.push_back(left > 1 ? kBase64[(bits >> 6U) & 0x3FU] : '=');
        out.push_back('=');
    }
    out.push_back('"');
}

void write_tag(char* out, Tag tag) noexcept {
    for (unsigned i = 0; i < 8; ++i) {
        out[i] = kHex[(tag.value >> (28U - 4U * i)) & 0xFU];
    }
}

void append_tag(std::string& out, Tag tag) {
    std::array<char, 8> text;
    write_tag(text.data(), tag);
    out.append(text.data(), text.size());
}

void append_decimal(std::string& out, std::string_view text) {
    Decimal number;
    if (!parse_decimal(text, number) || !fits_double(number)) {
        append_string(out, text);
        return;
    }
    if (number.negative) {
        out.push_back('-');
    }
    out.append(number.integer.empty() ? "0" : number.integer);
    if (!number.fraction.empty()) {
        out.push_back('.');
        out.append(number.fraction);
    }
    if (!number.exponent.empty()) {
        out.push_back('e');
        out.append(number.exponent);
    }
}

void append_numbers(std::string& out, std::span<const std::byte> bytes, Vr vr, bool big_endian) {
    switch (vr) {
        case Vr::US:
            return append_all<std::uint16_t>(out, bytes, big_endian);
        case Vr::SS:
            return append_all<std::int16_t>(out, bytes, big_endian);
        case Vr::UL:
            return append_all<std::uint32_t>(out, bytes, big_endian);
        case Vr::SL:
            return append_all<std::int32_t>(out, bytes, big_endian);
        case Vr::UV:
            return append_all<std::uint64_t>(out, bytes, big_endian);
        case Vr::SV:
            return append_all<std::int64_t>(out, bytes, big_endian);
        case Vr::FL:
            return append_all<float>(out, bytes, big_endian);
        case Vr::FD:
            return append_all<double>(out, bytes, big_endian);
        default:
            return append_tags(out, bytes, big_endian);
    }
}

}  // namespace hilum::dicom::json
