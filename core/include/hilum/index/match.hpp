// SPDX-License-Identifier: Apache-2.0
// Attribute matching of PS3.4 C.2.2.2 on attribute lists, for many rows in one call.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hilum::index {

/// Attribute lists of one candidate, from the patient down; a lower level's value goes before a higher one's.
using Row = std::vector<std::span<const std::byte>>;

enum class Operation : std::uint8_t {
    any_of = 1,  ///< single value, wildcard and list matching: one of `values`
    range = 2,   ///< `low` to `high`, both included, either may be empty (open)
    empty = 3,   ///< absent or without a value
    combined =
        4,      ///< date `tag` and time `second_tag` as one instant; values: date low, date high, time low, time high
    fuzzy = 5,  ///< every word of `values` begins, or sounds like, a word of the name
    sequence = 6,  ///< one item of sequence `tag` meets all `children`
};

enum class Comparison : std::uint8_t {
    text = 0,    ///< as written
    folded = 1,  ///< without case and accents
    person = 2,  ///< person names, by component groups
    date = 3,
    time = 4,
    date_time = 5,
    uid = 6,  ///< as written, no wildcards
    integer = 7,
    decimal = 8,
};

struct Condition {
    Operation operation = Operation::any_of;
    Comparison comparison = Comparison::text;
    std::uint32_t tag = 0;
    std::vector<std::string> values;
    std::string low;
    std::string high;
    std::uint32_t second_tag = 0;
    std::vector<Condition> children;
};

/// Compiled once, used by many threads.
class Matcher {
public:
    /// Throws Errc::bad_value when a date, time or number of the query cannot be one.
    explicit Matcher(std::vector<Condition> conditions);

    [[nodiscard]] bool matches(const Row& row) const;

private:
    struct Compiled;
    struct Value;

    static Compiled compile(Condition condition);
    static bool meets(const Compiled& condition, const Row& row);
    static bool value_meets(const Compiled& condition, std::string_view value);
    static bool person_meets(const Compiled& condition, std::string_view value);
    static bool combined_meets(const Compiled& condition, const Row& row);
    static bool sequence_meets(const Compiled& condition, std::string_view items);

    std::vector<Compiled> conditions_;

public:
    Matcher(const Matcher&) = delete;
    Matcher& operator=(const Matcher&) = delete;
    ~Matcher();
};

}  // namespace hilum::index
