// SPDX-License-Identifier: Apache-2.0
// The record walker on hostile bytes. The first byte chooses between raw bytes and a valid pack that the rest of the
// input damages; only what was there before may then be called good.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "hilum/byte_order.hpp"
#include "hilum/checksum.hpp"
#include "hilum/error.hpp"
#include "hilum/pack/reader.hpp"

using namespace hilum;
using namespace hilum::pack;

namespace {

using Bytes = std::vector<std::byte>;

const FileHeader kFile{{std::byte{7}}, 1, 2, {std::byte{3}}};

void append_record(Bytes& pack, std::uint64_t sequence, std::span<const std::byte> payload, Kind kind) {
    RecordHeader header;
    BlockChecksums sums;
    sums.update(payload);
    sums.finish();
    header.kind = static_cast<std::uint16_t>(kind);
    header.sequence = sequence;
    header.group = sequence;
    header.offset = pack.size();
    header.salt = salt_of(kFile);
    header.payload_length = payload.size();
    header.payload_crc = sums.crc();
    header.table_crc = sums.table_crc();
    header.sha256 = sha256(payload);
    const std::size_t at = pack.size();
    pack.resize(at + static_cast<std::size_t>(record_extent(payload.size())));
    encode_record_header(header, std::span(pack).subspan(at).first<kRecordHeaderBytes>());
    std::copy(payload.begin(), payload.end(), pack.begin() + static_cast<std::ptrdiff_t>(at + kRecordHeaderBytes));
    std::copy(sums.table().begin(), sums.table().end(),
              pack.begin() + static_cast<std::ptrdiff_t>(at + kRecordHeaderBytes + payload.size()));
}

const Bytes& valid_pack() {
    static const Bytes pack = [] {
        Bytes bytes(kFileHeaderBytes);
        encode_file_header(kFile, std::span(bytes).first<kFileHeaderBytes>());
        const Bytes large(70000, std::byte{0x48});
        append_record(bytes, 1, std::span(large).first(100), Kind::object);
        append_record(bytes, 2, {}, Kind::tombstone);
        append_record(bytes, 3, large, Kind::object);
        const Bytes forged(bytes.begin() + kFileHeaderBytes, bytes.begin() + kFileHeaderBytes + 600);
        append_record(bytes, 4, forged, Kind::object);
        std::array<std::byte, kSealPayloadBytes> seal{};
        encode_seal({SealReason::full, 4, 70700, 0}, seal);
        append_record(bytes, 5, seal, Kind::seal);
        return bytes;
    }();
    return pack;
}

/// Applies (position u24, length u8, bytes) edits, then perhaps a cut.
Bytes damaged_pack(std::span<const std::byte> edits) {
    Bytes pack = valid_pack();
    while (edits.size() > 4) {
        const std::size_t at = (load<std::uint32_t>(edits.data()) & 0xFFFFFFU) % pack.size();
        const std::size_t length =
            std::min<std::size_t>({static_cast<std::size_t>(edits[3]) % 64, edits.size() - 4, pack.size() - at});
        if (edits[3] == std::byte{255}) {
            pack.resize(std::max<std::size_t>(at, 1));
        }
        std::copy_n(edits.begin() + 4, std::min(length, pack.size() - std::min(at, pack.size())),
                    pack.begin() + static_cast<std::ptrdiff_t>(std::min(at, pack.size())));
        edits = edits.subspan(4 + length);
    }
    return pack;
}

void require(bool held) {
    if (!held) {
        std::abort();
    }
}

void walk(std::span<const std::byte> bytes, bool derived) {
    const MemorySource source(bytes);
    FileHeader header;
    std::string damage;
    std::uint64_t salt = salt_of(kFile);
    try {
        salt = read_salt(source, 1, kFile.archive, header, damage);
    } catch (const Error&) {
        damage = "unreadable";
    }
    (void)find_seal(source, salt);
    Walker walker(source, salt, kFileHeaderBytes, {true, true, true});
    std::uint64_t position = kFileHeaderBytes;
    for (Step step = walker.next(); step.what != Step::What::end; step = walker.next()) {
        require(step.offset >= position && step.end > step.offset && step.end <= bytes.size());
        position = step.end;
        if (derived && step.what == Step::What::record) {
            const Bytes& whole = valid_pack();
            require(step.end <= whole.size() && std::memcmp(whole.data() + step.offset, bytes.data() + step.offset,
                                                            static_cast<std::size_t>(step.end - step.offset)) == 0);
        }
    }
    require(walker.position() >= kFileHeaderBytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
    if (size == 0) {
        return 0;
    }
    const bool derived = (data[0] & 1U) != 0;
    if (derived) {
        walk(damaged_pack(bytes.subspan(1)), true);
    } else {
        walk(bytes.subspan(1), false);
    }
    return 0;
}
