// SPDX-License-Identifier: Apache-2.0
// Stored form of index records: what is on disk between the checksum and the end, without what a reader knows anyway
// (docs/formats/index.md, "Stored form").
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hilum::index {

inline constexpr std::size_t kMaxPackedRecord = std::size_t{1} << 20;  ///< larger bodies are stored as they are

enum class StoredAs : std::uint8_t {
    plain,   ///< as it is
    number,  ///< eight bytes big endian, without the zeros in front
    record,  ///< `kind | version | blobs | fixed | lengths | bytes`
    event,
};

/// How the values of database number `database` are stored.
[[nodiscard]] StoredAs stored_as(std::uint8_t database) noexcept;

/// Appends the stored form of `body`, which is any sequence of bytes.
void pack_body(StoredAs form, std::span<const std::byte> key, std::string_view body, std::string& out);

/// Appends the body of a stored form. Throws Errc::bad_record where it is not one.
void unpack_body(StoredAs form, std::span<const std::byte> key, std::string_view stored, std::string& out);

}  // namespace hilum::index
