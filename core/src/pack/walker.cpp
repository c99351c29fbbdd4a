// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "hilum/checksum.hpp"
#include "hilum/pack/reader.hpp"

namespace hilum::pack {
namespace {

constexpr const char* kBadHeader = "the record's header is damaged";
constexpr const char* kElsewhere = "the record belongs to another pack or another offset";
constexpr const char* kOutOfOrder = "the record is out of sequence";
constexpr const char* kCutShort = "the record ends after the end of the file";
constexpr const char* kPayload = "the payload does not match its checksum";
constexpr const char* kHash = "the payload does not match its SHA-256";
constexpr const char* kTable = "the block checksums are damaged";
constexpr const char* kPadding = "the bytes after the payload are not zero";
constexpr const char* kAfterSeal = "there are bytes after the seal";

[[nodiscard]] bool all_zero(std::span<const std::byte> bytes) noexcept {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// Payload and block checksums, piece by piece. The table that should be there is built, then compared as a whole.
[[nodiscard]] const char* check_blocks(const Source& source, const RecordHeader& header, bool hash,
                                       BlockChecksums& sums) {
    constexpr std::size_t kPiece = 4 * kBlockBytes;
    std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, header.payload_length)));
    const std::uint64_t first = header.offset + kRecordHeaderBytes;
    Sha256 sha;
    for (std::uint64_t done = 0; done < header.payload_length;) {
        const std::size_t want =
            static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), header.payload_length - done));
        const std::span<std::byte> part(piece.data(), want);
        if (source.read(first + done, part) != want) {
            return kCutShort;
        }
        sums.update(part);
        if (hash) {
            sha.update(part);
        }
        done += want;
    }
    sums.finish();
    if (sums.crc() != header.payload_crc) {
        return kPayload;
    }
    return hash && sha.digest() != header.sha256 ? kHash : nullptr;
}

}  // namespace

const char* check_payload(const Source& source, const RecordHeader& header, bool hash) {
    BlockChecksums sums;
    if (const char* reason = check_blocks(source, header, hash, sums)) {
        return reason;
    }
    const std::uint64_t after = header.offset + kRecordHeaderBytes + header.payload_length;
    std::vector<std::byte> rest(static_cast<std::size_t>(header.offset + record_extent(header.payload_length) - after));
    if (source.read(after, rest) != rest.size()) {
        return kCutShort;
    }
    const std::size_t table = sums.table().size();
    if (!std::equal(sums.table().begin(), sums.table().end(), rest.begin()) || sums.table_crc() != header.table_crc) {
        return kTable;
    }
    return all_zero(std::span(rest).subspan(table)) ? nullptr : kPadding;
}

std::optional<SealPayload> find_seal(const Source& source, std::uint64_t salt) {
    std::array<std::byte, kSealBytes> bytes{};
    if (source.size() < kFileHeaderBytes + kSealBytes) {
        return std::nullopt;
    }
    const std::uint64_t offset = source.size() - kSealBytes;
    RecordHeader header;
    if (source.read(offset, bytes) != bytes.size() ||
        !decode_record_header(std::span(bytes).first<kRecordHeaderBytes>(), header) || header.salt != salt ||
        header.offset != offset || header.kind != static_cast<std::uint16_t>(Kind::seal) ||
        header.payload_length != kSealPayloadBytes || check_payload(source, header, false) != nullptr) {
        return std::nullopt;
    }
    return decode_seal(std::span(bytes).last<kSealPayloadBytes>());
}

Walker::Walker(const Source& source, std::uint64_t salt, std::uint64_t start, Options options)
    : source_(source),
      salt_(salt),
      size_(source.size()),
      position_(start),
      options_(options),
      in_sequence_(start == kFileHeaderBytes),
      window_(kWindow) {}

std::span<const std::byte> Walker::view(std::uint64_t offset, std::size_t bytes) {
    const bool inside = offset >= window_offset_ && offset + bytes <= window_offset_ + window_bytes_;
    if (!inside) {
        // Headers that are far apart cost one page each, not a whole window.
        const bool near = offset >= window_offset_ && offset < window_offset_ + 2 * kWindow;
        const std::size_t want = near ? kWindow : std::min<std::size_t>(4096, kWindow);
        window_bytes_ = source_.read(offset, std::span(window_).first(std::max(want, bytes)));
        window_offset_ = offset;
    }
    const auto at = static_cast<std::size_t>(offset - window_offset_);
    return std::span<const std::byte>(window_).subspan(at, std::min(bytes, window_bytes_ - at));
}

