// SPDX-License-Identifier: Apache-2.0
// Where the parts of an object are: preamble, file meta information (PS3.10 section 7.1), data set, and how it is
// written.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "hilum/dicom/transfer_syntax.hpp"
#include "hilum/dicom/warnings.hpp"

namespace hilum::dicom {

/// Views into the bytes that were given to read_layout.
struct ObjectLayout {
    bool has_preamble = false;
    bool has_meta = false;
    std::size_t meta_offset = 0;
    std::size_t dataset_offset = 0;  ///< first byte after the meta
    std::string_view media_storage_sop_class_uid;
    std::string_view media_storage_sop_instance_uid;
    std::string_view transfer_syntax_uid;  ///< as written in the meta, padding removed; without meta what was deduced
    Codec codec = Codec::native;
    bool deflated = false;  ///< the data set has to be inflated before it can be read
    Encoding encoding;      ///< as found, which is not always what the transfer syntax says
    Warnings warnings;
};

/// Find the data set. Errors: not_dicom (neither a Part-10 file nor a data set that starts as one), truncated and
/// bad_element inside the meta. Nothing of the data set but its first element is looked at.
[[nodiscard]] ObjectLayout read_layout(std::span<const std::byte> data);

/// A view without the trailing blanks and NULs that pad values (PS3.5 section 6.2).
[[nodiscard]] std::string_view trim_padding(std::string_view value) noexcept;

/// Digits and dots, no empty component, 1 to 64 characters (PS3.5 section 9.1; leading zeros are tolerated).
[[nodiscard]] bool is_valid_uid(std::string_view uid) noexcept;

/// A copy of a deflated object with its data set inflated: the same preamble and meta, in which only the transfer
/// syntax is exchanged (same length, padded with NULs), so that offsets below `dataset_offset` stay. An object that is
/// not deflated is copied as it is. Errors: bad_deflate, truncated, limit_exceeded (limits::kMaxInflatedBytes, and
/// `max_bytes` where that is less).
[[nodiscard]] std::vector<std::byte> inflate_object(std::span<const std::byte> data, const ObjectLayout& layout,
                                                    std::size_t max_bytes = static_cast<std::size_t>(-1));

}  // namespace hilum::dicom
