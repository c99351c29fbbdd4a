// SPDX-License-Identifier: Apache-2.0
// Values as JSON, appended to one string (PS3.18 F.2.3 to F.2.7).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "hilum/dicom/tag.hpp"
#include "hilum/dicom/vr.hpp"

namespace hilum::dicom::json {

/// `text` (valid UTF-8) between quotes, escaped (RFC 8259 section 7).
void append_string(std::string& out, std::string_view text);

/// The same without the quotes.
void append_escaped(std::string& out, std::string_view text);

/// Base64 between quotes (RFC 4648 section 4). Units of `swap` bytes are reversed.
void append_base64(std::string& out, std::span<const std::byte> bytes, std::size_t swap);

/// Eight upper case hexadecimal digits to `out[0]` to `out[7]`.
void write_tag(char* out, Tag tag) noexcept;

/// The same, appended.
void append_tag(std::string& out, Tag tag);

/// A decimal string (IS, DS) as a number if a double can hold it exactly enough to give it back (17 digits), else as a
/// string. `text` has no padding and is not empty.
void append_decimal(std::string& out, std::string_view text);

/// Binary numbers (US SS UL SL SV UV FL FD AT), comma-separated. The length is a multiple of `traits_of(vr)`'s unit
/// (of 4 for AT).
void append_numbers(std::string& out, std::span<const std::byte> bytes, Vr vr, bool big_endian);

}  // namespace hilum::dicom::json
