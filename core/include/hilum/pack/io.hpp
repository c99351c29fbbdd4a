// SPDX-License-Identifier: Apache-2.0
// The system calls that packs are written and read with, behind one small interface so that tests can fail, shorten or
// forget any of them. Failures of the environment become Error with the code of their errno.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hilum/error.hpp"

namespace hilum::pack {

/// no_space for ENOSPC, EDQUOT, EFBIG; read_only for EROFS, EACCES, EPERM; not_found for ENOENT; else io_error.
[[nodiscard]] Errc code_of_errno(int number) noexcept;
/// `what` + ": " + the system's text for `number`.
[[nodiscard]] Error system_error(const std::string& what, int number);

/// Owns a descriptor.
class Descriptor {
public:
    Descriptor() noexcept = default;
    explicit Descriptor(int fd) noexcept : fd_(fd) {}
    ~Descriptor() { reset(); }
    Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = other.release();
        }
        return *this;
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
    int release() noexcept {
        const int fd = fd_;
        fd_ = -1;
        return fd;
    }
    void reset() noexcept;

private:
    int fd_ = -1;
};

/// As the system calls of the same names: a negative result is -errno.
class Io {
public:
    Io() = default;
    virtual ~Io() = default;
    Io(const Io&) = delete;
    Io& operator=(const Io&) = delete;

    [[nodiscard]] virtual std::int64_t pwritev(int fd, std::span<const iovec> pieces, std::uint64_t offset);
    [[nodiscard]] virtual int fdatasync(int fd);
    [[nodiscard]] virtual int ftruncate(int fd, std::uint64_t size);

    /// Without tests' interference.
    static Io& system() noexcept;
};

/// Tells the disk to begin with a part of a file, so that a later flush finds less to do; promises nothing.
void start_write_out(int fd, std::uint64_t offset, std::uint64_t length) noexcept;

/// Writes all pieces at `offset`, whatever IOV_MAX, short writes and EINTR do. Returns 0 or -errno. `pieces` is
/// consumed.
[[nodiscard]] int write_all(Io& io, int fd, std::vector<iovec>& pieces, std::uint64_t offset);

/// Fills `pieces` from `offset`; the result is less than their sum only at the end of the file. Throws io_error.
[[nodiscard]] std::uint64_t read_pieces(int fd, std::span<iovec> pieces, std::uint64_t offset);

/// Bytes by position: a file, or memory in tests and fuzzers.
class Source {
public:
    Source() = default;
    virtual ~Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

    /// Bytes read; less than out.size() only at the end.
    [[nodiscard]] virtual std::size_t read(std::uint64_t offset, std::span<std::byte> out) const = 0;
    [[nodiscard]] virtual std::uint64_t size() const = 0;
};

/// A file by its descriptor, which must stay open. The size is asked once.
class FileSource final : public Source {
public:
    explicit FileSource(int fd);
    [[nodiscard]] std::size_t read(std::uint64_t offset, std::span<std::byte> out) const override;
    [[nodiscard]] std::uint64_t size() const override { return size_; }

private:
    int fd_;
    std::uint64_t size_;
};

class MemorySource final : public Source {
public:
    explicit MemorySource(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
    [[nodiscard]] std::size_t read(std::uint64_t offset, std::span<std::byte> out) const override;
    [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }

private:
    std::span<const std::byte> bytes_;
};

[[nodiscard]] std::uint64_t file_size(int fd);
/// "000000000012.pack"
[[nodiscard]] std::string pack_file_name(std::uint64_t number);

}  // namespace hilum::pack
