// SPDX-License-Identifier: Apache-2.0
#include "hilum/pack/writer.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

namespace hilum::pack {
namespace {

constexpr std::array<std::byte, 8> kZeros{};

[[nodiscard]] std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
}

[[nodiscard]] iovec piece_of(std::span<const std::byte> bytes) noexcept {
    return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

[[nodiscard]] std::span<const std::byte> padding_after(std::uint64_t payload, std::uint64_t table) noexcept {
    const std::uint64_t used = kRecordHeaderBytes + payload + table;
    return std::span(kZeros).first(static_cast<std::size_t>(record_extent(payload) - used));
}

[[nodiscard]] std::string appending(std::uint64_t number) {
    return "cannot append to pack " + std::to_string(number);
}

void sync_directory(const std::string& directory) {
    const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0) {
        throw system_error("cannot flush the folder of the packs", errno);
    }
}

/// Writes and flushes the header of a file that was just created.
void write_file_header(Io& io, int fd, const FileHeader& header, std::uint64_t number) {
    std::array<std::byte, kFileHeaderBytes> bytes{};
    encode_file_header(header, bytes);
    std::vector<iovec> pieces{piece_of(bytes)};
    int result = write_all(io, fd, pieces, 0);
    if (result == 0) {
        result = io.fdatasync(fd);
    }
    if (result != 0) {
        throw system_error("cannot create pack " + std::to_string(number), -result);
    }
}

/// Digests of one record, computed where they were not given.
struct Digests {
    BlockChecksums sums;
    Digest sha{};
};

[[nodiscard]] Digests digest(const NewRecord& record) {
    Digests result;
    for (const auto& piece : record.pieces) {
        result.sums.update(piece);
    }
    result.sums.finish();
    if (result.sums.length() > kMaxPayloadBytes) {
        throw Error(Errc::limit_exceeded, "the record is larger than a pack record may be");
    }
    if (record.crc && *record.crc != result.sums.crc()) {
        throw Error(Errc::bad_record, "the bytes to be stored have changed since their checksum was taken");
    }
    if (record.sha256) {
        result.sha = *record.sha256;
    } else {
        Sha256 sha;
        for (const auto& piece : record.pieces) {
            sha.update(piece);
        }
        result.sha = sha.digest();
    }
    return result;
}

}  // namespace

std::unique_ptr<PackWriter> PackWriter::create(const std::string& directory, std::uint64_t number, const Uuid& archive,
                                               Io& io) {
    const std::string path = directory + "/" + pack_file_name(number);
    Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!file) {
        if (errno == EEXIST) {
            return nullptr;
        }
        throw system_error("cannot create pack " + std::to_string(number), errno);
    }
    struct stat status{};
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(file.get(), &status) != 0 || status.st_nlink == 0) {
        return nullptr;  // another process took it for the remains of a crash
    }
    try {
        FileHeader header{archive, number, now_ns(), {}};
        if (::getrandom(header.nonce.data(), header.nonce.size(), 0) != static_cast<ssize_t>(header.nonce.size())) {
            throw system_error("cannot create pack " + std::to_string(number), errno);
        }
        write_file_header(io, file.get(), header, number);
        sync_directory(directory);
        std::unique_ptr<PackWriter> writer(new PackWriter(std::move(file), number, salt_of(header), io));
        writer->end_ = kFileHeaderBytes;
        return writer;
    } catch (...) {
        ::unlink(path.c_str());
        throw;
    }
}

PackWriter::~PackWriter() {
    close();
}

void PackWriter::require_usable() const {
    if (!usable()) {
        throw Error(Errc::invalid_argument, "pack " + std::to_string(number_) + " is not open for writing");
    }
    if (stream_) {
        throw Error(Errc::invalid_argument, "a record of pack " + std::to_string(number_) + " is being streamed");
    }
}

RecordHeader PackWriter::next_header(std::uint64_t offset) const noexcept {
    RecordHeader header;
    header.sequence = sequence_ + 1;
    header.group = sequence_ + 1;
    header.offset = offset;
    header.salt = salt_;
    return header;
}

