// SPDX-License-Identifier: Apache-2.0
#include "hilum/pack/reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "hilum/byte_order.hpp"
#include "hilum/checksum.hpp"

namespace hilum::pack {
namespace {

constexpr std::chrono::seconds kSweep{5};

[[nodiscard]] Error bad_record(std::uint64_t number, std::uint64_t offset, const char* reason) {
    return {Errc::bad_record,
            "pack " + std::to_string(number) + ", record at byte " + std::to_string(offset) + ": " + reason, offset};
}

/// The salt of a pack whose file header is damaged, out of its first record.
[[nodiscard]] std::optional<std::uint64_t> salt_of_first_record(const Source& source) {
    std::array<std::byte, kRecordHeaderBytes> bytes{};
    RecordHeader header;
    if (source.read(kFileHeaderBytes, bytes) == bytes.size() && decode_record_header(bytes, header) &&
        header.offset == kFileHeaderBytes && header.sequence == 1) {
        return header.salt;
    }
    return std::nullopt;
}

/// What one read covers: the caller's part, widened to whole blocks so that it can be verified.
struct Range {
    std::uint64_t first_block;
    std::uint64_t before;  // bytes between the start of the first block and the caller's first byte
    std::uint64_t after;   // bytes between the caller's last byte and the end of the last block
    bool whole;            // the range is the whole payload
};

[[nodiscard]] Range widen(std::uint64_t length, std::uint64_t start, std::uint64_t count) noexcept {
    if (table_entries(length) == 0) {
        return {0, start, length - start - count, true};
    }
    const std::uint64_t first = start / kBlockBytes;
    const std::uint64_t end = std::min(length, (start + count + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
    return {first, start - first * kBlockBytes, end - start - count, first == 0 && end == length};
}

/// CRC of consecutive pieces, block by block, against the table; or of all against the payload's.
class Verifier {
public:
    Verifier(const RecordHeader& header, bool whole, std::span<const std::byte> table)
        : header_(header), whole_(whole), table_(table) {}

    /// False at the first block that is wrong.
    [[nodiscard]] bool update(std::span<const std::byte> data) {
        while (!table_.empty() && in_block_ + data.size() >= kBlockBytes) {
            const auto part = data.first(static_cast<std::size_t>(kBlockBytes - in_block_));
            crc_ = crc32c(part, crc_);
            if (!end_block()) {
                return false;
            }
            data = data.subspan(part.size());
        }
        crc_ = crc32c(data, crc_);
        in_block_ += data.size();
        return true;
    }
    [[nodiscard]] bool finish() {
        if (whole_) {
            return crc_ == header_.payload_crc;
        }
        return in_block_ == 0 || end_block();
    }

private:
    [[nodiscard]] bool end_block() {
        const bool right = crc_ == load<std::uint32_t>(table_.data());
        table_ = table_.subspan(4);
        crc_ = 0;
        in_block_ = 0;
        return right;
    }

    const RecordHeader& header_;
    bool whole_;  // the payload's own checksum, not the table's
    std::span<const std::byte> table_;
    std::uint64_t in_block_ = 0;
    std::uint32_t crc_ = 0;
};

void check_header(const PackFile& file, std::span<const std::byte, kRecordHeaderBytes> bytes, std::uint64_t offset,
                  std::uint64_t length, RecordHeader& header) {
    const std::uint64_t at = offset - kRecordHeaderBytes;
    if (!decode_record_header(bytes, header)) {
        throw bad_record(file.number(), at, "its header is damaged, or there is no record");
    }
    if (header.salt != file.salt() || header.offset != at) {
        throw bad_record(file.number(), at, "it belongs to another pack or another offset");
    }
    if (header.payload_length != length) {
        throw bad_record(file.number(), at, "it has another length than asked for");
    }
}

void check_place(const PackFile& file, std::uint64_t offset, std::uint64_t length) {
    if (offset < kFileHeaderBytes + kRecordHeaderBytes || offset % kAlignment != 0 || offset > kMaxPayloadBytes * 2 ||
        length > kMaxPayloadBytes) {
        throw bad_record(file.number(), offset, "no record can be there");
    }
}

[[nodiscard]] std::vector<std::byte> read_table(const PackFile& file, const RecordHeader& header, std::uint64_t first,
                                                std::uint64_t entries) {
    std::vector<std::byte> table(static_cast<std::size_t>(4 * entries));
    iovec piece{table.data(), table.size()};
    const std::uint64_t at = header.offset + kRecordHeaderBytes + header.payload_length + 4 * first;
    if (read_pieces(file.fd(), {&piece, 1}, at) != table.size()) {
        throw bad_record(file.number(), header.offset, "it ends after the end of the file");
    }
    return table;
}

}  // namespace

std::uint64_t read_salt(const Source& source, std::uint64_t number, const Uuid& archive, FileHeader& header,
                        std::string& damage) {
    std::array<std::byte, kFileHeaderBytes> bytes{};
    const std::string name = pack_file_name(number);
    if (source.read(0, bytes) != bytes.size()) {
        throw Error(Errc::bad_record, name + ": the file is shorter than the header of a pack", 0);
    }
    try {
        header = decode_file_header(bytes);
    } catch (const Error& error) {
        const auto salt = salt_of_first_record(source);
        if (error.code() != Errc::bad_record || !salt) {
            throw Error(error.code(), name + ": " + error.what(), 0);
        }
        damage = error.what();
        header = FileHeader{};
        return *salt;
    }
    if (header.archive != archive) {
        throw Error(Errc::bad_record, name + ": the pack belongs to another archive", 16);
    }
    if (header.number != number) {
        throw Error(Errc::bad_record, name + ": the pack was written as number " + std::to_string(header.number), 32);
    }
    return salt_of(header);
}

std::shared_ptr<const PackFile> PackFile::open(const std::string& directory, std::uint64_t number,
                                               const Uuid& archive) {
    const std::string path = directory + "/" + pack_file_name(number);
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) {
        throw system_error("cannot open pack " + std::to_string(number), errno);
    }
    const FileSource source(fd.get());
    FileHeader header;
    std::shared_ptr<PackFile> file(new PackFile);
    file->salt_ = read_salt(source, number, archive, header, file->header_damage_);
    file->created_ns_ = header.created_ns;
    file->number_ = number;
    file->fd_ = std::move(fd);
    return file;
}

std::shared_ptr<const PackFile> PackReader::file(std::uint64_t number) {
    {
        const std::lock_guard hold(mutex_);
        if (std::chrono::steady_clock::now() - swept_ > kSweep) {
            sweep_locked();
        }
        if (const auto found = slots_.find(number); found != slots_.end()) {
            ages_.splice(ages_.begin(), ages_, found->second.age);
            return found->second.file;
        }
    }
    auto opened = open_or_make_room(number);
    const std::lock_guard hold(mutex_);
    if (const auto found = slots_.find(number); found != slots_.end()) {
        return found->second.file;
    }
    while (slots_.size() >= max_open_) {
        slots_.erase(ages_.back());
        ages_.pop_back();
    }
    ages_.push_front(number);
    slots_.emplace(number, Slot{opened, ages_.begin()});
    return opened;
}

std::shared_ptr<const PackFile> PackReader::open_or_make_room(std::uint64_t number) {
    try {
        return PackFile::open(directory_, number, archive_);
    } catch (const Error& error) {
        if (error.code() != Errc::io_error) {
            throw;
        }
    }
    clear();  // the process may be out of descriptors
    return PackFile::open(directory_, number, archive_);
}

void PackReader::drop(std::uint64_t number) {
    const std::lock_guard hold(mutex_);
    if (const auto found = slots_.find(number); found != slots_.end()) {
        ages_.erase(found->second.age);
        slots_.erase(found);
    }
}

void PackReader::sweep() {
    const std::lock_guard hold(mutex_);
    sweep_locked();
}

void PackReader::sweep_locked() {
    for (auto slot = slots_.begin(); slot != slots_.end();) {
        struct stat status{};
        const bool removed = ::fstat(slot->second.file->fd(), &status) == 0 && status.st_nlink == 0;
        if (removed) {
            ages_.erase(slot->second.age);
        }
        slot = removed ? slots_.erase(slot) : std::next(slot);
    }
    swept_ = std::chrono::steady_clock::now();
}

void PackReader::clear() {
    const std::lock_guard hold(mutex_);
    slots_.clear();
    ages_.clear();
}

std::size_t PackReader::open_files() {
    const std::lock_guard hold(mutex_);
    return slots_.size();
}

RecordHeader PackReader::header(std::uint64_t number, std::uint64_t offset, std::uint64_t length) {
    const auto pack = file(number);
    check_place(*pack, offset, length);
    std::array<std::byte, kRecordHeaderBytes> bytes{};
    iovec piece{bytes.data(), bytes.size()};
    if (read_pieces(pack->fd(), {&piece, 1}, offset - kRecordHeaderBytes) != bytes.size()) {
        throw bad_record(number, offset - kRecordHeaderBytes, "it ends after the end of the file");
    }
    RecordHeader header;
    check_header(*pack, bytes, offset, length, header);
    return header;
}

void PackReader::read(std::uint64_t number, std::uint64_t offset, std::uint64_t length, std::uint64_t start,
                      std::span<std::byte> out, std::optional<std::uint32_t> expected_crc) {
    const auto pack = file(number);
    check_place(*pack, offset, length);
    if (start > length || out.size() > length - start) {
        throw Error(Errc::out_of_range, "the range ends after the " + std::to_string(length) + " bytes of the record",
                    start);
    }
    const Range range = widen(length, start, out.size());
    std::array<std::byte, kRecordHeaderBytes> head{};
    // A block is the most that lies before or after the caller's part.
    const auto scratch =
        std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(range.before + range.after));
    std::array<iovec, 4> pieces{{{head.data(), head.size()},
                                 {scratch.get(), static_cast<std::size_t>(range.before)},
                                 {out.data(), out.size()},
                                 {scratch.get() + range.before, static_cast<std::size_t>(range.after)}}};
    const std::uint64_t body = range.before + out.size() + range.after;
    const std::uint64_t at = offset - kRecordHeaderBytes;
    bool complete = false;
    if (range.first_block == 0) {
        complete = read_pieces(pack->fd(), pieces, at) == head.size() + body;
    } else {
        complete =
            read_pieces(pack->fd(), std::span(pieces).first(1), at) == head.size() &&
            read_pieces(pack->fd(), std::span(pieces).subspan(1), offset + range.first_block * kBlockBytes) == body;
    }
    RecordHeader header;
    check_header(*pack, head, offset, length, header);
    if (!complete) {
        throw bad_record(number, at, "it ends after the end of the file");
    }
    if (expected_crc && *expected_crc != header.payload_crc) {
        throw bad_record(number, at, "another object lies where this one was stored");
    }
    const std::uint64_t blocks = range.whole ? 0 : (body + kBlockBytes - 1) / kBlockBytes;
    const std::vector<std::byte> table = read_table(*pack, header, range.first_block, blocks);
    Verifier verifier(header, range.whole, table);
    const std::span<const std::byte> rest(scratch.get(), static_cast<std::size_t>(range.before + range.after));
    const bool right = verifier.update(rest.first(static_cast<std::size_t>(range.before))) && verifier.update(out) &&
                       verifier.update(rest.subspan(static_cast<std::size_t>(range.before))) && verifier.finish();
    if (!right) {
        throw bad_record(number, at, "the payload does not match its checksum");
    }
}

}  // namespace hilum::pack
