// SPDX-License-Identifier: Apache-2.0
// Objects out of files: read (or mapped, when large), scanned and hashed in one go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hilum/checksum.hpp"
#include "hilum/dicom/scan.hpp"
#include "hilum/error.hpp"

namespace hilum::dicom {

/// Files above this are mapped, not read.
inline constexpr std::uint64_t kDefaultMaxBytes = 256ULL << 20;

/// The bytes of a file, in memory of its own or mapped read-only. Immutable; may be shared between threads.
class FileBytes {
public:
    /// Opens, stats, reads and closes. Errors: not_found, io_error, out_of_memory; not_dicom for what is no regular
    /// file. The size is that of the moment of opening: bytes appended later are not seen, a file that shrinks while it
    /// is read is as long as what was read.
    FileBytes(const std::string& path, std::uint64_t max_bytes);
    ~FileBytes();
    FileBytes(FileBytes&& other) noexcept;
    FileBytes& operator=(FileBytes&&) = delete;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
    [[nodiscard]] bool mapped() const noexcept { return mapped_; }

private:
    void read(int descriptor);
    void map(int descriptor);

    std::unique_ptr<std::byte[]> owned_;
    std::size_t capacity_ = 0;
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    bool mapped_ = false;
};

/// A scan and the checksums of all bytes.
struct HashedScan {
    ScanResult result;
    std::optional<Sha256Digest> sha256;
    std::optional<std::uint32_t> crc32c;
};

/// scan(), then the checksums unless `hashes` is false (refused objects cost no hashing).
[[nodiscard]] HashedScan scan_and_hash(std::span<const std::byte> object, bool hashes, bool storable = true);

struct ScannedFile {
    HashedScan scan;
    std::optional<FileBytes> bytes;  ///< none if the file was mapped
};

/// Above `max_bytes` the file is mapped, scanned and not hashed: it will be streamed into its pack, and hashed there.
[[nodiscard]] ScannedFile scan_file(const std::string& path, std::uint64_t max_bytes = kDefaultMaxBytes);

/// One of many: a file or why it was refused.
struct FileOutcome {
    std::optional<ScannedFile> file;
    std::optional<Error> error;
};

/// As scan_file for each; an error concerns its own file only. The bytes of all files are held at once.
[[nodiscard]] std::vector<FileOutcome> scan_many(std::span<const std::string> paths, std::uint64_t max_bytes);

}  // namespace hilum::dicom
