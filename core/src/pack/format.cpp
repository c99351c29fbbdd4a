// SPDX-License-Identifier: Apache-2.0
#include "hilum/pack/format.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "hilum/byte_order.hpp"
#include "hilum/checksum.hpp"
#include "hilum/error.hpp"

namespace hilum::pack {
namespace {

// As PNG's: not ASCII, and shows transfers that change line ends.
constexpr std::array<unsigned char, 8> kFileMagic{0x89, 'H', 'I', 'L', 'U', 'M', '\r', '\n'};
constexpr std::array<unsigned char, 4> kRecordMagic{'H', 'R', 'E', 'C'};

template <typename Unsigned>
void put(std::span<std::byte> out, std::size_t at, Unsigned value) noexcept {
    store(out.data() + at, value);
}

template <typename Unsigned>
[[nodiscard]] Unsigned get(std::span<const std::byte> bytes, std::size_t at) noexcept {
    return load<Unsigned>(bytes.data() + at);
}

}  // namespace

std::uint64_t salt_of(const FileHeader& header) {
    std::array<std::byte, 48> text{};
    std::memcpy(text.data(), "pack\0\0\0", 8);
    std::copy(header.archive.begin(), header.archive.end(), text.begin() + 8);
    put<std::uint64_t>(text, 24, header.number);
    std::copy(header.nonce.begin(), header.nonce.end(), text.begin() + 32);
    const Digest digest = sha256(text);
    return get<std::uint64_t>(digest, 0);
}

void encode_file_header(const FileHeader& header, std::span<std::byte, kFileHeaderBytes> out) {
    std::fill(out.begin(), out.end(), std::byte{0});
    std::memcpy(out.data(), kFileMagic.data(), kFileMagic.size());
    put<std::uint32_t>(out, 8, kFormatVersion);
    put<std::uint32_t>(out, 12, static_cast<std::uint32_t>(kFileHeaderBytes));
    std::copy(header.archive.begin(), header.archive.end(), out.begin() + 16);
    put<std::uint64_t>(out, 32, header.number);
    put<std::uint64_t>(out, 40, header.created_ns);
    std::copy(header.nonce.begin(), header.nonce.end(), out.begin() + 48);
    put<std::uint32_t>(out, kFileHeaderBytes - 4, crc32c(out.first(kFileHeaderBytes - 4)));
}

FileHeader decode_file_header(std::span<const std::byte, kFileHeaderBytes> bytes) {
    if (std::memcmp(bytes.data(), kFileMagic.data(), kFileMagic.size()) != 0) {
        throw Error(Errc::bad_record, "not a pack file (its first 8 bytes are wrong)", 0);
    }
    const auto version = get<std::uint32_t>(bytes, 8);
    if (crc32c(bytes.first(kFileHeaderBytes - 4)) != get<std::uint32_t>(bytes, kFileHeaderBytes - 4)) {
        throw Error(Errc::bad_record, "the header of the pack file is damaged (checksum)", 0);
    }
    if (version != kFormatVersion || get<std::uint32_t>(bytes, 12) != kFileHeaderBytes) {
        throw Error(Errc::bad_format_version,
                    "pack format version " + std::to_string(version) + " is not the version of this program (" +
                        std::to_string(kFormatVersion) + ")",
                    8);
    }
    FileHeader header;
    std::copy_n(bytes.begin() + 16, 16, header.archive.begin());
    header.number = get<std::uint64_t>(bytes, 32);
    header.created_ns = get<std::uint64_t>(bytes, 40);
    std::copy_n(bytes.begin() + 48, 16, header.nonce.begin());
    return header;
}

// Offsets in the record header; docs/formats/pack.md has the same table.
void encode_record_header(const RecordHeader& header, std::span<std::byte, kRecordHeaderBytes> out) {
    std::fill(out.begin(), out.end(), std::byte{0});
    std::memcpy(out.data(), kRecordMagic.data(), kRecordMagic.size());
    put<std::uint16_t>(out, 4, header.kind);
    put<std::uint16_t>(out, 6, static_cast<std::uint16_t>(kRecordHeaderBytes));
    put<std::uint64_t>(out, 8, header.payload_length);
    put<std::uint64_t>(out, 16, header.sequence);
    put<std::uint64_t>(out, 24, header.received_ns);
    put<std::uint32_t>(out, 32, header.flags);
    put<std::uint32_t>(out, 36, header.payload_crc);
    std::copy(header.sha256.begin(), header.sha256.end(), out.begin() + 40);
    put<std::uint64_t>(out, 72, header.group);
    put<std::uint64_t>(out, 80, header.offset);
    put<std::uint64_t>(out, 88, header.salt);
    put<std::uint32_t>(out, 96, header.table_crc);
    put<std::uint32_t>(out, 124, crc32c(out.first(124)));
}

bool decode_record_header(std::span<const std::byte, kRecordHeaderBytes> bytes, RecordHeader& out) noexcept {
    if (!has_record_magic(bytes) || get<std::uint16_t>(bytes, 6) != kRecordHeaderBytes ||
        crc32c(bytes.first(124)) != get<std::uint32_t>(bytes, 124)) {
        return false;
    }
    out.kind = get<std::uint16_t>(bytes, 4);
    out.payload_length = get<std::uint64_t>(bytes, 8);
    out.sequence = get<std::uint64_t>(bytes, 16);
    out.received_ns = get<std::uint64_t>(bytes, 24);
    out.flags = get<std::uint32_t>(bytes, 32);
    out.payload_crc = get<std::uint32_t>(bytes, 36);
    std::copy_n(bytes.begin() + 40, 32, out.sha256.begin());
    out.group = get<std::uint64_t>(bytes, 72);
    out.offset = get<std::uint64_t>(bytes, 80);
    out.salt = get<std::uint64_t>(bytes, 88);
    out.table_crc = get<std::uint32_t>(bytes, 96);
    return out.payload_length <= kMaxPayloadBytes && out.sequence != 0 && out.group != 0 && out.group <= out.sequence;
}

bool has_record_magic(std::span<const std::byte> bytes) noexcept {
    return bytes.size() >= kRecordMagic.size() &&
           std::memcmp(bytes.data(), kRecordMagic.data(), kRecordMagic.size()) == 0;
}

void encode_seal(const SealPayload& seal, std::span<std::byte, kSealPayloadBytes> out) {
    std::fill(out.begin(), out.end(), std::byte{0});
    put<std::uint32_t>(out, 0, static_cast<std::uint32_t>(seal.reason));
    put<std::uint64_t>(out, 8, seal.records);
    put<std::uint64_t>(out, 16, seal.payload_bytes);
    put<std::uint64_t>(out, 24, seal.suspect_from);
}

SealPayload decode_seal(std::span<const std::byte, kSealPayloadBytes> bytes) noexcept {
    SealPayload seal;
    seal.reason = static_cast<SealReason>(get<std::uint32_t>(bytes, 0));
    seal.records = get<std::uint64_t>(bytes, 8);
    seal.payload_bytes = get<std::uint64_t>(bytes, 16);
    seal.suspect_from = get<std::uint64_t>(bytes, 24);
    return seal;
}

// --- combining checksums: zlib's method (multiplication of polynomials modulo the CRC's), for the Castagnoli
// polynomial

namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78U;  // reflected

[[nodiscard]] constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) noexcept {
    std::uint32_t product = 0;
    for (std::uint32_t bit = 1U << 31U; bit != 0; bit >>= 1U) {
        if ((a & bit) != 0) {
            product ^= b;
        }
        b = (b & 1U) != 0 ? (b >> 1U) ^ kPolynomial : b >> 1U;
    }
    return product;
}

