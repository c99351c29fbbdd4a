// SPDX-License-Identifier: Apache-2.0
// Opening a pack that another process left: what is on the disk decides, not what the page cache believes. ADR 0002 has
// the reasoning.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "hilum/pack/writer.hpp"

namespace hilum::pack {
namespace {

constexpr std::uint64_t kPage = 64 * 1024;  // the largest of any system

/// What a walk over the records without their payloads finds.
struct Scan {
    std::uint64_t end = 0;       // after the last whole record
    std::uint64_t sequence = 0;  // of it; 0 if no record was met
    std::uint64_t group = 0;     // sequence of the first record of the last append
    std::uint64_t group_at = 0;  // its offset
    Tail tail = Tail::none;
};

[[nodiscard]] Scan scan(const Source& source, std::uint64_t salt, std::uint64_t start) {
    Walker walker(source, salt, start, {.check = false, .hash = false, .own_kinds = true});
    Scan result;
    result.end = start;
    for (Step step = walker.next(); step.what != Step::What::end; step = walker.next()) {
        if (step.what != Step::What::record) {
            continue;
        }
        if (result.sequence == 0 || step.header.group != result.group) {
            // Not the first of its append: that one must be what is bad between here and the record before.
            const bool first = step.header.sequence == step.header.group;
            result.group = step.header.group;
            result.group_at = first ? step.offset : result.end;
        }
        result.sequence = step.header.sequence;
        result.end = step.end;
    }
    result.tail = walker.tail();
    return result;
}

/// Offset of the first record of the last append whose payload is damaged; 0 if all are whole. Everything before was
/// flushed before that append began.
[[nodiscard]] std::uint64_t first_damaged(const Source& source, std::uint64_t salt, const Scan& scanned) {
    if (scanned.sequence == 0) {
        return 0;
    }
    Walker walker(source, salt, scanned.group_at, {.check = true, .hash = false, .own_kinds = true});
    for (Step step = walker.next(); step.what != Step::What::end; step = walker.next()) {
        if (step.what == Step::What::bad) {
            return step.offset;
        }
    }
    return 0;
}

[[nodiscard]] Recovery::State lock(const Descriptor& file) {
    struct stat status{};
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK || errno == EINTR) {
            return Recovery::State::locked;
        }
        throw system_error("cannot lock a pack", errno);
    }
    if (::fstat(file.get(), &status) != 0 || status.st_nlink == 0) {
        return Recovery::State::gone;
    }
    return Recovery::State::open;
}

}  // namespace

/// A file whose creation did not get as far as a durable header holds nothing.
bool PackWriter::is_unborn(const Descriptor& file) {
    const FileSource source(file.get());
    if (source.size() > kFileHeaderBytes) {
        return false;
    }
    std::array<std::byte, kFileHeaderBytes> bytes{};
    if (source.read(0, bytes) != bytes.size()) {
        return true;
    }
    try {
        (void)decode_file_header(bytes);
    } catch (const Error& error) {
        return error.code() == Errc::bad_record;
    }
    return false;
}

/// While nothing is known about the pack yet a failure must leave it as it is.
void PackWriter::flush_untouched() {
    if (const int result = io_->fdatasync(file_.get()); result != 0) {
        usable_ = false;
        throw system_error("cannot flush pack " + std::to_string(number_), -result);
    }
}

void PackWriter::cut_tail(Recovery& recovery) {
    recovery.cut = file_size(file_.get()) - end_;
    if (recovery.cut == 0) {
        return;
    }
    if (const int result = io_->ftruncate(file_.get(), end_); result != 0) {
        throw system_error("cannot cut the unfinished end of pack " + std::to_string(number_), -result);
    }
    flush();
}

void PackWriter::append_mark(std::uint64_t sequence) {
    RecordHeader header = next_header(end_);
    header.sequence = sequence;
    header.group = sequence;
    header.kind = static_cast<std::uint16_t>(Kind::mark);
    header.sha256 = sha256({});
    std::array<std::byte, kRecordHeaderBytes> bytes{};
    encode_record_header(header, bytes);
    std::vector<iovec> pieces{{bytes.data(), bytes.size()}};
    write_or_cut(pieces, end_);
    flush();
    end_ += kRecordHeaderBytes;
    sequence_ = sequence;
}

void PackWriter::recover(std::uint64_t known, bool writing, Recovery& recovery) {
    flush_untouched();
    const std::uint64_t size = file_size(file_.get());
    const std::uint64_t start = known > kFileHeaderBytes && known <= size ? known : kFileHeaderBytes;
    // From the start of the page: a page that lies only partly in the range would stay.
    (void)::posix_fadvise(file_.get(), static_cast<off_t>(start / kPage * kPage), 0, POSIX_FADV_DONTNEED);
    const FileSource source(file_.get());
    const Scan scanned = scan(source, salt_, start);
    const std::uint64_t damaged = first_damaged(source, salt_, scanned);
    // Records before `start` were not read: no sequence in use can be above what the file has room for.
    const bool unknown = start != kFileHeaderBytes && scanned.sequence == 0;
    const std::uint64_t above = scanned.end / kRecordHeaderBytes;
    sequence_ = unknown ? above : scanned.sequence;
    recovery.end = scanned.end;
    recovery.missing = known > scanned.end ? known - scanned.end : 0;
    if (damaged != 0 || scanned.tail == Tail::suspect || recovery.missing != 0) {
        const std::uint64_t from = damaged != 0 ? damaged : scanned.end;
        recovery.suspect = size - from;
        recovery.state = Recovery::State::sealed;
        write_seal(SealReason::suspect, from, (size + kAlignment - 1) / kAlignment * kAlignment);
        flush_untouched();
        return;
    }
    end_ = scanned.end;
    cut_tail(recovery);
    if (recovery.cut != 0 || (unknown && writing)) {
        append_mark(sequence_ + 1);
        recovery.end = end_;
    }
}

std::unique_ptr<PackWriter> PackWriter::adopt(const std::string& directory, std::uint64_t number, const Uuid& archive,
                                              std::uint64_t known, bool writing, Recovery& recovery, Io& io) {
    const std::string path = directory + "/" + pack_file_name(number);
    recovery = Recovery{};
    Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!file) {
        if (errno == ENOENT) {
            recovery.state = Recovery::State::gone;
            return nullptr;
        }
        throw system_error("cannot open pack " + std::to_string(number) + " for writing", errno);
    }
    recovery.state = lock(file);
    if (recovery.state != Recovery::State::open) {
        return nullptr;
    }
    if (is_unborn(file)) {
        recovery.state = Recovery::State::unborn;
        ::unlink(path.c_str());
        return nullptr;
    }
    const FileSource source(file.get());
    FileHeader header;
    std::string damage;
    std::uint64_t salt = 0;
    try {
        salt = read_salt(source, number, archive, header, damage);
    } catch (const Error& error) {
        if (error.code() != Errc::bad_record) {
            throw;
        }
        damage = error.what();
    }
    recovery.end = source.size();
    if (!damage.empty()) {
        recovery.state = Recovery::State::damaged;
        return nullptr;
    }
    if (find_seal(source, salt)) {
        recovery.state = Recovery::State::sealed;
        return nullptr;
    }
    std::unique_ptr<PackWriter> writer(new PackWriter(std::move(file), number, salt, io));
    writer->recover(known, writing, recovery);
    return writing && recovery.state == Recovery::State::open ? std::move(writer) : nullptr;
}

}  // namespace hilum::pack
