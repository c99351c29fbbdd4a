// SPDX-License-Identifier: Apache-2.0
// Reader of attribute lists, the encoding in which the index keeps attributes (docs/formats/index.md, "Attribute
// list"): sorted by tag, repeated `u32 tag LE | 2 bytes VR | u16 LE value length | value`; SQ value: items `u16 LE
// length | list`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace hilum::index {

/// One attribute of a list; `value` borrows from the list.
struct Attribute {
    std::uint32_t tag = 0;  ///< group << 16 | element
    char vr[2] = {'U', 'N'};
    std::string_view value;

    [[nodiscard]] bool is(const char (&name)[3]) const noexcept { return vr[0] == name[0] && vr[1] == name[1]; }
};

/// Walks a list. Throws Errc::bad_record where it is not well formed (ends inside an attribute, tags not ascending).
class AttributeCursor {
public:
    explicit AttributeCursor(std::span<const std::byte> list) noexcept : rest_(list) {}
    explicit AttributeCursor(std::string_view list) noexcept
        : rest_(reinterpret_cast<const std::byte*>(list.data()), list.size()) {}

    /// False at the end, with `out` unchanged.
    bool next(Attribute& out);

private:
    std::span<const std::byte> rest_;
    std::uint32_t last_ = 0;
    bool started_ = false;
};

/// Walks the items of a sequence's value. Throws Errc::bad_record where it is not well formed.
class ItemCursor {
public:
    explicit ItemCursor(std::string_view value) noexcept : rest_(value) {}
    bool next(std::string_view& item);

private:
    std::string_view rest_;
};

/// The attribute with this tag, or nothing.
[[nodiscard]] std::optional<Attribute> find_attribute(std::span<const std::byte> list, std::uint32_t tag);

/// Walks the backslash-separated values of an attribute without copying; trims spaces at both ends of each.
class ValueCursor {
public:
    /// `multiple` false: the whole value is one (ST, LT, UT, where a backslash is a character).
    ValueCursor(std::string_view value, bool multiple) noexcept : rest_(value), multiple_(multiple) {}
    bool next(std::string_view& out) noexcept;

private:
    std::string_view rest_;
    bool multiple_;
    bool done_ = false;
};

/// Whether a backslash separates values of this VR.
[[nodiscard]] bool is_multiple(const char (&vr)[2]) noexcept;

/// `text` without leading and trailing spaces and NULs.
[[nodiscard]] std::string_view trim(std::string_view text) noexcept;

}  // namespace hilum::index