bool Walker::fits(const RecordHeader& header) const noexcept {
    return record_extent(header.payload_length) <= size_ - header.offset;
}

/// Could this record come next? After a bad range the sequence may skip what the range had room for. A walk that began
/// in the middle takes the first record as it comes.
bool Walker::plausible(const RecordHeader& header, std::uint64_t offset) const noexcept {
    if (!in_sequence_) {
        return true;
    }
    if (header.kind == static_cast<std::uint16_t>(Kind::mark)) {
        // After a recovery that did not read the whole file the sequence goes on from what the file has room for.
        return header.sequence > sequence_ && header.sequence <= offset / kRecordHeaderBytes + 1;
    }
    const std::uint64_t skipped = bad_from_ == 0 ? 0 : (offset - bad_from_) / kRecordHeaderBytes;
    return header.sequence > sequence_ && header.sequence - sequence_ - 1 <= skipped;
}

const char* Walker::header_at(std::uint64_t offset, RecordHeader& out) {
    const auto bytes = view(offset, kRecordHeaderBytes);
    if (bytes.size() < kRecordHeaderBytes) {
        return kCutShort;
    }
    if (!decode_record_header(bytes.first<kRecordHeaderBytes>(), out)) {
        return kBadHeader;
    }
    if (out.salt != salt_ || out.offset != offset) {
        return kElsewhere;
    }
    return plausible(out, offset) ? nullptr : kOutOfOrder;
}

std::optional<std::uint64_t> Walker::resync(std::uint64_t from) {
    RecordHeader header;
    for (std::uint64_t offset = from; offset + kRecordHeaderBytes <= size_;) {
        if (view(offset, kRecordHeaderBytes).size() < kRecordHeaderBytes) {
            return std::nullopt;
        }
        // All positions of the window that leave room for a header; reading a candidate does not move the window.
        const auto rest = std::span<const std::byte>(window_)
                              .first(window_bytes_)
                              .subspan(static_cast<std::size_t>(offset - window_offset_));
        std::size_t at = 0;
        for (; at + kRecordHeaderBytes <= rest.size(); at += kAlignment) {
            if (has_record_magic(rest.subspan(at, 4)) && header_at(offset + at, header) == nullptr) {
                return offset + at;
            }
        }
        offset += at;
    }
    return std::nullopt;
}

/// The seal was passed, or nothing is left.
bool Walker::at_end(Step& step) {
    if (position_ >= size_) {
        return true;
    }
    if (sealed_) {
        step.what = Step::What::bad;
        step.offset = position_;
        step.end = size_;
        step.reason = kAfterSeal;
        position_ = size_;
        return true;
    }
    return false;
}

/// Accepts the record at position_. False if it is one of the pack's own that the caller does not want.
bool Walker::take(const RecordHeader& header, Step& step) {
    const auto kind = static_cast<Kind>(header.kind);
    step.header = header;
    step.has_header = true;
    step.offset = position_;
    step.end = position_ + record_extent(header.payload_length);
    position_ = step.end;
    sequence_ = header.sequence;
    in_sequence_ = true;
    bad_from_ = 0;
    sealed_ = kind == Kind::seal;
    step.reason = options_.check ? check_payload(source_, header, options_.hash) : nullptr;
    step.what = step.reason == nullptr ? Step::What::record : Step::What::bad;
    if (step.reason == nullptr) {
        step.reason = "";
    }
    return step.what == Step::What::bad || options_.own_kinds || (kind != Kind::mark && kind != Kind::seal);
}

Step Walker::next() {
    for (;;) {
        Step step;
        if (at_end(step)) {
            return step;
        }
        RecordHeader header;
        const char* reason = header_at(position_, header);
        if (reason == nullptr && fits(header)) {
            if (take(header, step)) {
                return step;
            }
            continue;
        }
        const auto start = view(position_, kRecordHeaderBytes);
        const bool unfinished = reason == nullptr || start.size() < kRecordHeaderBytes || all_zero(start);
        bad_from_ = position_;
        const std::optional<std::uint64_t> found = resync(position_ + kAlignment);
        if (!found) {
            tail_ = unfinished ? Tail::torn : Tail::suspect;
            return step;
        }
        step.what = Step::What::bad;
        step.offset = position_;
        step.end = *found;
        step.reason = reason == nullptr ? kCutShort : reason;
        position_ = *found;
        return step;
    }
}

}  // namespace hilum::pack
