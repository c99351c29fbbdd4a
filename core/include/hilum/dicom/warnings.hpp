// SPDX-License-Identifier: Apache-2.0
// What was odd about an object that was accepted all the same.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace hilum::dicom {

/// The numbers are only used in memory; the names are the interface (docs/reference/scan-warnings).
enum class Warning : std::uint8_t {
    no_preamble,              ///< Part-10 meta without the 128 bytes and "DICM"
    missing_meta,             ///< a bare data set
    missing_transfer_syntax,  ///< meta without (0002,0010): deduced
    unknown_transfer_syntax,  ///< not of the standard: read as PS3.5 A.4 says
    meta_length,              ///< (0002,0000) is not where the meta ends
    encoding_mismatch,        ///< written in another encoding than the transfer syntax says
    implicit_in_explicit,     ///< an element without VR in an explicit data set
    unknown_vr,               ///< two capitals that are no VR of PS3.5
    odd_length,               ///< a value of odd length
    tag_order,                ///< elements not in ascending order
    duplicate_element,        ///< the same tag twice: the last one counts
    stray_delimiter,          ///< an item or delimiter where none is open
    missing_delimiter,        ///< a sequence of undefined length closed by its parent's end
    trailing_bytes,           ///< bytes after the last element that are no element
    value_length_past_end,    ///< a nested value ends past its item: the sequence is not indexed
    bad_sequence,             ///< a nested sequence that cannot be read: not indexed
    bad_frame_table,          ///< offset table, fragments and number of frames disagree
    bad_number,               ///< an attribute of the pixel description is no number: its default is used
    bad_character_set,        ///< a Specific Character Set that the standard does not define
    uid_mismatch,             ///< meta and data set name different SOP instances: the data set counts
    count_                    // number of warnings
};

[[nodiscard]] std::string_view to_string(Warning warning) noexcept;

/// A set of warnings.
class Warnings {
public:
    void add(Warning warning) noexcept { bits_ |= 1U << static_cast<unsigned>(warning); }
    [[nodiscard]] bool has(Warning warning) const noexcept {
        return (bits_ & (1U << static_cast<unsigned>(warning))) != 0;
    }
    void merge(const Warnings& other) noexcept { bits_ |= other.bits_; }
    [[nodiscard]] bool empty() const noexcept { return bits_ == 0; }
    /// Names in the order of the enumeration.
    [[nodiscard]] std::vector<std::string_view> names() const;

private:
    std::uint32_t bits_ = 0;
};

}  // namespace hilum::dicom
