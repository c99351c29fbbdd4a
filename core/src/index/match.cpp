// SPDX-License-Identifier: Apache-2.0
#include "hilum/index/match.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "hilum/error.hpp"
#include "hilum/index/attributes.hpp"
#include "hilum/index/fold.hpp"

namespace hilum::index {
namespace {

constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kHighest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kDayMicros = 86'400'000'000;

std::optional<Attribute> find_in(const Row& row, std::uint32_t tag) {
    for (auto list = row.rbegin(); list != row.rend(); ++list) {
        if (auto found = find_attribute(*list, tag)) {
            return found;
        }
    }
    return std::nullopt;
}

std::optional<TimeKind> time_kind(Comparison comparison) noexcept {
    switch (comparison) {
        case Comparison::date:
            return TimeKind::date;
        case Comparison::time:
            return TimeKind::time;
        case Comparison::date_time:
            return TimeKind::date_time;
        default:
            return std::nullopt;
    }
}

template <typename Number>
std::optional<Number> number(std::string_view text) noexcept {
    text = trim(text);
    if (!text.empty() && text.front() == '+') {
        text.remove_prefix(1);
    }
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

std::int64_t bound(std::string_view text, TimeKind kind, bool last) {
    if (trim(text).empty()) {
        return last ? kHighest : kLowest;
    }
    const auto value = instant(text, kind, last);
    if (!value) {
        throw Error(Errc::bad_value, "a date or time of the query is not one");
    }
    return *value;
}

/// A name group against a pattern, with as many of the empty trailing components that were removed as the pattern
/// names.
bool name_matches(std::string group, std::string_view pattern) {
    const auto carets = [](std::string_view text) { return std::count(text.begin(), text.end(), '^'); };
    auto missing = carets(pattern) - carets(group);
    while (!wildcard_match(group, pattern)) {
        if (missing-- <= 0) {
            return false;
        }
        group.push_back('^');
    }
    return true;
}

bool sounds_or_begins(std::string_view word, std::string_view wanted, std::string_view wanted_sound) {
    return word.starts_with(wanted) || (!wanted_sound.empty() && soundex(word) == wanted_sound);
}

}  // namespace

struct Matcher::Value {
    std::string text;                 // comparable form
    std::vector<std::string> groups;  // of a person name with '='
    std::string sound;                // fuzzy
    bool pattern = false;
    std::int64_t first = 0;  // dates and times: the interval it names; integer: the number
    std::int64_t last = 0;
    double decimal = 0;
    bool numeric = false;
};

struct Matcher::Compiled {
    Condition source;
    std::vector<Value> values;
    std::int64_t low = kLowest;
    std::int64_t high = kHighest;
    std::vector<Compiled> children;
};

Matcher::~Matcher() = default;

Matcher::Matcher(std::vector<Condition> conditions) {
    conditions_.reserve(conditions.size());
    for (Condition& condition : conditions) {
        conditions_.push_back(compile(std::move(condition)));
    }
}

Matcher::Compiled Matcher::compile(Condition condition) {
    Compiled out;
    const auto kind = time_kind(condition.comparison);
    if (condition.operation == Operation::range) {
        if (!kind) {
            throw Error(Errc::invalid_argument, "only dates and times have ranges");
        }
        out.low = bound(condition.low, *kind, false);
        out.high = bound(condition.high, *kind, true);
    } else if (condition.operation == Operation::combined) {
        if (condition.values.size() != 4) {
            throw Error(Errc::invalid_argument, "a combined range has four bounds");
        }
        const auto& v = condition.values;
        const std::int64_t date_low = bound(v[0], TimeKind::date, false);
        const std::int64_t date_high = bound(v[1], TimeKind::date, false);
        out.low = date_low == kLowest ? kLowest : date_low + (v[2].empty() ? 0 : bound(v[2], TimeKind::time, false));
        out.high = date_high == kHighest || v[1].empty()
                       ? kHighest
                       : date_high + (v[3].empty() ? kDayMicros - 1 : bound(v[3], TimeKind::time, true));
    } else if (condition.operation == Operation::any_of || condition.operation == Operation::fuzzy) {
        for (const std::string& text : condition.values) {
            Value value;
            if (condition.operation == Operation::fuzzy) {
                value.text = fold(text);
                value.sound = soundex(value.text);
            } else if (kind) {
                value.first = bound(text, *kind, false);
                value.last = bound(text, *kind, true);
            } else if (condition.comparison == Comparison::person) {
                value.pattern = has_wildcard(text);
                std::string_view rest = text;
                while (true) {
                    const std::size_t end = rest.find('=');
                    value.groups.push_back(fold_name_group(rest.substr(0, end)));
                    if (end == std::string_view::npos) {
                        break;
                    }
                    rest.remove_prefix(end + 1);
                }
            } else {
                const bool folded = condition.comparison == Comparison::folded;
                value.text = folded ? fold(trim(text)) : std::string(trim(text));
                value.pattern = condition.comparison != Comparison::uid && has_wildcard(text);
                if (condition.comparison == Comparison::integer) {
                    const auto parsed = number<std::int64_t>(text);
                    value.numeric = parsed.has_value();
                    value.first = parsed.value_or(0);
                } else if (condition.comparison == Comparison::decimal) {
                    const auto parsed = number<double>(text);
                    value.numeric = parsed.has_value();
                    value.decimal = parsed.value_or(0);
                }
            }
            out.values.push_back(std::move(value));
        }
    }
    for (Condition& child : condition.children) {
        out.children.push_back(compile(std::move(child)));
    }
    condition.children.clear();
    out.source = std::move(condition);
    return out;
}

bool Matcher::matches(const Row& row) const {
    return std::all_of(conditions_.begin(), conditions_.end(),
                       [&](const Compiled& condition) { return meets(condition, row); });
}

bool Matcher::meets(const Compiled& condition, const Row& row) {
    const Operation operation = condition.source.operation;
    if (operation == Operation::combined) {
        return combined_meets(condition, row);
    }
    const auto attribute = find_in(row, condition.source.tag);
    if (operation == Operation::empty) {
        return !attribute || trim(attribute->value).empty();
    }
    if (!attribute) {
        return false;
    }
    if (operation == Operation::sequence) {
        return attribute->is("SQ") && sequence_meets(condition, attribute->value);
    }
    ValueCursor values(attribute->value, is_multiple(attribute->vr));
    std::string_view value;
    while (values.next(value)) {
        if (!value.empty() && value_meets(condition, value)) {
            return true;
        }
    }
    return false;
}

bool Matcher::sequence_meets(const Compiled& condition, std::string_view items) {
    ItemCursor cursor(items);
    std::string_view item;
    while (cursor.next(item)) {
        const Row row{std::as_bytes(std::span(item.data(), item.size()))};
        if (std::all_of(condition.children.begin(), condition.children.end(),
                        [&](const Compiled& child) { return meets(child, row); })) {
            return true;
        }
    }
    return false;
}

bool Matcher::combined_meets(const Compiled& condition, const Row& row) {
    const auto date = find_in(row, condition.source.tag);
    const auto day = date ? instant(date->value, TimeKind::date, false) : std::nullopt;
    if (!day) {
        return false;
    }
    const auto time = find_in(row, condition.source.second_tag);
    const std::string_view text = time ? trim(time->value) : std::string_view{};
    const std::int64_t first = text.empty() ? 0 : instant(text, TimeKind::time, false).value_or(0);
    const std::int64_t last =
        text.empty() ? kDayMicros - 1 : instant(text, TimeKind::time, true).value_or(kDayMicros - 1);
    return *day + first <= condition.high && *day + last >= condition.low;
}

bool Matcher::person_meets(const Compiled& condition, std::string_view value) {
    std::vector<std::string> groups;
    while (true) {
        const std::size_t end = value.find('=');
        groups.push_back(fold_name_group(value.substr(0, end)));
        if (end == std::string_view::npos) {
            break;
        }
        value.remove_prefix(end + 1);
    }
    if (condition.source.operation == Operation::fuzzy) {
        return std::all_of(condition.values.begin(), condition.values.end(), [&](const Value& wanted) {
            return std::any_of(groups.begin(), groups.end(), [&](const std::string& group) {
                const auto words = name_words(group);
                return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
                    return sounds_or_begins(word, wanted.text, wanted.sound);
                });
            });
        });
    }
    const auto equal = [](const std::string& group, const std::string& wanted, bool pattern) {
        return pattern ? name_matches(group, wanted) : group == wanted;
    };
    return std::any_of(condition.values.begin(), condition.values.end(), [&](const Value& wanted) {
        if (wanted.groups.size() == 1) {
            return std::any_of(groups.begin(), groups.end(), [&](const std::string& group) {
                return !group.empty() && equal(group, wanted.groups.front(), wanted.pattern);
            });
        }
        for (std::size_t i = 0; i < wanted.groups.size(); ++i) {
            if (!wanted.groups[i].empty() &&
                (i >= groups.size() ? !equal({}, wanted.groups[i], wanted.pattern)
                                    : !equal(groups[i], wanted.groups[i], wanted.pattern))) {
                return false;
            }
        }
        return true;
    });
}

