// SPDX-License-Identifier: Apache-2.0
// How strings are made comparable: folding of case and accents, person names, dates and times as numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hilum::index {

/// UTF-8 with case, accents, width and compatibility forms removed (core/tools/make_fold_table.py is the definition).
/// Bytes that are not UTF-8 are kept as they are.
[[nodiscard]] std::string fold(std::string_view text);

/// One component group of a person name: folded, spaces around components and empty trailing components removed.
[[nodiscard]] std::string fold_name_group(std::string_view group);

/// Words of a folded name group: split at space ^ , . - ' and = ; each at least one character.
[[nodiscard]] std::vector<std::string_view> name_words(std::string_view folded);

/// American Soundex of a folded word of a-z (letter and three digits); empty when the word has other characters.
[[nodiscard]] std::string soundex(std::string_view folded_word);

/// `*` any run of characters, `?` exactly one character (code point). Linear in practice: backtracks to the last `*`
/// only.
[[nodiscard]] bool wildcard_match(std::string_view text, std::string_view pattern) noexcept;

[[nodiscard]] bool has_wildcard(std::string_view text) noexcept;

/// Number of bytes of the UTF-8 character at the front of `text` (1 for a stray byte). `text` is not empty.
[[nodiscard]] std::size_t character_length(std::string_view text) noexcept;

enum class TimeKind : std::uint8_t { date, time, date_time };

/// Microseconds of the first (or, with `last`, the last) instant that the text names: "2024" is a year as DT, "1030" a
/// minute as TM. Date: from 0000-03-01; time: of the day; a DT with an offset from UTC is taken to UTC. Nothing when it
/// is not of that form. Also accepts the separators of ACR-NEMA ("2024.01.31", "10:30:00").
[[nodiscard]] std::optional<std::int64_t> instant(std::string_view text, TimeKind kind, bool last) noexcept;

}  // namespace hilum::index
