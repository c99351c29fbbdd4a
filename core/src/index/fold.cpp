// SPDX-License-Identifier: Apache-2.0
#include "hilum/index/fold.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "hilum/index/attributes.hpp"

namespace hilum::index {
namespace {

struct FoldRow {
    std::uint16_t code;
    std::uint16_t offset;
    std::uint8_t length;
};

#include "fold_table.inc"

bool is_stripped(std::uint32_t code) noexcept {
    return (code >= 0x0300 && code <= 0x036F) || (code >= 0x0591 && code <= 0x05BD) ||
           (code >= 0x05BF && code <= 0x05C2) || code == 0x05C4 || code == 0x05C5 ||
           (code >= 0x064B && code <= 0x0655) || code == 0x0670;
}

unsigned byte_at(std::string_view text, std::size_t i) noexcept {
    return static_cast<unsigned char>(text[i]);
}

bool is_continuation(std::string_view text, std::size_t i) noexcept {
    return i < text.size() && (byte_at(text, i) & 0xC0U) == 0x80U;
}

std::uint32_t decode(std::string_view text, std::size_t length) noexcept {
    if (length == 2) {
        return (byte_at(text, 0) & 0x1FU) << 6 | (byte_at(text, 1) & 0x3FU);
    }
    return (byte_at(text, 0) & 0x0FU) << 12 | (byte_at(text, 1) & 0x3FU) << 6 | (byte_at(text, 2) & 0x3FU);
}

void append_folded(std::string& out, std::string_view character) {
    const std::uint32_t code = decode(character, character.size());
    if (is_stripped(code)) {
        return;
    }
    const auto* row = std::lower_bound(std::begin(kFoldRows), std::end(kFoldRows), code,
                                       [](const FoldRow& a, std::uint32_t b) { return a.code < b; });
    if (row != std::end(kFoldRows) && row->code == code) {
        out.append(reinterpret_cast<const char*>(kFoldPool) + row->offset, row->length);
    } else {
        out.append(character);
    }
}

bool is_word_break(char c) noexcept {
    return c == ' ' || c == '^' || c == ',' || c == '.' || c == '-' || c == '\'' || c == '=';
}

}  // namespace

std::size_t character_length(std::string_view text) noexcept {
    const unsigned first = byte_at(text, 0);
    if (first < 0xC2) {
        return 1;
    }
    std::size_t length = 1;
    if (first < 0xE0) {
        length = 2;
    } else if (first < 0xF0) {
        length = 3;
    } else if (first < 0xF5) {
        length = 4;
    }
    for (std::size_t i = 1; i < length; ++i) {
        if (!is_continuation(text, i)) {
            return 1;
        }
    }
    return length;
}

std::string fold(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const char c = text.front();
        if (static_cast<unsigned char>(c) < 0x80) {
            out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
            text.remove_prefix(1);
            continue;
        }
        const std::size_t length = character_length(text);
        if (length == 2 || length == 3) {
            append_folded(out, text.substr(0, length));
        } else {
            out.append(text.substr(0, length));
        }
        text.remove_prefix(length);
    }
    return out;
}

std::string fold_name_group(std::string_view group) {
    const std::string folded = fold(group);
    std::string out;
    out.reserve(folded.size());
    std::string_view rest = folded;
    while (true) {
        const std::size_t end = rest.find('^');
        out.append(trim(rest.substr(0, end)));
        if (end == std::string_view::npos) {
            break;
        }
        out.push_back('^');
        rest.remove_prefix(end + 1);
    }
    while (!out.empty() && out.back() == '^') {
        out.pop_back();
    }
    return out;
}

std::vector<std::string_view> name_words(std::string_view folded) {
    std::vector<std::string_view> words;
    std::size_t start = 0;
    for (std::size_t i = 0; i <= folded.size(); ++i) {
        if (i == folded.size() || is_word_break(folded[i])) {
            if (i > start) {
                words.push_back(folded.substr(start, i - start));
            }
            start = i + 1;
        }
    }
    return words;
}

std::string soundex(std::string_view folded_word) {
    constexpr std::string_view kCodes = "01230120022455012623010202";  // of a-z; h and w are handled below
    if (folded_word.empty() ||
        std::any_of(folded_word.begin(), folded_word.end(), [](char c) { return c < 'a' || c > 'z'; })) {
        return {};
    }
    std::string code(1, folded_word.front());
    char last = kCodes[static_cast<std::size_t>(folded_word.front() - 'a')];
    for (const char c : folded_word.substr(1)) {
        if (c == 'h' || c == 'w') {
            continue;  // do not separate two consonants of one code
        }
        const char digit = kCodes[static_cast<std::size_t>(c - 'a')];
        if (digit != '0' && digit != last) {
            code.push_back(digit);
            if (code.size() == 4) {
                return code;
            }
        }
        last = digit;
    }
    code.append(4 - code.size(), '0');
    return code;
}

bool has_wildcard(std::string_view text) noexcept {
    return text.find_first_of("*?") != std::string_view::npos;
}

bool wildcard_match(std::string_view text, std::string_view pattern) noexcept {
    std::size_t t = 0;
    std::size_t p = 0;
    std::size_t star = std::string_view::npos;
    std::size_t resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && pattern[p] == '?') {
            t += character_length(text.substr(t));
            ++p;
        } else if (p < pattern.size() && pattern[p] == text[t]) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            resume += character_length(text.substr(resume));
            t = resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') {
        ++p;
    }
    return p == pattern.size();
}

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr std::int64_t kDay = 24 * 60 * kMinute;

