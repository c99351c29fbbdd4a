// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/scan_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <mutex>
#include <new>
#include <system_error>
#include <utility>

#include "hilum/dicom/map_guard.hpp"

namespace hilum::dicom {
namespace {

/// Paths may name patients, so messages do not name paths; the caller knows which file it was.
[[noreturn]] void fail(const char* what) {
    const int number = errno;
    const Errc code = number == ENOENT || number == ENOTDIR ? Errc::not_found
                      : number == ENOMEM                    ? Errc::out_of_memory
                                                            : Errc::io_error;
    throw Error(code, std::string(what) + ": " + std::generic_category().message(number));
}

class Descriptor {
public:
    explicit Descriptor(const std::string& path)
        // Without O_NONBLOCK a named pipe would stop the import for good.
        : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
        if (number_ < 0) {
            fail("the file cannot be opened");
        }
    }
    ~Descriptor() { ::close(number_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int number() const noexcept { return number_; }

private:
    int number_;
};

/// Memory of files that were let go, for the next ones: fresh memory costs a page fault for every 4 KiB.
class Spare {
public:
    /// Of at least `size` bytes; its capacity is put there.
    std::unique_ptr<std::byte[]> take(std::size_t size, std::size_t& capacity) {
        {
            const std::lock_guard lock(mutex_);
            const auto fits = [size](const Block& one) { return one.capacity >= size && one.capacity / 2 <= size; };
            const auto found = std::find_if(blocks_.rbegin(), blocks_.rend(), fits);  // the warmest first
            if (found != blocks_.rend()) {
                auto bytes = std::move(found->bytes);
                capacity = found->capacity;
                held_ -= capacity;
                blocks_.erase(std::next(found).base());
                return bytes;
            }
        }
        capacity = (size + kStep - 1) / kStep * kStep;
        return std::make_unique_for_overwrite<std::byte[]>(capacity);
    }
    void give(std::unique_ptr<std::byte[]> bytes, std::size_t capacity) noexcept {
        const std::lock_guard lock(mutex_);
        if (capacity >= kSmallest && held_ + capacity <= kMost && blocks_.size() < blocks_.capacity()) {
            blocks_.push_back({std::move(bytes), capacity});
            held_ += capacity;
        }
    }
    static Spare& of_process() {
        static auto* const spare = new Spare;  // files may be let go while the process ends
        return *spare;
    }

private:
    static constexpr std::size_t kStep = 64U << 10U;
    static constexpr std::size_t kSmallest = 128U << 10U;  // the C library keeps smaller ones itself
    static constexpr std::size_t kMost = 48U << 20U;
    struct Block {
        std::unique_ptr<std::byte[]> bytes;
        std::size_t capacity;
    };
    Spare() { blocks_.reserve(kMost / kSmallest); }
    std::mutex mutex_;
    std::vector<Block> blocks_;
    std::size_t held_ = 0;
};

}  // namespace

FileBytes::FileBytes(const std::string& path, std::uint64_t max_bytes) {
    const Descriptor file(path);
    struct stat status{};
    if (::fstat(file.number(), &status) != 0) {
        fail("the file cannot be examined");
    }
    if (!S_ISREG(status.st_mode)) {
        throw Error(Errc::not_dicom, "not a regular file");
    }
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ > max_bytes) {
        map(file.number());
    } else {
        read(file.number());
    }
}

void FileBytes::read(int descriptor) {
    owned_ = Spare::of_process().take(size_, capacity_);
    constexpr std::size_t kStep = 1U << 30U;
    std::size_t filled = 0;
    while (filled < size_) {
        const ssize_t count = ::read(descriptor, owned_.get() + filled, std::min(size_ - filled, kStep));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            fail("the file cannot be read");
        }
        if (count == 0) {
            break;
        }
        filled += static_cast<std::size_t>(count);
    }
    size_ = filled;
    data_ = owned_.get();
}

void FileBytes::map(int descriptor) {
    void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) {
        fail("the file cannot be mapped");
    }
    // A scan jumps from item to item: reading ahead would fetch the pixels.
    ::madvise(address, size_, MADV_RANDOM);
    data_ = static_cast<const std::byte*>(address);
    mapped_ = true;
}

FileBytes::FileBytes(FileBytes&& other) noexcept
    : owned_(std::move(other.owned_)),
      capacity_(std::exchange(other.capacity_, 0)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, false)) {}

FileBytes::~FileBytes() {
    if (mapped_) {
        ::munmap(const_cast<std::byte*>(data_), size_);
    } else if (owned_) {
        Spare::of_process().give(std::move(owned_), capacity_);
    }
}

HashedScan scan_and_hash(std::span<const std::byte> object, bool hashes, bool storable) {
    HashedScan scanned{scan(object, storable), std::nullopt, std::nullopt};
    if (hashes) {
        scanned.crc32c = crc32c(object);
        scanned.sha256 = sha256(object);
    }
    return scanned;
}

/// As scan_and_hash without hashes; io_error if the file lost its end, or could not be read, meanwhile.
static HashedScan scan_mapped(std::span<const std::byte> mapped) {
    const MapGuard guard(mapped);
    const auto check = [&] {
        if (guard.broken()) {
            throw Error(Errc::io_error, "the file was cut short, or could not be read, while it was scanned");
        }
    };
    try {
        HashedScan scanned = scan_and_hash(mapped, false);
        check();
        return scanned;
    } catch (const Error&) {
        check();
        throw;
    }
}

ScannedFile scan_file(const std::string& path, std::uint64_t max_bytes) {
    FileBytes bytes(path, max_bytes);
    if (bytes.mapped()) {
        return {scan_mapped(bytes.bytes()), std::nullopt};
    }
    ScannedFile file{scan_and_hash(bytes.bytes(), true), std::nullopt};
    file.bytes.emplace(std::move(bytes));
    return file;
}

std::vector<FileOutcome> scan_many(std::span<const std::string> paths, std::uint64_t max_bytes) {
    std::vector<FileOutcome> outcomes(paths.size());
    for (std::size_t i = 0; i < paths.size(); ++i) {
        try {
            outcomes[i].file.emplace(scan_file(paths[i], max_bytes));
        } catch (const Error& error) {
            outcomes[i].error.emplace(error);
        } catch (const std::bad_alloc&) {
            outcomes[i].error.emplace(Errc::out_of_memory, "not enough memory for the file");
        }
    }
    return outcomes;
}

}  // namespace hilum::dicom