std::vector<Placed> PackWriter::append(std::span<const NewRecord> records) {
    require_usable();
    std::vector<Placed> placed;
    std::vector<Digests> digests;  // their tables are written from here
    std::vector<std::array<std::byte, kRecordHeaderBytes>> headers(records.size());
    std::vector<iovec> pieces;
    digests.reserve(records.size());
    placed.reserve(records.size());
    RecordHeader header = next_header(end_);
    for (const NewRecord& record : records) {
        const Digests& digested = digests.emplace_back(digest(record));
        const BlockChecksums& sums = digested.sums;
        header.kind = record.kind;
        header.flags = record.flags;
        header.received_ns = record.received_ns;
        header.payload_length = sums.length();
        header.payload_crc = sums.crc();
        header.table_crc = sums.table_crc();
        header.sha256 = digested.sha;
        encode_record_header(header, headers[placed.size()]);
        pieces.push_back(piece_of(headers[placed.size()]));
        for (const auto& piece : record.pieces) {
            pieces.push_back(piece_of(piece));
        }
        pieces.push_back(piece_of(sums.table()));
        pieces.push_back(piece_of(padding_after(sums.length(), sums.table().size())));
        placed.push_back(
            {header.offset + kRecordHeaderBytes, sums.length(), header.sequence, header.payload_crc, header.sha256});
        header.offset += record_extent(sums.length());
        ++header.sequence;
    }
    if (records.empty()) {
        return placed;
    }
    std::erase_if(pieces, [](const iovec& piece) { return piece.iov_len == 0; });
    if (const int result = direct_.append(*io_, file_.get(), pieces, end_); result != 0) {
        cut_back();
        throw system_error(appending(number_), -result);
    }
    flush();
    end_ = header.offset;
    sequence_ = header.sequence - 1;
    return placed;
}

void PackWriter::write_or_cut(std::vector<iovec>& pieces, std::uint64_t offset) {
    if (const int result = write_all(*io_, file_.get(), pieces, offset); result != 0) {
        stream_.reset();
        cut_back();
        throw system_error(appending(number_), -result);
    }
}

void PackWriter::flush() {
    if (const int result = io_->fdatasync(file_.get()); result != 0) {
        // The kernel may have dropped the pages: nobody can say what of this append is on the disk, and asking again
        // would only be told what the cache believes. Nothing more goes into this pack.
        stream_.reset();
        abandon();
        throw system_error("cannot flush pack " + std::to_string(number_), -result);
    }
}

/// Back to the last good record. If that cannot be done and seen to be done, the pack is given up.
void PackWriter::cut_back() noexcept {
    struct stat status{};
    const bool cut = end_ != 0 && io_->ftruncate(file_.get(), end_) == 0 && ::fstat(file_.get(), &status) == 0 &&
                     static_cast<std::uint64_t>(status.st_size) == end_;
    if (!cut) {
        abandon();
    }
}

/// Seals at the last good record as well as it goes. If even the seal cannot be written the file stays open and locked,
/// so that nobody adopts it while this process lives; the next one starts with reading it from the disk.
void PackWriter::abandon() noexcept {
    usable_ = false;
    try {
        if (end_ != 0 && io_->ftruncate(file_.get(), end_) == 0) {
            write_seal(SealReason::abandoned, 0, end_);
            (void)io_->fdatasync(file_.get());
            file_.reset();
        }
    } catch (const std::exception&) {
        return;
    }
}

SealPayload PackWriter::counted() const {
    SealPayload seal;
    const FileSource source(file_.get());
    Walker walker(source, salt_, kFileHeaderBytes, {});
    for (Step step = walker.next(); step.what != Step::What::end; step = walker.next()) {
        if (step.what == Step::What::record) {
            ++seal.records;
            seal.payload_bytes += step.header.payload_length;
        }
    }
    return seal;
}

void PackWriter::write_seal(SealReason reason, std::uint64_t suspect_from, std::uint64_t at) {
    SealPayload seal = counted();
    seal.reason = reason;
    seal.suspect_from = suspect_from;
    std::array<std::byte, kSealBytes> bytes{};
    const auto payload = std::span(bytes).last<kSealPayloadBytes>();
    encode_seal(seal, payload);
    RecordHeader header = next_header(at);
    header.kind = static_cast<std::uint16_t>(Kind::seal);
    header.payload_length = kSealPayloadBytes;
    header.payload_crc = crc32c(payload);
    header.sha256 = sha256(payload);
    header.received_ns = now_ns();
    encode_record_header(header, std::span(bytes).first<kRecordHeaderBytes>());
    std::vector<iovec> pieces{piece_of(bytes)};
    if (const int result = write_all(*io_, file_.get(), pieces, at); result != 0) {
        throw system_error("cannot seal pack " + std::to_string(number_), -result);
    }
}

void PackWriter::seal(SealReason reason) {
    require_usable();
    try {
        write_seal(reason, 0, end_);
    } catch (const Error&) {
        cut_back();
        throw;
    }
    flush();
    close();
}

void PackWriter::close() noexcept {
    if (stream_) {
        cancel();
    }
    usable_ = false;
    file_.reset();
}

}  // namespace hilum::pack
