// SPDX-License-Identifier: Apache-2.0
// Packs: what comes out is what went in; whatever fails, forgets or flips, nothing wrong comes out.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "check.hpp"
#include "hilum/pack/reader.hpp"
#include "hilum/pack/writer.hpp"

using namespace hilum;
using namespace hilum::pack;

namespace {

using Bytes = std::vector<std::byte>;

const Uuid kArchive{std::byte{1}, std::byte{2}, std::byte{3}};

/// A folder that goes away at the end.
class Folder {
public:
    Folder() {
        // Thousands of flushes: in memory where that is possible.
        std::string pattern = std::string(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/packXXXXXX";
        path_ = ::mkdtemp(pattern.data());
    }
    ~Folder() { (void)!std::system(("rm -rf " + path_).c_str()); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string pack(std::uint64_t number = 1) const { return path_ + "/" + pack_file_name(number); }

private:
    std::string path_;
};

Bytes random_bytes(std::size_t size, unsigned seed = 7) {
    std::minstd_rand random(seed + static_cast<unsigned>(size));
    Bytes bytes(size);
    std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<std::byte>(random() >> 8U); });
    return bytes;
}

Bytes read_file(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(stream)), {});
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return {data, data + text.size()};
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
    std::ofstream stream(path, std::ios::binary | std::ios::trunc);
    stream.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

NewRecord record_of(const Bytes& payload) {
    NewRecord record;
    record.kind = 1;
    record.received_ns = 5;
    record.pieces = {std::span(payload).first(payload.size() / 2), std::span(payload).subspan(payload.size() / 2)};
    return record;
}

Placed append_one(PackWriter& writer, const Bytes& payload) {
    const NewRecord record = record_of(payload);
    return writer.append({&record, 1})[0];
}

Bytes read_back(const std::string& directory, const Placed& placed) {
    PackReader reader(directory, kArchive, 4);
    Bytes out(placed.length);
    reader.read(1, placed.offset, placed.length, 0, out, placed.crc);
    return out;
}

struct Seen {
    std::vector<std::uint64_t> good;  // offsets of payloads
    std::vector<std::pair<std::uint64_t, std::uint64_t>> bad;
    Tail tail = Tail::none;
};

Seen walk(std::span<const std::byte> bytes, bool check) {
    Seen seen;
    const MemorySource source(bytes);
    FileHeader header;
    std::string damage;
    Walker walker(source, read_salt(source, 1, kArchive, header, damage), kFileHeaderBytes, {check, check, false});
    for (Step step = walker.next(); step.what != Step::What::end; step = walker.next()) {
        if (step.what == Step::What::record) {
            seen.good.push_back(step.offset + kRecordHeaderBytes);
        } else {
            seen.bad.emplace_back(step.offset, step.end);
        }
    }
    seen.tail = walker.tail();
    return seen;
}

/// Fails the k-th call with an error; shortens writes.
class FaultyIo final : public Io {
public:
    int fail_write = 0;  // number of the pwritev that fails, from 1
    int fail_sync = 0;
    int fail_cut = 0;
    int error = EIO;
    std::size_t most = SIZE_MAX;  // bytes that one pwritev writes
    int interrupts = 0;
    bool no_direct = false;  // as a file system without direct writing
    int direct = 0;          // writes past the page cache
    int writes = 0;
    int syncs = 0;
    int cuts = 0;

    std::int64_t pwritev(int fd, std::span<const iovec> pieces, std::uint64_t offset) override {
        if (interrupts > 0) {
            --interrupts;
            return -EINTR;
        }
        if ((::fcntl(fd, F_GETFL) & O_DIRECT) != 0) {
            if (no_direct) {
                return -EINVAL;
            }
            ++direct;
        }
        if (++writes == fail_write) {
            iovec first = pieces[0];  // some of it was written before the disk was full
            first.iov_len = std::min<std::size_t>(first.iov_len, 100);
            (void)Io::pwritev(fd, {&first, 1}, offset);
            return -error;
        }
        iovec first = pieces[0];
        if (most != SIZE_MAX) {
            first.iov_len = std::min(first.iov_len, most);
            return Io::pwritev(fd, {&first, 1}, offset);
        }
        return Io::pwritev(fd, pieces, offset);
    }
    int fdatasync(int fd) override { return ++syncs == fail_sync ? -error : Io::fdatasync(fd); }
    int ftruncate(int fd, std::uint64_t size) override { return ++cuts == fail_cut ? -error : Io::ftruncate(fd, size); }
};

}  // namespace

