// SPDX-License-Identifier: Apache-2.0
// Reading packs: one record by its place, all records in order, and what is left of a damaged file. Everything is
// verified before it is handed out: header checksum, salt (archive, pack), own offset, payload checksum by blocks.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "hilum/pack/format.hpp"
#include "hilum/pack/io.hpp"

namespace hilum::pack {

/// An open pack. Immutable after open(); any number of threads may use it.
class PackFile {
public:
    /// `directory` holds the packs. Throws not_found if there is no such pack, bad_record if it belongs to another
    /// archive or another number, bad_format_version. A damaged file header is not an error as long as the first record
    /// is whole: the salt is taken from there and `header_damage()` says so.
    [[nodiscard]] static std::shared_ptr<const PackFile> open(const std::string& directory, std::uint64_t number,
                                                              const Uuid& archive);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
    [[nodiscard]] std::uint64_t salt() const noexcept { return salt_; }
    [[nodiscard]] std::uint64_t created_ns() const noexcept { return created_ns_; }
    /// Empty if the file header is as it was written.
    [[nodiscard]] const std::string& header_damage() const noexcept { return header_damage_; }

private:
    PackFile() = default;

    Descriptor fd_;
    std::uint64_t number_ = 0;
    std::uint64_t salt_ = 0;
    std::uint64_t created_ns_ = 0;
    std::string header_damage_;
};

/// Salt of the pack in `source`; throws as PackFile::open. `damage` gets what is wrong with a header that could be
/// worked around.
[[nodiscard]] std::uint64_t read_salt(const Source& source, std::uint64_t number, const Uuid& archive,
                                      FileHeader& header, std::string& damage);

/// The seal at the end of the file, if it is sealed.
[[nodiscard]] std::optional<SealPayload> find_seal(const Source& source, std::uint64_t salt);

/// Reads the record's payload, block table and padding and compares every checksum, SHA-256 too if `hash`.
/// Null if all is well, else what is wrong.
[[nodiscard]] const char* check_payload(const Source& source, const RecordHeader& header, bool hash);

struct Step {
    enum class What { record, bad, end };
    What what = What::end;
    RecordHeader header;       ///< of a record; of a bad one only if `has_header`
    bool has_header = false;   ///< the header is whole, the payload is not
    std::uint64_t offset = 0;  ///< first byte of the record or of the bad range
    std::uint64_t end = 0;     ///< first byte after it
    const char* reason = "";   ///< why it is bad
};

/// What follows the last record of a file that is not sealed.
enum class Tail {
    none,     ///< nothing
    torn,     ///< an append that did not finish: cut short by the end of the file, or its header was never written
    suspect,  ///< complete as far as its length goes, yet damaged: it may have been acknowledged
};

/// Visits the records of a pack in order. Where a header is bad it searches for the next one that is whole, carries
/// this pack's salt, names its own offset and continues the sequence; fake headers inside of payloads fulfil none of
/// these.
class Walker {
public:
    struct Options {
        bool check = false;      ///< verify payload checksums
        bool hash = false;       ///< verify SHA-256 too
        bool own_kinds = false;  ///< also return marks and seals
    };

    /// `source` must outlive the walker. `start` is the offset of a record, or the end of the file.
    Walker(const Source& source, std::uint64_t salt, std::uint64_t start, Options options);

    [[nodiscard]] Step next();

    /// Offset after the last step.
    [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
    /// Sequence of the last whole record, 0 before the first.
    [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }
    [[nodiscard]] bool sealed() const noexcept { return sealed_; }
    /// After `end`: what lies from position() to the end of the file.
    [[nodiscard]] Tail tail() const noexcept { return tail_; }

private:
    static constexpr std::size_t kWindow = 64 * 1024;

    [[nodiscard]] std::span<const std::byte> view(std::uint64_t offset, std::size_t bytes);
    [[nodiscard]] const char* header_at(std::uint64_t offset, RecordHeader& out);
    [[nodiscard]] bool plausible(const RecordHeader& header, std::uint64_t offset) const noexcept;
    [[nodiscard]] bool fits(const RecordHeader& header) const noexcept;
    [[nodiscard]] std::optional<std::uint64_t> resync(std::uint64_t from);
    [[nodiscard]] bool at_end(Step& step);
    [[nodiscard]] bool take(const RecordHeader& header, Step& step);

    const Source& source_;
    std::uint64_t salt_;
    std::uint64_t size_;
    std::uint64_t position_;
    std::uint64_t sequence_ = 0;
    std::uint64_t bad_from_ = 0;  // while skipping a bad range: its start
    Options options_;
    bool in_sequence_;  // sequence_ is known
    bool sealed_ = false;
    Tail tail_ = Tail::none;
    std::vector<std::byte> window_;
    std::uint64_t window_offset_ = 0;
    std::size_t window_bytes_ = 0;
};

/// Open packs of one archive by number: at most `max_open` descriptors, thread-safe. Before fork() the caller takes
/// `lock()` and afterwards gives it back in both processes.
class PackReader {
public:
    PackReader(std::string directory, const Uuid& archive, std::size_t max_open)
        : directory_(std::move(directory)), archive_(archive), max_open_(max_open == 0 ? 1 : max_open) {}

    /// Throws not_found for a pack that is not there (any more).
    [[nodiscard]] std::shared_ptr<const PackFile> file(std::uint64_t number);

    /// Bytes [start, start + out.size()) of the payload at `offset` with `length` bytes. Throws bad_record if there is
    /// no such record or its bytes are damaged, also if `expected_crc` is not the record's; out_of_range for a range
    /// outside of the payload. Nothing of `out` may be used after a throw.
    void read(std::uint64_t number, std::uint64_t offset, std::uint64_t length, std::uint64_t start,
              std::span<std::byte> out, std::optional<std::uint32_t> expected_crc);
    /// Header of the record whose payload is at `offset` with `length` bytes.
    [[nodiscard]] RecordHeader header(std::uint64_t number, std::uint64_t offset, std::uint64_t length);

    /// Forgets the open file of one pack, or of all.
    void drop(std::uint64_t number);
    void clear();
    [[nodiscard]] std::size_t open_files();
    /// Closes packs that were removed, also by other processes: their space is free only then. Done by itself every few
    /// seconds.
    void sweep();

    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

private:
    struct Slot {
        std::shared_ptr<const PackFile> file;
        std::list<std::uint64_t>::iterator age;
    };

    void sweep_locked();
    [[nodiscard]] std::shared_ptr<const PackFile> open_or_make_room(std::uint64_t number);

    std::string directory_;
    Uuid archive_;
    std::size_t max_open_;
    std::mutex mutex_;
    std::chrono::steady_clock::time_point swept_ = std::chrono::steady_clock::now();
    std::list<std::uint64_t> ages_;  // most recently used first
    std::unordered_map<std::uint64_t, Slot> slots_;
};

}  // namespace hilum::pack
