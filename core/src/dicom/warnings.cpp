// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/warnings.hpp"

#include <iterator>

namespace hilum::dicom {
namespace {

constexpr std::string_view kNames[] = {
    "no_preamble",       "missing_meta",      "missing_transfer_syntax", "unknown_transfer_syntax",
    "meta_length",       "encoding_mismatch", "implicit_in_explicit",    "unknown_vr",
    "odd_length",        "tag_order",         "duplicate_element",       "stray_delimiter",
    "missing_delimiter", "trailing_bytes",    "value_length_past_end",   "bad_sequence",
    "bad_frame_table",   "bad_number",        "bad_character_set",       "uid_mismatch",
};
static_assert(std::size(kNames) == static_cast<std::size_t>(Warning::count_));

}  // namespace

std::string_view to_string(Warning warning) noexcept {
    return kNames[static_cast<std::size_t>(warning)];
}

std::vector<std::string_view> Warnings::names() const {
    std::vector<std::string_view> found;
    for (std::size_t i = 0; i < std::size(kNames); ++i) {
        if (has(static_cast<Warning>(i))) {
            found.push_back(kNames[i]);
        }
    }
    return found;
}

}  // namespace hilum::dicom