bool Matcher::value_meets(const Compiled& condition, std::string_view value) {
    const Comparison comparison = condition.source.comparison;
    if (comparison == Comparison::person) {
        return person_meets(condition, value);
    }
    if (const auto kind = time_kind(comparison)) {
        const auto first = instant(value, *kind, false);
        const auto last = instant(value, *kind, true);
        if (!first || !last) {
            return false;
        }
        if (condition.source.operation == Operation::range) {
            return *first <= condition.high && *last >= condition.low;
        }
        return std::any_of(condition.values.begin(), condition.values.end(),
                           [&](const Value& wanted) { return *first >= wanted.first && *last <= wanted.last; });
    }
    const std::string folded = comparison == Comparison::folded ? fold(value) : std::string();
    const std::string_view text = comparison == Comparison::folded ? std::string_view(folded) : value;
    return std::any_of(condition.values.begin(), condition.values.end(), [&](const Value& wanted) {
        if (wanted.pattern) {
            return wildcard_match(text, wanted.text);
        }
        if (wanted.numeric && comparison == Comparison::integer) {
            const auto parsed = number<std::int64_t>(value);
            return parsed ? *parsed == wanted.first : false;
        }
        if (wanted.numeric && comparison == Comparison::decimal) {
            const auto parsed = number<double>(value);
            return parsed ? !(*parsed < wanted.decimal) && !(*parsed > wanted.decimal) : false;
        }
        return text == wanted.text;
    });
}

}  // namespace hilum::index
