// SPDX-License-Identifier: Apache-2.0
// Answers of C-FIND (PS3.4 C.4.1) straight from index records: identifiers as data sets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "hilum/index/qido_json.hpp"

namespace hilum::index {

/// One element of the answers to a query.
struct AnswerElement {
    std::uint32_t tag = 0;
    std::array<char, 2> vr{};  ///< where the records hold no such attribute
    std::string_view made;     ///< the whole element, if it is the same in every answer
};

struct IdentifierForm {
    std::span<const AnswerElement> elements;  ///< ascending
    bool explicit_vr = true;
    bool big_endian = false;
    bool utf8 = false;  ///< the answers' Specific Character Set is ISO_IR 192, so text of any alphabet goes as it is
};

/// Appends the identifier of one answer. False, with nothing appended, where a value is not text of a VR with a
/// length of 16 bits, or neither ASCII nor UTF-8 where that is the character set. `extras`: a further attribute list,
/// or empty.
[[nodiscard]] bool write_identifier(const AnswerRow& row, std::span<const std::byte> extras, const IdentifierForm& form,
                                    std::string& out);

}  // namespace hilum::index
