// SPDX-License-Identifier: Apache-2.0
// Appending to one pack. What append() and finish() return is on stable storage; what they refuse has left no trace.
// Thread-compatible: the caller serialises calls on one writer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hilum/checksum.hpp"
#include "hilum/pack/direct.hpp"
#include "hilum/pack/format.hpp"
#include "hilum/pack/io.hpp"
#include "hilum/pack/reader.hpp"

namespace hilum::pack {

struct NewRecord {
    std::uint16_t kind = 0;
    std::uint32_t flags = 0;
    std::uint64_t received_ns = 0;
    std::vector<std::span<const std::byte>> pieces;  ///< the payload, in order
    std::optional<Digest> sha256;                    ///< computed if absent
    std::optional<std::uint32_t> crc;                ///< compared if present: bytes that changed since are refused
};

/// Where a record's payload lies, and its digests.
struct Placed {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t sequence = 0;
    std::uint32_t crc = 0;
    Digest sha256{};
};

/// What opening a pack for writing found.
struct Recovery {
    enum class State {
        open,     ///< may be appended to
        sealed,   ///< finished
        locked,   ///< another process or store is writing to it
        unborn,   ///< its creation did not finish; it held nothing and was removed
        damaged,  ///< its file header is damaged; readable, not writable
        gone,     ///< removed meanwhile
    };
    State state = State::open;
    std::uint64_t end = 0;  ///< end of the last whole record
    std::uint64_t cut = 0;  ///< bytes of an unfinished append that were cut off
    std::uint64_t suspect =
        0;  ///< bytes at the end that are damaged and may have been acknowledged: left in place, sealed
    std::uint64_t missing = 0;  ///< bytes that were acknowledged but are not there
};

/// A record that is being written in pieces.
struct OpenRecord {
    RecordHeader header;
    std::uint64_t written = 0;
    std::uint64_t flushed = 0;
    BlockChecksums sums;
    Sha256 sha;
};

class PackWriter {
public:
    /// Makes a new pack, durable with its directory entry. Null if `number` is taken.
    [[nodiscard]] static std::unique_ptr<PackWriter> create(const std::string& directory, std::uint64_t number,
                                                            const Uuid& archive, Io& io = Io::system());

    /// Opens a pack that nobody writes to, after recovery: what is in it is flushed, forgotten by the page cache and
    /// read again; an unfinished append at the end is cut off. Null unless `recovery.state` is open. `known` is an end
    /// of records up to which everything is known to be good (what the index holds), or 0: the walk starts there, and
    /// if less is left than that, the pack is damaged and is sealed as it is. Without `writing` only the recovery is
    /// done.
    [[nodiscard]] static std::unique_ptr<PackWriter> adopt(const std::string& directory, std::uint64_t number,
                                                           const Uuid& archive, std::uint64_t known, bool writing,
                                                           Recovery& recovery, Io& io = Io::system());

    ~PackWriter();
    PackWriter(const PackWriter&) = delete;
    PackWriter& operator=(const PackWriter&) = delete;

    /// Appends all records with one pwritev (more if IOV_MAX or DirectOutput asks for it) and one fdatasync. Throws
    /// no_space, read_only, io_error having cut the file back; bad_record if a given CRC is not that of the payload.
    /// After a failed flush, or if cutting back fails, usable() is false and the pack is sealed at its last good
    /// record.
    [[nodiscard]] std::vector<Placed> append(std::span<const NewRecord> records);

    /// A record that does not fit into memory: begin, any number of writes, finish. The payload is flushed before its
    /// header is written, so a header never promises bytes that are not there.
    void begin(std::uint16_t kind, std::uint32_t flags, std::uint64_t received_ns, std::uint64_t length);
    void write(std::span<const std::byte> data);
    [[nodiscard]] Placed finish();
    /// Ends a record that was begun, without a trace.
    void cancel();
    /// begin, write, finish with the next `length` bytes of a descriptor in pieces of 1 MiB. Throws truncated if there
    /// are fewer.
    [[nodiscard]] Placed append_from(int fd, std::uint16_t kind, std::uint32_t flags, std::uint64_t received_ns,
                                     std::uint64_t length);

    /// Ends the pack: durable, then closed. The writer is of no use afterwards.
    void seal(SealReason reason);
    /// Closes without sealing; the pack may be adopted by anyone.
    void close() noexcept;
    /// In the child of a fork: closes the inherited descriptor; the parent's lock stays.
    void forget() noexcept { file_.reset(); }

    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
    /// End of the last record.
    [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
    /// False after a failed flush, after seal() and close().
    [[nodiscard]] bool usable() const noexcept { return usable_ && static_cast<bool>(file_); }

private:
    PackWriter(Descriptor file, std::uint64_t number, std::uint64_t salt, Io& io) noexcept
        : file_(std::move(file)), number_(number), salt_(salt), io_(&io) {}

    [[nodiscard]] static bool is_unborn(const Descriptor& file);
    void recover(std::uint64_t known, bool writing, Recovery& recovery);
    void flush_untouched();
    void cut_tail(Recovery& recovery);
    void append_mark(std::uint64_t sequence);
    void write_seal(SealReason reason, std::uint64_t suspect_from, std::uint64_t at);
    [[nodiscard]] SealPayload counted() const;
    [[nodiscard]] RecordHeader next_header(std::uint64_t offset) const noexcept;
    void require_usable() const;
    void flush();
    void write_or_cut(std::vector<iovec>& pieces, std::uint64_t offset);
    void cut_back() noexcept;
    void abandon() noexcept;

    Descriptor file_;
    std::uint64_t number_ = 0;
    std::uint64_t salt_ = 0;
    std::uint64_t end_ = 0;       // after the last record; 0 while that is not known: nothing is cut then
    std::uint64_t sequence_ = 0;  // of the last record
    bool usable_ = true;
    std::optional<OpenRecord> stream_;
    DirectOutput direct_;
    Io* io_;
};

}  // namespace hilum::pack