HILUM_TEST("checksums of parts combine to that of the whole", {
    for (const std::size_t size : {0U, 1U, 65535U, 65536U, 65537U, 131072U, 300001U}) {
        const Bytes bytes = random_bytes(size);
        BlockChecksums sums;
        for (std::size_t at = 0; at < size; at += 1 + at % 70001) {
            sums.update(std::span(bytes).subspan(at, std::min<std::size_t>(1 + at % 70001, size - at)));
        }
        sums.finish();
        HILUM_CHECK(sums.crc() == crc32c(bytes));
        HILUM_CHECK(sums.table().size() == 4 * table_entries(size));
        const std::size_t cut = size / 3;
        HILUM_CHECK(crc32c_combine(crc32c(std::span(bytes).first(cut)), crc32c(std::span(bytes).subspan(cut)),
                                   size - cut) == crc32c(bytes));
    }
});

HILUM_TEST("headers survive encoding and notice any flipped bit", {
    const FileHeader file{kArchive, 12, 34, {std::byte{9}}};
    std::array<std::byte, kFileHeaderBytes> bytes{};
    encode_file_header(file, bytes);
    HILUM_CHECK(decode_file_header(bytes).number == 12 && decode_file_header(bytes).archive == kArchive);
    bytes[4000] ^= std::byte{1};
    HILUM_CHECK_THROWS(Errc::bad_record, decode_file_header(bytes));
    RecordHeader record;
    record.kind = 2;
    record.sequence = 3;
    record.group = 2;
    record.offset = 4096;
    record.payload_length = 99;
    std::array<std::byte, kRecordHeaderBytes> text{};
    encode_record_header(record, text);
    RecordHeader decoded;
    HILUM_CHECK(decode_record_header(text, decoded));
    HILUM_CHECK(decoded.kind == 2 && decoded.sequence == 3 && decoded.payload_length == 99 && decoded.offset == 4096);
    for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
        text[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
        HILUM_CHECK(!decode_record_header(text, decoded));
        text[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    }
});

HILUM_TEST("what is appended is read back, in parts too", {
    const Folder folder;
    const auto writer = PackWriter::create(folder.path(), 1, kArchive);
    HILUM_CHECK(PackWriter::create(folder.path(), 1, kArchive) == nullptr);
    PackReader reader(folder.path(), kArchive, 2);
    for (const std::size_t size : {0U, 1U, 9U, 65536U, 65537U, 200000U}) {
        const Bytes payload = random_bytes(size);
        const Placed placed = append_one(*writer, payload);
        for (std::size_t start = 0; start <= size; start += 1 + size / 7) {
            Bytes out(std::min<std::size_t>(size - start, 1 + size / 3));
            reader.read(1, placed.offset, size, start, out, std::nullopt);
            HILUM_CHECK(std::equal(out.begin(), out.end(), payload.begin() + static_cast<std::ptrdiff_t>(start)));
        }
        Bytes past(2);
        HILUM_CHECK_THROWS(Errc::out_of_range, reader.read(1, placed.offset, size, size, past, std::nullopt));
    }
    HILUM_CHECK_THROWS(Errc::not_found, reader.file(2));
});

HILUM_TEST("short writes, interruptions and thousands of pieces end in whole records", {
    const Folder folder;
    FaultyIo io;
    const auto writer = PackWriter::create(folder.path(), 1, kArchive, io);
    const Bytes payload = random_bytes(5000);
    io.most = 777;
    io.interrupts = 3;
    const Placed slow = append_one(*writer, payload);
    HILUM_CHECK(read_back(folder.path(), slow) == payload);
    io.most = SIZE_MAX;
    const Bytes small = random_bytes(400);  // less in all than what is written directly
    std::vector<NewRecord> many(1500, record_of(small));
    io.writes = 0;
    io.syncs = 0;
    const std::vector<Placed> placed = writer->append(many);
    HILUM_CHECK(io.syncs == 1);
    HILUM_CHECK(io.writes == 5);  // 1500 x (header, 2 pieces, no padding) by 1024
    HILUM_CHECK(read_back(folder.path(), placed.back()) == small);
    HILUM_CHECK(walk(read_file(folder.pack()), true).good.size() == 1501);
});

HILUM_TEST("a large append is whole, directly or through the page cache, wherever its blocks begin and end", {
    for (const bool no_direct : {false, true}) {
        const Folder folder;
        FaultyIo io;
        io.no_direct = no_direct;
        const auto writer = PackWriter::create(folder.path(), 1, kArchive, io);
        std::vector<Bytes> payloads;
        std::vector<Placed> placed;
        const std::size_t least = DirectOutput::kLeast;
        for (const std::size_t size : {least - 1, least + 4096 - 128, 10UL, least, std::size_t{DirectOutput::kBuffer},
                                       2 * DirectOutput::kBuffer + 5, 3UL, least + 3000}) {
            payloads.push_back(random_bytes(size));
            io.interrupts = 2;
            io.most = size % 2 == 0 ? SIZE_MAX : 4096 * 50;  // short writes of whole blocks
            placed.push_back(append_one(*writer, payloads.back()));
            HILUM_CHECK(read_file(folder.pack()).size() == writer->end());
        }
        io.most = 333333;  // a short write that is no whole block: the rest goes through the page cache
        payloads.push_back(random_bytes(least));
        placed.push_back(append_one(*writer, payloads.back()));
        HILUM_CHECK(!no_direct || io.direct == 0);
        for (std::size_t at = 0; at < placed.size(); ++at) {
            HILUM_CHECK(read_back(folder.path(), placed[at]) == payloads[at]);
        }
        HILUM_CHECK(walk(read_file(folder.pack()), true).good.size() == placed.size());
    }
});

HILUM_TEST("every failing call of a large append leaves nothing", {
    int calls = 4;  // three direct writes and the end, or three writes
    for (int failing = 1; failing <= calls; ++failing) {
        const Folder folder;
        FaultyIo io;
        const auto writer = PackWriter::create(folder.path(), 1, kArchive, io);
        const Placed first = append_one(*writer, random_bytes(5000));
        const std::uint64_t size = writer->end();
        const Bytes payload = random_bytes(2 * DirectOutput::kBuffer + 9000);
        io.error = ENOSPC;
        io.fail_write = io.writes + failing;
        HILUM_CHECK_THROWS(Errc::no_space, append_one(*writer, payload));
        calls = io.direct == 0 ? 3 : 4;
        HILUM_CHECK(writer->usable() && writer->end() == size && read_file(folder.pack()).size() == size);
        const Placed second = append_one(*writer, payload);
        HILUM_CHECK(second.sequence == first.sequence + 1 && read_back(folder.path(), second) == payload);
    }
});

HILUM_TEST("a failed write leaves nothing and the pack goes on", {
    for (const int error : {ENOSPC, EDQUOT, EFBIG, EIO, EROFS}) {
        const Folder folder;
        FaultyIo io;
        const auto writer = PackWriter::create(folder.path(), 1, kArchive, io);
        const Bytes payload = random_bytes(3000);
        const Placed first = append_one(*writer, payload);
        const std::uint64_t size = writer->end();
        io.error = error;
        io.fail_write = io.writes + 1;
        HILUM_CHECK_THROWS(code_of_errno(error), append_one(*writer, payload));
        HILUM_CHECK(writer->usable() && writer->end() == size && read_file(folder.pack()).size() == size);
        const Placed second = append_one(*writer, payload);
        HILUM_CHECK(second.offset == size + kRecordHeaderBytes && second.sequence == first.sequence + 1);
        HILUM_CHECK(read_back(folder.path(), first) == payload && read_back(folder.path(), second) == payload);
    }
});

HILUM_TEST("after a failed flush the pack is sealed at its last good record", {
    const Folder folder;
    FaultyIo io;
    const auto writer = PackWriter::create(folder.path(), 1, kArchive, io);
    const Bytes payload = random_bytes(3000);
    const Placed first = append_one(*writer, payload);
    io.fail_sync = io.syncs + 1;
    HILUM_CHECK_THROWS(Errc::io_error, append_one(*writer, payload));
    HILUM_CHECK(!writer->usable());
    HILUM_CHECK_THROWS(Errc::invalid_argument, append_one(*writer, payload));
    const Bytes bytes = read_file(folder.pack());
    const Seen seen = walk(bytes, true);
    HILUM_CHECK(seen.good == std::vector<std::uint64_t>{first.offset} && seen.bad.empty());
    Recovery recovery;
    HILUM_CHECK(PackWriter::adopt(folder.path(), 1, kArchive, 0, true, recovery) == nullptr);
    HILUM_CHECK(recovery.state == Recovery::State::sealed);
});

HILUM_TEST("a pack that cannot be cut back is given up and stays locked", {
    const Folder folder;
    FaultyIo io;
    const auto writer = PackWriter::create(folder.path(), 1, kArchive, io);
    const Bytes payload = random_bytes(3000);
    const Placed first = append_one(*writer, payload);
    class Broken final : public Io {
    public:
        std::int64_t pwritev(int, std::span<const iovec>, std::uint64_t) override { return -EIO; }
        int ftruncate(int, std::uint64_t) override { return -EIO; }
    };
    Broken broken;
    Recovery recovery;
    HILUM_CHECK(PackWriter::adopt(folder.path(), 1, kArchive, 0, true, recovery) == nullptr);
    HILUM_CHECK(recovery.state == Recovery::State::locked);
    writer->close();
    auto again = PackWriter::adopt(folder.path(), 1, kArchive, 0, true, recovery, broken);
    HILUM_CHECK(again != nullptr);
    HILUM_CHECK_THROWS(Errc::io_error, append_one(*again, payload));
    HILUM_CHECK(!again->usable() || read_file(folder.pack()).size() == again->end());
    HILUM_CHECK(read_back(folder.path(), first) == payload);
});

HILUM_TEST("every failing call of a stream leaves nothing half kept", {
    for (int failing = 1; failing <= 9; ++failing) {
        const Folder folder;
        FaultyIo io;
        const auto writer = PackWriter::create(folder.path(), 1, kArchive, io);
        const Bytes payload = random_bytes(200000);
        const Placed first = append_one(*writer, payload);
        io.error = ENOSPC;
        io.fail_write = failing <= 6 ? io.writes + failing : 0;
        io.fail_sync = failing > 6 ? io.syncs + failing - 6 : 0;
        bool stored = false;
        try {
            writer->begin(1, 0, 5, payload.size());
            for (std::size_t at = 0; at < payload.size(); at += 50000) {
                writer->write(std::span(payload).subspan(at, 50000));
            }
            const Placed placed = writer->finish();
            stored = true;
            HILUM_CHECK(read_back(folder.path(), placed) == payload);
        } catch (const Error& error) {
            HILUM_CHECK(error.code() == Errc::no_space);
        }
        HILUM_CHECK(stored == (failing > 8));
        HILUM_CHECK(walk(read_file(folder.pack()), true).good.size() == (stored ? 2U : 1U));
        HILUM_CHECK(read_back(folder.path(), first) == payload);
        if (failing <= 6) {
            HILUM_CHECK(read_back(folder.path(), append_one(*writer, payload)) == payload);
        }
    }
});

HILUM_TEST("a stream keeps its word about its length", {
    const Folder folder;
    const auto writer = PackWriter::create(folder.path(), 1, kArchive);
    const Bytes payload = random_bytes(1000);
    writer->begin(1, 0, 5, 1500);
    HILUM_CHECK_THROWS(Errc::invalid_argument, append_one(*writer, payload));
    writer->write(payload);
    HILUM_CHECK_THROWS(Errc::truncated, writer->finish());
    writer->begin(1, 0, 5, 999);
    HILUM_CHECK_THROWS(Errc::out_of_range, writer->write(payload));
    HILUM_CHECK_THROWS(Errc::invalid_argument, writer->write(payload));
    HILUM_CHECK(read_file(folder.pack()).size() == kFileHeaderBytes);
    writer->begin(1, 0, 5, 0);
    HILUM_CHECK(writer->finish().length == 0);
});

HILUM_TEST("cut at every byte of its last three records a pack opens with exactly the whole ones", {
    const Folder folder;
    std::vector<Placed> placed;
    {
        const auto writer = PackWriter::create(folder.path(), 1, kArchive);
        placed.push_back(append_one(*writer, random_bytes(500)));
        const Bytes a = random_bytes(300, 1);
        const Bytes b = random_bytes(0, 2);
        const Bytes c = random_bytes(401, 3);
        const std::vector<NewRecord> group{record_of(a), record_of(b), record_of(c)};
        const std::vector<Placed> last = writer->append(group);
        placed.insert(placed.end(), last.begin(), last.end());
    }
    const Bytes whole = read_file(folder.pack());
    const Uuid& archive = kArchive;
    for (std::size_t size = placed[1].offset - kRecordHeaderBytes; size <= whole.size(); ++size) {
        write_file(folder.pack(), std::span(whole).first(size));
        Recovery recovery;
        const auto writer = PackWriter::adopt(folder.path(), 1, archive, 0, true, recovery);
        std::vector<std::uint64_t> expected;
        std::uint64_t end = kFileHeaderBytes;
        for (const Placed& each : placed) {
            if (each.offset - kRecordHeaderBytes + record_extent(each.length) <= size) {
                expected.push_back(each.offset);
                end = each.offset - kRecordHeaderBytes + record_extent(each.length);
            }
        }
        HILUM_CHECK(writer != nullptr && recovery.cut == size - end && recovery.suspect == 0);
        Seen seen = walk(read_file(folder.pack()), true);
        HILUM_CHECK(seen.good == expected && seen.bad.empty() && seen.tail == Tail::none);
        expected.push_back(append_one(*writer, random_bytes(77)).offset);
        seen = walk(read_file(folder.pack()), true);
        HILUM_CHECK(seen.good == expected && seen.bad.empty());
    }
});

HILUM_TEST("the end of a pack that may have been acknowledged is never cut", {
    const Folder folder;
    Placed last;
    {
        const auto writer = PackWriter::create(folder.path(), 1, kArchive);
        (void)append_one(*writer, random_bytes(500));
        last = append_one(*writer, random_bytes(500));
    }
    const Bytes whole = read_file(folder.pack());
    for (std::size_t at = last.offset - kRecordHeaderBytes; at < whole.size(); at += 3) {
        Bytes damaged = whole;
        damaged[at] ^= std::byte{4};
        write_file(folder.pack(), damaged);
        Recovery recovery;
        HILUM_CHECK(PackWriter::adopt(folder.path(), 1, kArchive, 0, true, recovery) == nullptr);
        HILUM_CHECK(recovery.state == Recovery::State::sealed && recovery.suspect != 0 && recovery.cut == 0);
        const Bytes after = read_file(folder.pack());
        HILUM_CHECK(std::equal(damaged.begin(), damaged.end(), after.begin()));
        const Seen seen = walk(after, true);
        HILUM_CHECK(seen.good.size() == 1 && seen.bad.size() == 1 && seen.tail == Tail::none);
    }
});

HILUM_TEST("the first record of the last append that never reached the disk is unfinished, not damaged", {
    const Folder folder;
    std::vector<Placed> last;
    {
        const auto writer = PackWriter::create(folder.path(), 1, kArchive);
        (void)append_one(*writer, random_bytes(500));
        const Bytes one = random_bytes(500);
        const Bytes two = random_bytes(500);
        const std::array<NewRecord, 2> group{record_of(one), record_of(two)};
        last = writer->append(group);
    }
    Bytes torn = read_file(folder.pack());
    const std::size_t at = last[0].offset - kRecordHeaderBytes;
    std::fill_n(torn.begin() + static_cast<std::ptrdiff_t>(at), last[1].offset - kRecordHeaderBytes - at, std::byte{0});
    write_file(folder.pack(), torn);
    Recovery recovery;
    HILUM_CHECK(PackWriter::adopt(folder.path(), 1, kArchive, 0, true, recovery) == nullptr);
    HILUM_CHECK(recovery.state == Recovery::State::sealed && recovery.cut == 0);
    HILUM_CHECK(recovery.suspect == torn.size() - at);
    const MemorySource source(torn);
    FileHeader header;
    std::string damage;
    const Bytes after = read_file(folder.pack());
    const auto seal = find_seal(MemorySource(after), read_salt(source, 1, kArchive, header, damage));
    HILUM_CHECK(seal && seal->suspect_from == at);
});

HILUM_TEST("damage in the middle costs one record, whatever its payload imitates", {
    const Folder folder;
    std::vector<Placed> placed;
    {
        const auto writer = PackWriter::create(folder.path(), 1, kArchive);
        placed.push_back(append_one(*writer, random_bytes(600)));
        // Headers of this very pack, aligned: their offsets are wrong here.
        Bytes forged = read_file(folder.pack());
        forged.erase(forged.begin(), forged.begin() + static_cast<std::ptrdiff_t>(kFileHeaderBytes));
        placed.push_back(append_one(*writer, forged));
        placed.push_back(append_one(*writer, random_bytes(600, 3)));
        writer->seal(SealReason::full);
    }
    const Bytes whole = read_file(folder.pack());
    const std::uint64_t header = placed[1].offset - kRecordHeaderBytes;
    for (std::uint64_t at = header; at < placed[2].offset - kRecordHeaderBytes; ++at) {
        Bytes damaged = whole;
        damaged[at] ^= std::byte{32};
        const Seen seen = walk(damaged, true);
        HILUM_CHECK((seen.good == std::vector<std::uint64_t>{placed[0].offset, placed[2].offset}));
        HILUM_CHECK(seen.bad.size() == 1 && seen.bad[0].first == header);
    }
});

HILUM_TEST("swapped, repeated and stale blocks are found", {
    const Folder folder;
    std::vector<Placed> placed;
    {
        const auto writer = PackWriter::create(folder.path(), 1, kArchive);
        for (unsigned i = 0; i < 12; ++i) {
            placed.push_back(append_one(*writer, random_bytes(4096 - kRecordHeaderBytes, i)));
        }
        writer->seal(SealReason::full);
    }
    const Bytes whole = read_file(folder.pack());
    std::minstd_rand random(11);
    for (int round = 0; round < 1000; ++round) {
        Bytes damaged = whole;
        const std::size_t from = 4096 * (1 + random() % 12);
        const std::size_t to = 4096 * (1 + random() % 12);
        const std::size_t bytes = (round % 3 == 0 ? 512 : 4096);
        if (from == to) {
            continue;
        }
        if (round % 2 == 0) {
            std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(from), bytes,
                        damaged.begin() + static_cast<std::ptrdiff_t>(to));
        } else {
            std::swap_ranges(damaged.begin() + static_cast<std::ptrdiff_t>(from),
                             damaged.begin() + static_cast<std::ptrdiff_t>(from + bytes),
                             damaged.begin() + static_cast<std::ptrdiff_t>(to));
        }
        const Seen seen = walk(damaged, true);
        HILUM_CHECK(!seen.bad.empty());
        for (const std::uint64_t offset : seen.good) {
            const auto at = static_cast<std::ptrdiff_t>(offset);
            HILUM_CHECK(std::equal(whole.begin() + at, whole.begin() + at + 3968, damaged.begin() + at));
        }
    }
});