/// x^(2^n) for every n.
[[nodiscard]] constexpr std::array<std::uint32_t, 64> make_powers() noexcept {
    std::array<std::uint32_t, 64> powers{};
    std::uint32_t power = 1U << 30U;
    for (std::uint32_t& each : powers) {
        each = power;
        power = multiply(power, power);
    }
    return powers;
}

constexpr std::array<std::uint32_t, 64> kPowers = make_powers();

/// x^(8 * bytes).
[[nodiscard]] constexpr std::uint32_t shift_of(std::uint64_t bytes) noexcept {
    std::uint32_t product = 1U << 31U;
    for (std::size_t n = 3; bytes != 0 && n < kPowers.size(); bytes >>= 1U, ++n) {
        if ((bytes & 1U) != 0) {
            product = multiply(kPowers[n], product);
        }
    }
    return product;
}

constexpr std::uint32_t kBlockShift = shift_of(kBlockBytes);

}  // namespace

std::uint32_t crc32c_combine(std::uint32_t crc_a, std::uint32_t crc_b, std::uint64_t length_b) noexcept {
    return multiply(length_b == kBlockBytes ? kBlockShift : shift_of(length_b), crc_a) ^ crc_b;
}

void BlockChecksums::update(std::span<const std::byte> data) {
    while (!data.empty()) {
        if (in_block_ == kBlockBytes) {
            end_block();
        }
        const auto part = data.first(std::min<std::size_t>(data.size(), kBlockBytes - in_block_));
        block_crc_ = crc32c(part, block_crc_);
        in_block_ += part.size();
        length_ += part.size();
        data = data.subspan(part.size());
    }
}

void BlockChecksums::end_block() {
    crc_ = crc32c_combine(crc_, block_crc_, in_block_);
    const std::size_t at = table_.size();
    table_.resize(at + 4);
    put<std::uint32_t>(table_, at, block_crc_);
    block_crc_ = 0;
    in_block_ = 0;
}

void BlockChecksums::finish() {
    if (in_block_ != 0) {
        end_block();
    }
    if (table_entries(length_) == 0) {
        table_.clear();
    }
    table_crc_ = table_.empty() ? 0 : crc32c(table_);
}

}  // namespace hilum::pack
