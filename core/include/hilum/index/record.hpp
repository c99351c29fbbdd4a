// SPDX-License-Identifier: Apache-2.0
// Index records: `u32 crc32c LE | u8 kind | u8 version | u16 blobs LE | fixed part (size by kind) | blobs x u32 length
// LE | bytes of the blobs`. The checksum covers the database's number, the key and everything after the checksum
// (docs/formats/index.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hilum::index {

enum class RecordKind : std::uint8_t { patient = 1, study = 2, series = 3, instance = 4 };

inline constexpr std::uint8_t kRecordVersion = 1;

/// Views of one record's parts. Throws Errc::bad_record where the lengths do not add up or the kind or version is
/// unknown.
class RecordView {
public:
    explicit RecordView(std::span<const std::byte> record);

    [[nodiscard]] RecordKind kind() const noexcept { return kind_; }
    [[nodiscard]] std::size_t blobs() const noexcept { return blobs_; }
    [[nodiscard]] std::span<const std::byte> blob(std::size_t i) const;
    [[nodiscard]] std::string_view text(std::size_t i) const;

    /// UID (patient: PatientID NUL issuer). Studies and series have it among what is derived.
    [[nodiscard]] std::string_view uid() const;
    /// Attributes that came with the instances.
    [[nodiscard]] std::span<const std::byte> attributes() const { return blob(blobs_ - 2); }
    /// Attributes that the index keeps: counts, ModalitiesInStudy, ... Empty for instances.
    [[nodiscard]] std::span<const std::byte> derived() const { return blob(blobs_ - 1); }

private:
    std::span<const std::byte> record_;
    RecordKind kind_;
    std::size_t blobs_;
    std::size_t lengths_at_;
};

/// Checksum of a record body under its key in database number `database`.
[[nodiscard]] std::uint32_t record_checksum(std::uint8_t database, std::span<const std::byte> key,
                                            std::span<const std::byte> body) noexcept;

/// Body with its checksum in front.
[[nodiscard]] std::string seal_record(std::uint8_t database, std::span<const std::byte> key,
                                      std::span<const std::byte> body);

/// Throws Errc::bad_record naming `name` and the key in hex (never values) unless the checksum is right.
void check_record(std::uint8_t database, std::string_view name, std::span<const std::byte> key,
                  std::span<const std::byte> record);

/// First non-empty value of each attribute over `lists` in order; an attribute that is empty in all of them stays,
/// empty.
[[nodiscard]] std::string merge_attributes(const std::vector<std::span<const std::byte>>& lists);

/// The attributes of `list` whose tag is in `tags` (sorted), or with `others` those whose tag is not.
[[nodiscard]] std::string select_attributes(std::span<const std::byte> list, std::span<const std::uint32_t> tags,
                                            bool others = false);

}  // namespace hilum::index