HILUM_TEST("a damaged file header does not hide the records", {
    const Folder folder;
    Placed placed;
    const Bytes payload = random_bytes(500);
    {
        const auto writer = PackWriter::create(folder.path(), 1, kArchive);
        placed = append_one(*writer, payload);
    }
    Bytes bytes = read_file(folder.pack());
    bytes[20] ^= std::byte{1};
    write_file(folder.pack(), bytes);
    PackReader reader(folder.path(), kArchive, 4);
    HILUM_CHECK(!reader.file(1)->header_damage().empty());
    HILUM_CHECK(read_back(folder.path(), placed) == payload);
    Recovery recovery;
    HILUM_CHECK(PackWriter::adopt(folder.path(), 1, kArchive, 0, true, recovery) == nullptr);
    HILUM_CHECK(recovery.state == Recovery::State::damaged && read_file(folder.pack()) == bytes);
});

HILUM_TEST("a file whose creation did not finish is removed", {
    const Folder folder;
    for (const std::size_t size : {0U, 100U, 4096U}) {
        write_file(folder.pack(), Bytes(size));
        Recovery recovery;
        HILUM_CHECK(PackWriter::adopt(folder.path(), 1, kArchive, 0, true, recovery) == nullptr);
        HILUM_CHECK(recovery.state == Recovery::State::unborn && ::access(folder.pack().c_str(), F_OK) != 0);
    }
    Recovery recovery;
    HILUM_CHECK(PackWriter::adopt(folder.path(), 1, kArchive, 0, true, recovery) == nullptr);
    HILUM_CHECK(recovery.state == Recovery::State::gone);
});