/// Days from 0000-03-01 of the proleptic Gregorian calendar.
std::int64_t days_from_civil(std::int64_t year, std::int64_t month, std::int64_t day) noexcept {
    const std::int64_t y = month > 2 ? year : year - 1;
    const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
    const std::int64_t year_of_era = y - era * 400;
    const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
}

std::int64_t days_in_month(std::int64_t year, std::int64_t month) noexcept {
    constexpr std::array<std::int64_t, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : kDays[static_cast<std::size_t>(month - 1)];
}

/// Digits of a text without the separators of the kind; false at any other character or when there are too many.
struct Digits {
    std::array<char, 32> text{};
    std::size_t count = 0;

    [[nodiscard]] std::int64_t number(std::size_t from, std::size_t length) const noexcept {
        std::int64_t value = 0;
        for (std::size_t i = from; i < from + length; ++i) {
            value = value * 10 + (text[i] - '0');
        }
        return value;
    }
};

bool take_digits(std::string_view text, std::string_view separators, Digits& out) noexcept {
    for (const char c : text) {
        if (c >= '0' && c <= '9') {
            if (out.count == out.text.size()) {
                return false;
            }
            out.text[out.count++] = c;
        } else if (separators.find(c) == std::string_view::npos) {
            return false;
        }
    }
    return true;
}

std::optional<std::int64_t> parse_date(const Digits& d, std::size_t digits, bool last) noexcept {
    const std::int64_t year = d.number(0, 4);
    const std::int64_t month = digits >= 6 ? d.number(4, 2) : (last ? 12 : 1);
    if (month < 1 || month > 12) {
        return std::nullopt;
    }
    const std::int64_t day = digits >= 8 ? d.number(6, 2) : (last ? days_in_month(year, month) : 1);
    if (day < 1 || day > 31) {
        return std::nullopt;
    }
    return days_from_civil(year, month, day) * kDay;
}

/// HH[MM[SS]] at `from`, `digits` of them, then a fraction.
std::optional<std::int64_t> parse_time(const Digits& d, std::size_t from, std::size_t digits, std::string_view fraction,
                                       bool last) noexcept {
    const std::int64_t hour = digits >= 2 ? d.number(from, 2) : (last ? 23 : 0);
    const std::int64_t minute = digits >= 4 ? d.number(from + 2, 2) : (last ? 59 : 0);
    const std::int64_t second = digits >= 6 ? d.number(from + 4, 2) : (last ? 59 : 0);
    if (hour > 23 || minute > 59 || second > 60) {  // 60: leap second
        return std::nullopt;
    }
    std::int64_t micros = 0;
    std::int64_t scale = 100'000;
    for (const char c : fraction) {
        if (c < '0' || c > '9') {
            return std::nullopt;
        }
        micros += (c - '0') * scale;
        scale /= 10;
    }
    if (last) {  // the unsaid digits of the fraction
        std::int64_t unsaid = 1;
        for (std::size_t i = std::min<std::size_t>(fraction.size(), 6); i < 6; ++i) {
            unsaid *= 10;
        }
        micros += unsaid - 1;
    }
    return (hour * 60 + minute) * kMinute + second * kSecond + micros;
}

std::optional<std::int64_t> time_of_day(std::string_view text, bool last) noexcept {
    const std::size_t dot = text.find('.');
    const std::string_view fraction = dot == std::string_view::npos ? std::string_view{} : text.substr(dot + 1);
    Digits d;
    if (!take_digits(text.substr(0, dot), ":", d) || (d.count != 2 && d.count != 4 && d.count != 6) ||
        (dot != std::string_view::npos && d.count != 6)) {
        return std::nullopt;
    }
    return parse_time(d, 0, d.count, fraction, last);
}

std::optional<std::int64_t> date_time(std::string_view text, bool last) noexcept {
    std::int64_t offset = 0;
    const std::size_t sign = text.size() >= 5 ? text.find_first_of("+-", text.size() - 5) : std::string_view::npos;
    if (sign != std::string_view::npos) {
        Digits zone;
        if (!take_digits(text.substr(sign + 1), "", zone) || zone.count != 4) {
            return std::nullopt;
        }
        offset = (zone.number(0, 2) * 60 + zone.number(2, 2)) * kMinute * (text[sign] == '-' ? -1 : 1);
        text = text.substr(0, sign);
    }
    const std::size_t dot = text.find('.');
    const std::string_view fraction = dot == std::string_view::npos ? std::string_view{} : text.substr(dot + 1);
    Digits d;
    if (!take_digits(text.substr(0, dot), "", d) || d.count < 4 || d.count > 14 || d.count % 2 != 0 ||
        (dot != std::string_view::npos && d.count != 14)) {
        return std::nullopt;
    }
    const auto day = parse_date(d, d.count, last);
    const auto time = parse_time(d, 8, d.count > 8 ? d.count - 8 : 0, fraction, last);
    if (!day || !time) {
        return std::nullopt;
    }
    return *day + *time - offset;
}

}  // namespace

std::optional<std::int64_t> instant(std::string_view text, TimeKind kind, bool last) noexcept {
    text = trim(text);
    if (kind == TimeKind::time) {
        return time_of_day(text, last);
    }
    if (kind == TimeKind::date_time) {
        return date_time(text, last);
    }
    Digits d;
    if (!take_digits(text, ".-", d) || d.count != 8) {
        return std::nullopt;
    }
    const auto day = parse_date(d, 8, last);
    return day && last ? std::optional(*day + kDay - 1) : day;
}

}  // namespace hilum::index
