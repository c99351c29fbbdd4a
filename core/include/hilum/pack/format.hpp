// SPDX-License-Identifier: Apache-2.0
// The bytes of a pack file: file header, record header, block table. docs/formats/pack.md is the specification, this is
// its only implementation. Nothing here opens a file or allocates on the word of a length field.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hilum::pack {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::uint64_t kFileHeaderBytes = 4096;
inline constexpr std::uint64_t kRecordHeaderBytes = 128;
inline constexpr std::uint64_t kAlignment = 8;
/// Payloads longer than one block are followed by one CRC-32C per block, so that a part is verified without the rest.
inline constexpr std::uint64_t kBlockBytes = 64 * 1024;
inline constexpr std::uint64_t kMaxPayloadBytes = 1ULL << 44;

using Uuid = std::array<std::byte, 16>;
using Digest = std::array<std::byte, 32>;

enum class Kind : std::uint16_t {
    object = 1,     ///< a SOP instance, the bytes as they came
    overlay = 2,    ///< an edit, as a DICOM data set
    tombstone = 3,  ///< a deletion, JSON
    mark = 4,       ///< written where recovery cut a torn tail; keeps later records from taking over old offsets
    seal = 5,       ///< the last record of a finished pack
};

/// On another object of the same SOP Instance UID, this one becomes the current version.
inline constexpr std::uint32_t kReplaces = 1U << 0;

/// Why a pack was sealed; stored in the seal's payload.
enum class SealReason : std::uint32_t {
    full = 1,       ///< reached its size
    asked = 2,      ///< by the program
    abandoned = 3,  ///< a flush failed; nothing after the last good record counts
    suspect = 4,    ///< recovery found a tail that may have been acknowledged; it was left in place
};

struct FileHeader {
    Uuid archive{};
    std::uint64_t number = 0;
    std::uint64_t created_ns = 0;
    Uuid nonce{};
};

struct RecordHeader {
    std::uint16_t kind = 0;
    std::uint32_t flags = 0;
    std::uint64_t payload_length = 0;
    std::uint64_t sequence = 0;     ///< from 1, without gaps within a pack
    std::uint64_t group = 0;        ///< sequence of the first record that was appended with the same flush
    std::uint64_t offset = 0;       ///< of this header in its file
    std::uint64_t received_ns = 0;  ///< Unix time in ns
    std::uint64_t salt = 0;         ///< of the pack, see salt_of
    std::uint32_t payload_crc = 0;  ///< CRC-32C of the payload
    std::uint32_t table_crc = 0;    ///< CRC-32C of the block table, 0 if there is none
    Digest sha256{};
};

struct SealPayload {
    SealReason reason = SealReason::asked;
    std::uint64_t records = 0;        ///< objects, overlays and tombstones before the seal, bad ones not counted
    std::uint64_t payload_bytes = 0;  ///< sum of their payloads
    std::uint64_t suspect_from = 0;   ///< from here on damage may be an append that did not finish; 0: none such
};
inline constexpr std::uint64_t kSealPayloadBytes = 64;
inline constexpr std::uint64_t kSealBytes = kRecordHeaderBytes + kSealPayloadBytes;

/// Number of entries of the block table: 0 for a payload of one block.
[[nodiscard]] constexpr std::uint64_t table_entries(std::uint64_t payload_length) noexcept {
    return payload_length <= kBlockBytes ? 0 : (payload_length + kBlockBytes - 1) / kBlockBytes;
}

/// Bytes of the whole record: header, payload, block table, zeros to the next multiple of 8.
[[nodiscard]] constexpr std::uint64_t record_extent(std::uint64_t payload_length) noexcept {
    const std::uint64_t bytes = kRecordHeaderBytes + payload_length + 4 * table_entries(payload_length);
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Of archive, pack number and the pack's random nonce: a record copied out of another pack, or forged inside of a
/// payload by somebody who cannot read the pack, does not carry it.
[[nodiscard]] std::uint64_t salt_of(const FileHeader& header);

void encode_file_header(const FileHeader& header, std::span<std::byte, kFileHeaderBytes> out);
/// Throws Error(bad_record | bad_format_version).
[[nodiscard]] FileHeader decode_file_header(std::span<const std::byte, kFileHeaderBytes> bytes);

void encode_record_header(const RecordHeader& header, std::span<std::byte, kRecordHeaderBytes> out);
/// False if magic, version-dependent fields or checksum are wrong; `out` is then unspecified. Salt and offset are for
/// the caller to compare.
[[nodiscard]] bool decode_record_header(std::span<const std::byte, kRecordHeaderBytes> bytes,
                                        RecordHeader& out) noexcept;
[[nodiscard]] bool has_record_magic(std::span<const std::byte> bytes) noexcept;

void encode_seal(const SealPayload& seal, std::span<std::byte, kSealPayloadBytes> out);
[[nodiscard]] SealPayload decode_seal(std::span<const std::byte, kSealPayloadBytes> bytes) noexcept;

/// CRC-32C of A followed by B out of their own checksums.
[[nodiscard]] std::uint32_t crc32c_combine(std::uint32_t crc_a, std::uint32_t crc_b, std::uint64_t length_b) noexcept;

/// Block table and checksum of a payload that arrives in pieces of any size.
class BlockChecksums {
public:
    void update(std::span<const std::byte> data);
    /// Ends the last block. Afterwards crc(), table() and table_crc() are valid.
    void finish();

    [[nodiscard]] std::uint64_t length() const noexcept { return length_; }
    [[nodiscard]] std::uint32_t crc() const noexcept { return crc_; }
    /// Little endian, 4 bytes an entry; empty for a payload of one block.
    [[nodiscard]] std::span<const std::byte> table() const noexcept { return table_; }
    [[nodiscard]] std::uint32_t table_crc() const noexcept { return table_crc_; }

private:
    void end_block();

    std::uint64_t length_ = 0;
    std::uint64_t in_block_ = 0;
    std::uint32_t block_crc_ = 0;
    std::uint32_t crc_ = 0;
    std::uint32_t table_crc_ = 0;
    std::vector<std::byte> table_;
};

}  // namespace hilum::pack
