// SPDX-License-Identifier: Apache-2.0
// Text of every character set of PS3.3 C.12.1.1.2 as UTF-8. No iconv, no locale, no state, no exception: whatever the
// bytes are, the answer is valid UTF-8.
//
// What the standard leaves open is decided so:
// - A term that is none of the standard's is matched by its letters and digits alone, so "ISO-IR 100", "ISO_IR_100",
//   "ISO 2022-IR 100" and a few names from elsewhere ("UTF-8", "ISO8859-1", "EUC-KR") mean what they seem to mean.
// - Bytes above 7F where the set in force has none (no, an empty or an unknown Specific Character Set): UTF-8 if the
//   whole value is valid UTF-8, else Latin-1. If the only code extension named is Korean or Chinese, that one.
// - Code extensions are obeyed even where Specific Character Set does not announce them, since ESC has no other use.
// - A shift-JIS pair under ISO_IR 13 gives its JIS X 0208 character: some devices write it.
// - Bytes that mean nothing become U+FFFD, one for each byte (for UTF-8: for each maximal subpart).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hilum::dicom {

/// Which bytes return the code extensions to the initial sets (PS3.5 6.1.2.5.3) and what 5C means.
enum class TextKind : std::uint8_t {
    values,       ///< SH LO UC and all others with backslash between values
    text,         ///< ST LT UT UR: one value, 5C is a character of it
    person_name,  ///< PN: as `values`, and `^` and `=` reset too
};

/// A parsed Specific Character Set (0008,0005). Small, trivially copyable; the default is the default repertoire.
struct CharacterSet {
    enum class Coding : std::uint8_t { iso2022, utf8, gb18030 };
    /// Numbers of GraphicSet in charset.cpp.
    static constexpr std::uint8_t kAscii = 0;
    static constexpr std::uint8_t kNone = 255;

    Coding coding = Coding::iso2022;
    std::uint8_t g0 = kAscii;        ///< initial set of 21-7E
    std::uint8_t g1 = kNone;         ///< initial set of A1-FE
    std::uint8_t extension = kNone;  ///< the one G1 set among the code extensions, used where g1 is none
    bool misspelt = false;           ///< a term was recognised, but is not spelt as in the standard
    bool unknown = false;            ///< a term was not recognised
    bool ignored = false;            ///< a term that may not stand where it stands was left out

    bool operator==(const CharacterSet&) const = default;
};

/// `value` is the element's value as stored: terms with backslash between them, padding allowed.
[[nodiscard]] CharacterSet parse_character_set(std::string_view value) noexcept;

/// Append `raw` as UTF-8. Nothing is trimmed or split: separators come out as they are, and a backslash or an equals
/// sign in the result is always a separator (for `values` and `person_name`), never half of a two-byte character.
/// Returns false when something could not be decoded and U+FFFD was written instead.
bool append_utf8(std::string& out, std::span<const std::byte> raw, const CharacterSet& cs, TextKind kind);

[[nodiscard]] std::string to_utf8(std::span<const std::byte> raw, const CharacterSet& cs, TextKind kind);

[[nodiscard]] bool is_valid_utf8(std::string_view text) noexcept;

/// Length of the longest prefix of `text` (valid UTF-8) of at most `limit` bytes that does not end inside a character.
[[nodiscard]] std::size_t utf8_prefix(std::string_view text, std::size_t limit) noexcept;

/// Number of leading bytes that are ASCII and not ESC.
[[nodiscard]] std::size_t plain_prefix(std::string_view text) noexcept;

}  // namespace hilum::dicom
