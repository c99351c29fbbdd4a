// SPDX-License-Identifier: Apache-2.0
#include "hilum/dimse/arriving.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "hilum/error.hpp"

namespace hilum::dimse {
namespace {

constexpr std::size_t kFirst = 64U << 10U;
constexpr std::size_t kStaging = 256U << 10U;
constexpr std::size_t kMostExpected = 4U << 20U;
constexpr std::size_t kStep = 1U << 20U;  // not more is allocated on the word of a length field

std::string new_name() {
    std::array<unsigned char, 16> random{};
    if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
        throw pack::system_error("no random bytes", errno);
    }
    constexpr char kDigits[] = "0123456789abcdef";
    std::string name;
    for (const unsigned char byte : random) {
        name += kDigits[byte >> 4U];
        name += kDigits[byte & 15U];
    }
    return name + ".part";
}

}  // namespace

bool ObjectBytes::reserve(std::size_t capacity) {
    if (capacity <= capacity_) {
        return true;
    }
    void* const grown = std::realloc(data_, capacity);
    if (grown == nullptr) {
        throw Error(Errc::out_of_memory, "not enough memory for an arriving object");
    }
    data_ = static_cast<std::byte*>(grown);
    const std::size_t more = capacity - capacity_;
    capacity_ = capacity;
    return budget_->take(more);
}

void ObjectBytes::clear() noexcept {
    std::free(data_);
    budget_->give_back(capacity_);
    data_ = nullptr;
    size_ = capacity_ = 0;
}

SpoolFile::SpoolFile(const std::string& folder) {
    if (::mkdir(folder.c_str(), 0750) != 0 && errno != EEXIST) {
        throw pack::system_error("the folder of arriving objects cannot be made", errno);
    }
    std::string path = folder + "/" + new_name();
    file_ = pack::Descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (!file_) {
        throw pack::system_error("an arriving object cannot be written to disk", errno);
    }
    path_ = std::move(path);
    static_cast<void>(::flock(file_.get(), LOCK_SH | LOCK_NB));
}

SpoolFile::~SpoolFile() {
    if (!path_.empty()) {
        ::unlink(path_.c_str());
    }
}

void SpoolFile::write(std::span<const std::byte> data) {
    std::vector<iovec> pieces{{const_cast<std::byte*>(data.data()), data.size()}};
    const int status = pack::write_all(pack::Io::system(), file_.get(), pieces, size_);
    if (status < 0) {
        throw pack::system_error("an arriving object cannot be written to disk", -status);
    }
    size_ += data.size();
}

Arriving::Arriving(const SpoolSettings& settings, std::shared_ptr<MemoryBudget> budget, std::size_t expected)
    : settings_(settings),
      memory_(std::make_shared<ObjectBytes>(std::move(budget))),
      expected_(std::min(expected, kMostExpected)) {}

std::span<std::byte> Arriving::room(std::size_t wanted) {
    const std::size_t used = memory_->bytes().size();
    const std::size_t free = memory_->free_space().size();
    wanted = std::clamp<std::size_t>(wanted, 1, kStep);
    if (file_) {
        if (free == 0) {
            write_out();
        }
        return memory_->free_space();
    }
    if (free < wanted) {
        if (used > settings_.spool_above_bytes) {
            spill();
            return memory_->free_space();
        }
        // The next fragment whole, and room to double: few copies, and never much more than has arrived.
        const std::size_t most = static_cast<std::size_t>(settings_.spool_above_bytes) + kStep;
        if (!memory_->reserve(std::min(std::max({used + wanted, 2 * used, expected_, kFirst}), most))) {
            spill();
        }
    }
    return memory_->free_space();
}

void Arriving::filled(std::size_t count) {
    const std::span<const std::byte> added = memory_->free_space().first(count);
    size_ += count;
    if (size_ > settings_.max_object_bytes) {
        throw Error(Errc::limit_exceeded,
                    "the object is larger than the limit of " + std::to_string(settings_.max_object_bytes) + " bytes");
    }
    sha_.update(added);
    crc_.update(added);
    memory_->added(count);
}

void Arriving::write(std::span<const std::byte> data) {
    while (!data.empty()) {
        const std::span<std::byte> place = room(data.size());
        const std::size_t count = std::min(place.size(), data.size());
        std::copy_n(data.begin(), count, place.begin());
        filled(count);
        data = data.subspan(count);
    }
}

void Arriving::spill() {
    if (settings_.folder.empty()) {
        throw Error(Errc::limit_exceeded, "the object is larger than what may be held in memory");
    }
    file_ = std::make_shared<SpoolFile>(settings_.folder);
    write_out();
    memory_->clear();
    static_cast<void>(memory_->reserve(kStaging));
}

void Arriving::write_out() {
    file_->write(memory_->bytes());
    memory_->restart();
}

void Arriving::finish() {
    if (file_) {
        write_out();
        memory_->clear();
    } else if (size_ > settings_.spool_above_bytes) {
        spill();
        memory_->clear();
    }
}

}  // namespace hilum::dimse
