// SPDX-License-Identifier: Apache-2.0
#include "hilum/index/record.hpp"

#include <algorithm>

#include "hilum/checksum.hpp"
#include "hilum/error.hpp"
#include "hilum/index/attributes.hpp"

namespace hilum::index {
namespace {

constexpr std::size_t kHeader = 8;

std::size_t fixed_size(std::uint8_t kind) noexcept {
    switch (kind) {
        case 1:
            return 24;  // studies u32, series u32, instances u64, bytes u64
        case 2:
            return 40;  // patient u64, order u64, series u32, reserved u32, instances u64, bytes u64
        case 3:
            return 40;  // study u64, variant u64, instances u64, bytes u64, number u32, reserved u32
        case 4:
            return 112;  // series, study, variant, pack, offset, length, header length, received u64; crc, flags,
                         // number, reserved u32; SHA-256
        default:
            return 0;
    }
}

std::uint32_t load32(std::span<const std::byte> data, std::size_t at) noexcept {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        value |= static_cast<std::uint32_t>(std::to_integer<unsigned>(data[at + i])) << (8 * i);
    }
    return value;
}

std::string hex(std::span<const std::byte> data) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (const std::byte b : data.first(std::min<std::size_t>(data.size(), 16))) {
        out.push_back(kDigits[std::to_integer<unsigned>(b >> 4)]);
        out.push_back(kDigits[std::to_integer<unsigned>(b & std::byte{15})]);
    }
    return out;
}

void append(const Attribute& attribute, std::string& out) {
    for (unsigned i = 0; i < 4; ++i) {
        out.push_back(static_cast<char>(attribute.tag >> (8 * i) & 0xFFU));
    }
    out.append(attribute.vr, 2);
    out.push_back(static_cast<char>(attribute.value.size() & 0xFFU));
    out.push_back(static_cast<char>(attribute.value.size() >> 8 & 0xFFU));
    out.append(attribute.value);
}

}  // namespace

RecordView::RecordView(std::span<const std::byte> record) : record_(record), kind_{}, blobs_(0), lengths_at_(0) {
    if (record.size() < kHeader) {
        throw Error(Errc::bad_record, "index record is too short");
    }
    const auto kind = std::to_integer<std::uint8_t>(record[4]);
    if (kind < 1 || kind > 4 || std::to_integer<std::uint8_t>(record[5]) != kRecordVersion) {
        throw Error(Errc::bad_record, "index record of an unknown kind or version");
    }
    kind_ = static_cast<RecordKind>(kind);
    blobs_ = std::to_integer<std::size_t>(record[6]) | std::to_integer<std::size_t>(record[7]) << 8;
    lengths_at_ = kHeader + fixed_size(kind);
    if (blobs_ < 3 || record.size() < lengths_at_ + 4 * blobs_) {
        throw Error(Errc::bad_record, "index record ends inside its lengths");
    }
    std::uint64_t end = lengths_at_ + 4 * blobs_;
    for (std::size_t i = 0; i < blobs_; ++i) {
        end += load32(record, lengths_at_ + 4 * i);
    }
    if (end != record.size()) {
        throw Error(Errc::bad_record, "lengths in an index record do not add up");
    }
}

std::span<const std::byte> RecordView::blob(std::size_t i) const {
    if (i >= blobs_) {
        throw Error(Errc::bad_record, "index record lacks a part");
    }
    std::size_t start = lengths_at_ + 4 * blobs_;
    for (std::size_t k = 0; k < i; ++k) {
        start += load32(record_, lengths_at_ + 4 * k);
    }
    return record_.subspan(start, load32(record_, lengths_at_ + 4 * i));
}

std::string_view RecordView::text(std::size_t i) const {
    const auto bytes = blob(i);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string_view RecordView::uid() const {
    if (kind_ != RecordKind::study && kind_ != RecordKind::series) {
        return text(0);
    }
    const auto found = find_attribute(derived(), kind_ == RecordKind::study ? 0x0020000DU : 0x0020000EU);
    if (!found) {
        throw Error(Errc::bad_record, "index record lacks its UID");
    }
    return found->value;
}

std::uint32_t record_checksum(std::uint8_t database, std::span<const std::byte> key,
                              std::span<const std::byte> body) noexcept {
    const std::byte number{database};
    return crc32c(body, crc32c(key, crc32c({&number, 1})));
}

std::string seal_record(std::uint8_t database, std::span<const std::byte> key, std::span<const std::byte> body) {
    const std::uint32_t crc = record_checksum(database, key, body);
    std::string out;
    out.reserve(body.size() + 4);
    for (unsigned i = 0; i < 4; ++i) {
        out.push_back(static_cast<char>(crc >> (8 * i) & 0xFFU));
    }
    out.append(reinterpret_cast<const char*>(body.data()), body.size());
    return out;
}

void check_record(std::uint8_t database, std::string_view name, std::span<const std::byte> key,
                  std::span<const std::byte> record) {
    if (record.size() < 4 || load32(record, 0) != record_checksum(database, key, record.subspan(4))) {
        throw Error(Errc::bad_record, "index record fails its checksum: database " + std::string(name) + ", key " +
                                          hex(key) + (key.size() > 16 ? "..." : ""));
    }
}

std::string merge_attributes(const std::vector<std::span<const std::byte>>& lists) {
    struct Found {
        Attribute attribute;
        bool empty;
    };
    std::vector<Found> found;
    for (const auto& list : lists) {
        AttributeCursor cursor(list);
        Attribute attribute;
        while (cursor.next(attribute)) {
            const bool empty = trim(attribute.value).empty();
            const auto at = std::lower_bound(found.begin(), found.end(), attribute.tag,
                                             [](const Found& a, std::uint32_t tag) { return a.attribute.tag < tag; });
            if (at == found.end() || at->attribute.tag != attribute.tag) {
                found.insert(at, {attribute, empty});
            } else if (at->empty && !empty) {
                *at = {attribute, empty};
            }
        }
    }
    std::string out;
    for (const auto& [attribute, empty] : found) {
        append(attribute, out);
    }
    return out;
}

std::string select_attributes(std::span<const std::byte> list, std::span<const std::uint32_t> tags, bool others) {
    std::string out;
    AttributeCursor cursor(list);
    Attribute attribute;
    while (cursor.next(attribute)) {
        if (std::binary_search(tags.begin(), tags.end(), attribute.tag) != others) {
            append(attribute, out);
        }
    }
    return out;
}

}  // namespace hilum::index