HILUM_TEST("a recovery that cannot flush leaves the pack as it is", {
    const Folder folder;
    {
        const auto writer = PackWriter::create(folder.path(), 1, kArchive);
        (void)append_one(*writer, random_bytes(500));
    }
    const Bytes whole = read_file(folder.pack());
    FaultyIo io;
    io.fail_sync = 1;
    Recovery recovery;
    HILUM_CHECK_THROWS(Errc::io_error, PackWriter::adopt(folder.path(), 1, kArchive, 0, true, recovery, io));
    HILUM_CHECK(read_file(folder.pack()) == whole);
});

HILUM_TEST("no more packs are open than allowed", {
    const Folder folder;
    for (std::uint64_t number = 1; number <= 6; ++number) {
        HILUM_CHECK(PackWriter::create(folder.path(), number, kArchive) != nullptr);
    }
    PackReader reader(folder.path(), kArchive, 3);
    for (std::uint64_t number = 1; number <= 6; ++number) {
        HILUM_CHECK(reader.file(number)->number() == number);
    }
    HILUM_CHECK(reader.open_files() == 3);
    reader.drop(6);
    HILUM_CHECK(reader.open_files() == 2);
    reader.clear();
    HILUM_CHECK(reader.open_files() == 0);
});

HILUM_TEST("packs that somebody removed are let go", {
    const Folder folder;
    const Placed placed = append_one(*PackWriter::create(folder.path(), 1, kArchive), random_bytes(10));
    PackReader reader(folder.path(), kArchive, 3);
    Bytes out(placed.length);
    reader.read(1, placed.offset, placed.length, 0, out, std::nullopt);
    reader.sweep();
    HILUM_CHECK(reader.open_files() == 1);
    HILUM_CHECK(::unlink(folder.pack().c_str()) == 0);
    reader.sweep();
    HILUM_CHECK(reader.open_files() == 0);
    HILUM_CHECK_THROWS(Errc::not_found, reader.read(1, placed.offset, placed.length, 0, out, std::nullopt));
});

HILUM_TEST("threads share a reader that opens and closes all the time", {
    const Folder folder;
    const Bytes payload = random_bytes(70000);
    std::vector<Placed> placed;
    for (std::uint64_t number = 1; number <= 5; ++number) {
        placed.push_back(append_one(*PackWriter::create(folder.path(), number, kArchive), payload));
    }
    PackReader reader(folder.path(), kArchive, 2);
    std::atomic<int> right{0};
    std::vector<std::thread> threads;
    for (unsigned each = 0; each < 4; ++each) {
        threads.emplace_back([&, each] {
            Bytes out(1000);
            for (unsigned i = 0; i < 200; ++i) {
                const std::size_t pack = (i * (each + 1)) % 5;
                reader.read(pack + 1, placed[pack].offset, payload.size(), 65000, out, placed[pack].crc);
                right += std::equal(out.begin(), out.end(), payload.begin() + 65000) ? 1 : 0;
                if (i % 50 == 0) {
                    reader.clear();
                }
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    HILUM_CHECK(right == 800 && reader.open_files() <= 2);
});

HILUM_TEST_MAIN
