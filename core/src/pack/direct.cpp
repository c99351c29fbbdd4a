// SPDX-License-Identifier: Apache-2.0
#include "hilum/pack/direct.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <span>

namespace hilum::pack {
namespace {

/// O_DIRECT on a descriptor while this lives.
class Directly {
public:
    explicit Directly(int fd) noexcept
        : fd_(fd), flags_(::fcntl(fd, F_GETFL)), on_(flags_ >= 0 && ::fcntl(fd, F_SETFL, flags_ | O_DIRECT) == 0) {}
    ~Directly() {
        if (on_) {
            (void)::fcntl(fd_, F_SETFL, flags_);
        }
    }
    Directly(const Directly&) = delete;
    Directly& operator=(const Directly&) = delete;
    [[nodiscard]] explicit operator bool() const noexcept { return on_; }

private:
    int fd_;
    int flags_;
    bool on_;
};

/// Copies from the front of the pieces until `out` is full or they end; `first` and `used` say how far they are used.
[[nodiscard]] std::size_t take(std::span<const iovec> pieces, std::size_t& first, std::size_t& used,
                               std::span<std::byte> out) noexcept {
    std::size_t copied = 0;
    while (first < pieces.size() && copied < out.size()) {
        const iovec& piece = pieces[first];
        const std::size_t count = std::min(piece.iov_len - used, out.size() - copied);
        if (count != 0) {
            std::memcpy(out.data() + copied, static_cast<const std::byte*>(piece.iov_base) + used, count);
        }
        copied += count;
        used += count;
        if (used == piece.iov_len) {
            ++first;
            used = 0;
        }
    }
    return copied;
}

[[nodiscard]] int write_cached(Io& io, int fd, std::byte* bytes, std::size_t count, std::uint64_t offset) {
    std::vector<iovec> piece{{bytes, count}};
    return write_all(io, fd, piece, offset);
}

}  // namespace

int DirectOutput::append(Io& io, int fd, std::vector<iovec>& pieces, std::uint64_t offset) {
    const std::uint64_t total = std::accumulate(pieces.begin(), pieces.end(), std::uint64_t{0},
                                                [](std::uint64_t sum, const iovec& one) { return sum + one.iov_len; });
    if (!possible_ || total < kLeast) {
        return write_all(io, fd, pieces, offset);
    }
    if (!buffer_) {
        buffer_.reset(static_cast<std::byte*>(::operator new[](kBuffer, std::align_val_t{kBlock})));
    }
    std::uint64_t at = offset / kBlock * kBlock;
    std::size_t filled = static_cast<std::size_t>(offset - at);
    if (filled != 0) {
        iovec begun{buffer_.get(), filled};
        if (read_pieces(fd, {&begun, 1}, at) != filled) {
            return -EIO;  // the file is shorter than what was written to it
        }
    }
    const std::uint64_t end = offset + total;
    for (std::size_t first = 0, used = 0; at < end;) {
        filled += take(pieces, first, used, {buffer_.get() + filled, kBuffer - filled});
        if (const int failed = write_blocks(io, fd, filled, at); failed != 0) {
            return failed;
        }
        at += filled;
        filled = 0;
    }
    pieces.clear();
    return 0;
}

/// Writes the buffer: whole blocks directly, the bytes behind the last of them through the page cache.
int DirectOutput::write_blocks(Io& io, int fd, std::size_t bytes, std::uint64_t offset) {
    const std::size_t whole = bytes / kBlock * kBlock;
    std::size_t written = 0;
    while (possible_ && written < whole) {
        std::int64_t result = -EINVAL;
        if (const Directly directly(fd); directly) {
            const iovec piece{buffer_.get() + written, whole - written};
            result = io.pwritev(fd, {&piece, 1}, offset + written);
        }
        if (result == -EINTR) {
            continue;
        }
        if (result == 0 || (result < 0 && result != -EINVAL)) {
            return result == 0 ? -EIO : static_cast<int>(result);
        }
        possible_ = result > 0 && static_cast<std::size_t>(result) % kBlock == 0;
        written += result > 0 ? static_cast<std::size_t>(result) : 0;
    }
    return written == bytes ? 0 : write_cached(io, fd, buffer_.get() + written, bytes - written, offset + written);
}

}  // namespace hilum::pack
