// SPDX-License-Identifier: Apache-2.0
// DICOM JSON Model (PS3.18 annex F) written straight from the bytes of an object: one pass, one output string. What of
// it the standard leaves open, and where it differs from others, is in docs/reference/dicom-json.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hilum/dicom/tag.hpp"
#include "hilum/dicom/vr.hpp"

namespace hilum::dicom {

struct JsonOptions {
    /// Bytes up to the tag of the pixel data (Scan's header_length): nothing from there on is read, but for the header
    /// of that element if the bytes are given. Without it the object has to be whole. Ignored for deflated objects,
    /// which have to be whole always.
    std::optional<std::size_t> header_length;
    /// Stands before the path of every BulkDataURI, with a slash between. If empty, the path alone is the URI.
    std::string_view bulk_data_uri;
    /// Binary values of more bytes are BulkDataURI, others InlineBinary. Pixel data is never inline, palettes up to
    /// kMaxInlinePalette bytes always are.
    std::size_t inline_limit = 1024;
    /// Elements of the top level to be written. All if null.
    const std::vector<Tag>* wanted = nullptr;
    /// Members that are put among those of the top level, as JSON: `"00083002":{...},...`. They replace elements of the
    /// same tag.
    std::string_view add;
};

inline constexpr std::size_t kMaxInlinePalette = 65536;

/// One JSON object, UTF-8, ascending tags. `data` is a Part-10 object or a bare data set (see read_layout).
/// Nested sequences that cannot be read become UN; what cannot be read at the top level is an error, as in
/// ElementReader and read_layout. limit_exceeded: the answer would be larger than limits::kMaxHeaderBytes.
/// invalid_argument: `add`.
[[nodiscard]] std::string dataset_json(std::span<const std::byte> data, const JsonOptions& options);

/// Where the value behind a BulkDataURI is.
struct BulkData {
    std::size_t offset = 0;  ///< in the object, or in `inflated` if that is not empty
    std::size_t length = 0;
    std::uint8_t swap = 1;  ///< bytes of the unit that has to be reversed, because the value is big endian; 1: none
    std::vector<std::byte> inflated;
};

/// `path` is that of the BulkDataURI: tags of eight hexadecimal digits, items counted from 0 between them, as in
/// "00540016/0/00181075". The value of encapsulated pixel data are its items. Only bytes up to the element have to be
/// given. Errors: invalid_argument (no path), not_found (no such element, or it is a sequence).
[[nodiscard]] BulkData find_bulk_data(std::span<const std::byte> data, std::string_view path);

/// A copy of what `found` describes, little endian. `source`: the object, or found.inflated if that is not empty.
[[nodiscard]] std::string little_endian_value(std::span<const std::byte> source, const BulkData& found);

/// Eight hexadecimal digits; nothing else is a tag.
[[nodiscard]] std::optional<Tag> parse_tag(std::string_view text) noexcept;

}  // namespace hilum::dicom
