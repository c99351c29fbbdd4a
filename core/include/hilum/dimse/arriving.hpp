// SPDX-License-Identifier: Apache-2.0
// One object while it arrives: in memory, from a size on in a file, hashed on the way. What is received goes straight
// to where it stays.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "hilum/checksum.hpp"
#include "hilum/pack/io.hpp"

namespace hilum::dimse {

/// Bytes in memory that all arriving objects of a process share. Thread-safe.
class MemoryBudget {
public:
    explicit MemoryBudget(std::uint64_t limit) noexcept : limit_(limit) {}
    /// Adds to the sum; whether it is within the limit. It is added in any case.
    [[nodiscard]] bool take(std::uint64_t count) noexcept { return used_.fetch_add(count) + count <= limit_; }
    void give_back(std::uint64_t count) noexcept { used_.fetch_sub(count); }
    [[nodiscard]] std::uint64_t used() const noexcept { return used_.load(); }

private:
    std::uint64_t limit_;
    std::atomic<std::uint64_t> used_{0};
};

struct SpoolSettings {
    std::string folder;                           ///< made when first needed; empty: large objects are refused
    std::uint64_t spool_above_bytes = 8U << 20U;  ///< larger objects go to a file
    std::uint64_t max_object_bytes = 64ULL << 30U;
};

/// Memory of an object; immutable once it is complete.
class ObjectBytes {
public:
    explicit ObjectBytes(std::shared_ptr<MemoryBudget> budget) noexcept : budget_(std::move(budget)) {}
    ~ObjectBytes() { clear(); }
    ObjectBytes(const ObjectBytes&) = delete;
    ObjectBytes& operator=(const ObjectBytes&) = delete;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
    [[nodiscard]] std::span<std::byte> free_space() noexcept { return {data_ + size_, capacity_ - size_}; }
    void added(std::size_t count) noexcept { size_ += count; }
    void restart() noexcept { size_ = 0; }
    /// False if the process holds more than its budget now. Throws out_of_memory.
    [[nodiscard]] bool reserve(std::size_t capacity);
    void clear() noexcept;

private:
    std::shared_ptr<MemoryBudget> budget_;
    std::byte* data_ = nullptr;  // of malloc: grown in place where the system can
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

/// A file of the spool, locked (shared) against the cleaning of leftovers; deleted with this object.
class SpoolFile {
public:
    /// Makes the file under a new name. Throws no_space, read_only, io_error.
    explicit SpoolFile(const std::string& folder);
    ~SpoolFile();
    SpoolFile(const SpoolFile&) = delete;
    SpoolFile& operator=(const SpoolFile&) = delete;

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// Appends. Throws as the constructor.
    void write(std::span<const std::byte> data);

private:
    std::string path_;
    pack::Descriptor file_;
    std::uint64_t size_ = 0;
};

class Arriving {
public:
    /// `expected` bytes are likely (as the object before it had): with them it is not moved while it grows.
    /// `settings` must outlive it.
    Arriving(const SpoolSettings& settings, std::shared_ptr<MemoryBudget> budget, std::size_t expected = 0);

    /// Where the next bytes are to be put, at least one and usually `wanted`; call filled() then. Throws
    /// out_of_memory; no_space, read_only, io_error of the spool.
    [[nodiscard]] std::span<std::byte> room(std::size_t wanted);
    /// Throws limit_exceeded beyond max_object_bytes.
    void filled(std::size_t count);
    /// room() and filled() with a copy.
    void write(std::span<const std::byte> data);
    /// After the last byte. Throws as room().
    void finish();

    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    [[nodiscard]] Sha256Digest sha256() const { return sha_.digest(); }
    [[nodiscard]] std::uint32_t crc32c() const noexcept { return crc_.value(); }
    /// After finish(): the bytes, unless they are in a file.
    [[nodiscard]] std::shared_ptr<ObjectBytes> bytes() const noexcept { return file_ ? nullptr : memory_; }
    [[nodiscard]] std::shared_ptr<SpoolFile> file() const noexcept { return file_; }

private:
    void spill();
    void write_out();

    const SpoolSettings& settings_;
    std::shared_ptr<ObjectBytes> memory_;  // once there is a file: what was not written yet
    std::shared_ptr<SpoolFile> file_;
    std::size_t expected_;
    std::uint64_t size_ = 0;
    Sha256 sha_;
    Crc32c crc_;
};

}  // namespace hilum::dimse
