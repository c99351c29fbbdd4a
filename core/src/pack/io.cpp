// SPDX-License-Identifier: Apache-2.0
#include "hilum/pack/io.hpp"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

namespace hilum::pack {
namespace {

// IOV_MAX of Linux; POSIX only promises 16, which sysconf would tell.
constexpr std::size_t kPiecesPerCall = 1024;
// pwritev and preadv transfer at most 0x7ffff000 bytes; a little less keeps writes aligned.
constexpr std::uint64_t kBytesPerCall = 1ULL << 30;
// What is written in one call before the disk is told to begin with it.
constexpr std::uint64_t kBytesPerWrite = 8ULL << 20;

/// The pieces of one call: at most kPiecesPerCall of them and `most` bytes, at least one piece.
[[nodiscard]] std::size_t call_pieces(std::span<const iovec> pieces, std::uint64_t most) noexcept {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    for (const iovec& piece : pieces.first(std::min(pieces.size(), kPiecesPerCall))) {
        bytes += piece.iov_len;
        if (count != 0 && bytes > most) {
            break;
        }
        ++count;
    }
    return count;
}

/// Drops `bytes` from the front of the pieces from `first` on; the first piece that is left is shortened in place.
[[nodiscard]] std::size_t advance(std::span<iovec> pieces, std::size_t first, std::uint64_t bytes) noexcept {
    while (first < pieces.size() && bytes >= pieces[first].iov_len) {
        bytes -= pieces[first].iov_len;
        ++first;
    }
    if (bytes != 0 && first < pieces.size()) {
        pieces[first].iov_base = static_cast<std::byte*>(pieces[first].iov_base) + bytes;
        pieces[first].iov_len -= bytes;
    }
    return first;
}

}  // namespace

Errc code_of_errno(int number) noexcept {
    switch (number) {
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
            return Errc::no_space;
        case EROFS:
        case EACCES:
        case EPERM:
            return Errc::read_only;
        case ENOENT:
            return Errc::not_found;
        case ENOMEM:
            return Errc::out_of_memory;
        default:
            return Errc::io_error;
    }
}

Error system_error(const std::string& what, int number) {
    return {code_of_errno(number), what + ": " + std::generic_category().message(number)};
}

void Descriptor::reset() noexcept {
    if (fd_ >= 0) {
        ::close(fd_);
        fd_ = -1;
    }
}

std::int64_t Io::pwritev(int fd, std::span<const iovec> pieces, std::uint64_t offset) {
    const ssize_t written = ::pwritev(fd, pieces.data(), static_cast<int>(pieces.size()), static_cast<off_t>(offset));
    return written < 0 ? -errno : written;
}

int Io::fdatasync(int fd) {
    int result = 0;
    do {
        result = ::fdatasync(fd) == 0 ? 0 : -errno;
    } while (result == -EINTR);
    return result;
}

int Io::ftruncate(int fd, std::uint64_t size) {
    int result = 0;
    do {
        result = ::ftruncate(fd, static_cast<off_t>(size)) == 0 ? 0 : -errno;
    } while (result == -EINTR);
    return result;
}

Io& Io::system() noexcept {
    static Io io;
    return io;
}

void start_write_out(int fd, std::uint64_t offset, std::uint64_t length) noexcept {
    // Waiting here would also take an error away from the fdatasync that has to see it.
    (void)::sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(length), SYNC_FILE_RANGE_WRITE);
}

int write_all(Io& io, int fd, std::vector<iovec>& pieces, std::uint64_t offset) {
    std::size_t first = advance(pieces, 0, 0);
    while (first < pieces.size()) {
        const std::span<const iovec> rest = std::span<const iovec>(pieces).subspan(first);
        const std::int64_t written = io.pwritev(fd, rest.first(call_pieces(rest, kBytesPerWrite)), offset);
        if (written == -EINTR) {
            continue;
        }
        if (written <= 0) {
            return written == 0 ? -EIO : static_cast<int>(written);
        }
        first = advance(pieces, first, static_cast<std::uint64_t>(written));
        if (first < pieces.size()) {
            start_write_out(fd, offset, static_cast<std::uint64_t>(written));
        }
        offset += static_cast<std::uint64_t>(written);
    }
    return 0;
}

std::uint64_t read_pieces(int fd, std::span<iovec> pieces, std::uint64_t offset) {
    std::uint64_t total = 0;
    std::size_t first = advance(pieces, 0, 0);
    while (first < pieces.size()) {
        const std::size_t count = call_pieces(pieces.subspan(first), kBytesPerCall);
        const ssize_t got =
            ::preadv(fd, pieces.data() + first, static_cast<int>(count), static_cast<off_t>(offset + total));
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            throw system_error("cannot read a pack", errno);
        }
        if (got == 0) {
            break;
        }
        total += static_cast<std::uint64_t>(got);
        first = advance(pieces, first, static_cast<std::uint64_t>(got));
    }
    return total;
}

FileSource::FileSource(int fd) : fd_(fd), size_(file_size(fd)) {}

std::size_t FileSource::read(std::uint64_t offset, std::span<std::byte> out) const {
    iovec piece{out.data(), out.size()};
    return read_pieces(fd_, {&piece, 1}, offset);
}

std::size_t MemorySource::read(std::uint64_t offset, std::span<std::byte> out) const {
    if (offset >= bytes_.size()) {
        return 0;
    }
    const auto rest = bytes_.subspan(static_cast<std::size_t>(offset));
    const std::size_t count = std::min(rest.size(), out.size());
    if (count != 0) {
        std::memcpy(out.data(), rest.data(), count);
    }
    return count;
}

std::uint64_t file_size(int fd) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) {
        throw system_error("cannot ask the size of a pack", errno);
    }
    return static_cast<std::uint64_t>(status.st_size);
}

std::string pack_file_name(std::uint64_t number) {
    char name[32];
    std::snprintf(name, sizeof name, "%012llu.pack", static_cast<unsigned long long>(number));
    return name;
}

}  // namespace hilum::pack
