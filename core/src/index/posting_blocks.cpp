// SPDX-License-Identifier: Apache-2.0
#include "hilum/index/posting_blocks.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <compare>
#include <cstring>
#include <iterator>
#include <limits>

#include "hilum/byte_order.hpp"
#include "hilum/error.hpp"
#include "packed_text.hpp"

namespace hilum::index {
namespace {

constexpr std::uint64_t kMax48 = (std::uint64_t{1} << 48U) - 1;
constexpr std::uint64_t kIrregular = std::uint64_t{1} << 50U;
constexpr std::uint64_t kDaySeconds = 86'400;
constexpr std::size_t kHalf = 6;
/// Bytes of the bits of a full block, with 64 bits of a time and 48 of an id.
constexpr std::size_t kMostPacked = (kMaxPostings - 1) * (64 + 48) / 8;

struct Posting {
    std::uint64_t time;  ///< the order, without gaps between days
    std::uint64_t id;
};

const std::byte* bytes_at(const char* at) noexcept {
    return reinterpret_cast<const std::byte*>(at);
}

std::uint64_t load48(std::string_view at) noexcept {
    const auto* bytes = bytes_at(at.data());
    return std::uint64_t{load<std::uint16_t>(bytes, true)} << 32U | load<std::uint32_t>(bytes + 2, true);
}

void set48(std::uint64_t value, char* at) noexcept {
    const std::uint64_t big = std::endian::native == std::endian::big ? value << 16U : byte_swap(value << 16U);
    std::memcpy(at, &big, kHalf);
}

void put48(std::uint64_t value, std::string& out) {
    char bytes[kHalf];
    set48(value, bytes);
    out.append(bytes, kHalf);
}

/// YYYYMMDD x 2^17 + seconds as seconds of months of 31 days from 1 on; 0 stays, what is no date gets a number of its
/// own.
std::uint64_t time_of(std::uint64_t order) noexcept {
    const std::uint64_t date = order >> 17U;
    const std::uint64_t seconds = order & 0x1FFFFU;
    const std::uint64_t month = date / 100 % 100;
    const std::uint64_t day = date % 100;
    if (month < 1 || month > 12 || day < 1 || day > 31 || seconds >= kDaySeconds) {
        return order == 0 ? 0 : kIrregular + order;
    }
    return ((date / 10'000 * 12 + month - 1) * 31 + day - 1) * kDaySeconds + seconds + 1;
}

std::uint64_t order_of(std::uint64_t time) noexcept {
    if (time == 0 || time >= kIrregular) {
        return time == 0 ? 0 : (time - kIrregular) & kMax48;
    }
    const std::uint64_t days = (time - 1) / kDaySeconds;
    const std::uint64_t date = days / 372 * 10'000 + (days / 31 % 12 + 1) * 100 + days % 31 + 1;
    return (date << 17U | (time - 1) % kDaySeconds) & kMax48;
}

Posting posting_of(std::string_view order_key) noexcept {
    return {time_of(kMax48 - load48(order_key)), kMax48 - load48(order_key.substr(kHalf))};
}

class BitWriter {
public:
    explicit BitWriter(std::string& out) noexcept : out_(out) {}
    void put(std::uint64_t value, unsigned bits) {
        for (; bits > 32; bits -= 32, value >>= 32U) {
            put_short(value & 0xFFFFFFFFU, 32);
        }
        put_short(value, bits);
    }
    void flush() {
        if (held_ > 0) {
            out_.push_back(static_cast<char>(bits_));
        }
    }

private:
    void put_short(std::uint64_t value, unsigned bits) {
        bits_ |= value << held_;
        for (held_ += bits; held_ >= 8; held_ -= 8, bits_ >>= 8U) {
            out_.push_back(static_cast<char>(bits_));
        }
    }
    std::string& out_;
    std::uint64_t bits_ = 0;
    unsigned held_ = 0;
};

/// Reads up to 64 bits a time; the text has eight bytes behind what is read.
class BitReader {
public:
    explicit BitReader(const char* in) noexcept : in_(in) {}
    std::uint64_t take(unsigned bits) noexcept {
        if (bits > 32) {
            const std::uint64_t low = take_short(32);
            return low | take_short(bits - 32) << 32U;
        }
        return take_short(bits);
    }

private:
    std::uint64_t take_short(unsigned bits) noexcept {
        const std::uint64_t word = load<std::uint64_t>(bytes_at(in_ + at_ / 8)) >> (at_ % 8);
        at_ += bits;
        return word & ((std::uint64_t{1} << bits) - 1);
    }
    const char* in_;
    std::size_t at_ = 0;
};

std::size_t bits_bytes(std::size_t count, unsigned time_bits, unsigned id_bits) noexcept {
    return (count * (time_bits + id_bits) + 7) / 8;
}

PostingBlock encode_block(std::string_view orders) {
    PostingBlock block{std::string(orders.substr(0, kOrderKey)), {}};
    const std::size_t count = orders.size() / kOrderKey;
    if (count == 1) {
        return block;
    }
    std::vector<Posting> postings;
    std::uint64_t longest = 0;
    std::uint64_t low = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t high = 0;
    for (std::size_t i = 0; i < count; ++i) {
        postings.push_back(posting_of(orders.substr(i * kOrderKey)));
        if (i > 0) {
            longest = std::max(longest, postings[i - 1].time - postings[i].time);
            low = std::min(low, postings[i].id);
            high = std::max(high, postings[i].id);
        }
    }
    const auto time_bits = static_cast<unsigned>(std::bit_width(longest));
    const auto id_bits = static_cast<unsigned>(std::bit_width(high - low));
    block.value.push_back(static_cast<char>(count - 1));
    block.value.push_back(static_cast<char>(time_bits));
    block.value.push_back(static_cast<char>(id_bits));
    put_varint(low, block.value);
    BitWriter bits(block.value);
    for (std::size_t i = 1; i < count; ++i) {
        bits.put(postings[i - 1].time - postings[i].time, time_bits);
        bits.put(postings[i].id - low, id_bits);
    }
    bits.flush();
    return block;
}

/// An order key as numbers, for quick comparisons.
struct Key {
    std::uint64_t order;
    std::uint64_t id;
    auto operator<=>(const Key&) const = default;
};

/// Sorted keys of sorted lists, each once.
std::vector<Key> union_of(const std::vector<std::string_view>& lists) {
    std::vector<Key> out;
    std::vector<std::size_t> ends{0};
    for (const std::string_view list : lists) {
        for (std::size_t at = 0; at + kOrderKey <= list.size(); at += kOrderKey) {
            out.push_back({load48(list.substr(at)), load48(list.substr(at + kHalf))});
        }
        if (out.size() > ends.back()) {
            ends.push_back(out.size());
        }
    }
    const auto at = [&](std::size_t i) { return out.begin() + static_cast<std::ptrdiff_t>(ends[i]); };
    while (ends.size() > 2) {  // neighbours are merged until one list is left
        std::vector<std::size_t> kept{0};
        for (std::size_t i = 2; i < ends.size(); i += 2) {
            std::inplace_merge(at(i - 2), at(i - 1), at(i));
            kept.push_back(ends[i]);
        }
        if (ends.size() % 2 == 0) {
            kept.push_back(ends.back());
        }
        ends = std::move(kept);
    }
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

[[noreturn]] void throw_bad_block() {
    throw Error(Errc::bad_record, "a block of match keys is damaged; rebuild the index");
}

}  // namespace

std::size_t postings_in(std::string_view value) noexcept {
    return value.empty() ? 1 : std::size_t{static_cast<unsigned char>(value[0])} + 1;
}

void decode_postings(std::string_view first, std::string_view value, std::string& out, std::size_t most) {
    if (first.size() != kOrderKey) {
        throw_bad_block();
    }
    out.append(first);
    if (value.empty()) {
        return;
    }
    if (value.size() < 4 || most == 0) {
        throw_bad_block();
    }
    const std::size_t count = static_cast<unsigned char>(value[0]);
    const unsigned time_bits = static_cast<unsigned char>(value[1]);
    const unsigned id_bits = static_cast<unsigned char>(value[2]);
    value.remove_prefix(3);
    PackedReader head(value, out, 0);
    const std::uint64_t low = head.varint();
    const std::string_view packed = head.rest();
    if (time_bits > 64 || id_bits > 48 || packed.size() != bits_bytes(count, time_bits, id_bits)) {
        throw_bad_block();
    }
    std::array<char, kMostPacked + sizeof(std::uint64_t)> room;
    std::memcpy(room.data(), packed.data(), packed.size());
    std::memset(room.data() + packed.size(), 0, sizeof(std::uint64_t));
    BitReader bits(room.data());
    Posting posting = posting_of(first);
    const std::size_t start = out.size();
    const std::size_t wanted = std::min(count, most - 1);
    out.resize(start + wanted * kOrderKey);
    char* at = out.data() + start;
    for (std::size_t i = 0; i < wanted; ++i, at += kOrderKey) {
        posting.time -= bits.take(time_bits);
        posting.id = low + bits.take(id_bits);
        set48(kMax48 - order_of(posting.time), at);
        set48(kMax48 - (posting.id & kMax48), at + kHalf);
        if (std::memcmp(at - kOrderKey, at, kOrderKey) >= 0) {
            throw_bad_block();
        }
    }
    if (wanted == count && bits.take(static_cast<unsigned>(packed.size() * 8 - count * (time_bits + id_bits))) != 0) {
        throw_bad_block();  // what fills the last byte
    }
}

std::vector<PostingBlock> encode_postings(std::string_view orders) {
    std::vector<PostingBlock> out;
    const std::size_t count = orders.size() / kOrderKey;
    const std::size_t blocks = (count + kMaxPostings - 1) / kMaxPostings;
    std::size_t at = 0;
    for (std::size_t i = 0; i < blocks; ++i) {
        const std::size_t end = count * (i + 1) / blocks;
        out.push_back(encode_block(orders.substr(at * kOrderKey, (end - at) * kOrderKey)));
        at = end;
    }
    return out;
}

std::string merge_postings(std::string_view orders, std::string_view add, std::string_view remove) {
    std::string out;
    out.reserve(orders.size() + add.size());
    const auto take = [](std::string_view& from) {
        const std::string_view key = from.substr(0, kOrderKey);
        from.remove_prefix(std::min(kOrderKey, from.size()));
        return key;
    };
    while (!orders.empty() || !add.empty()) {
        std::string_view key;
        if (add.empty() || (!orders.empty() && orders.substr(0, kOrderKey) <= add.substr(0, kOrderKey))) {
            if (!add.empty() && orders.substr(0, kOrderKey) == add.substr(0, kOrderKey)) {
                take(add);
            }
            key = take(orders);
        } else {
            key = take(add);
        }
        while (!remove.empty() && remove.substr(0, kOrderKey) < key) {
            take(remove);
        }
        if (remove.empty() || remove.substr(0, kOrderKey) != key) {
            out.append(key);
        }
    }
    return out;
}

std::string intersect_postings(const std::vector<std::vector<std::string_view>>& groups) {
    std::vector<Key> out;
    bool started = false;
    for (const auto& group : groups) {
        std::vector<Key> keys = union_of(group);
        if (started) {
            std::vector<Key> both;
            std::set_intersection(out.begin(), out.end(), keys.begin(), keys.end(), std::back_inserter(both));
            keys = std::move(both);
        }
        out = std::move(keys);
        started = true;
    }
    std::string text;
    text.reserve(out.size() * kOrderKey);
    for (const Key& key : out) {
        put48(key.order, text);
        put48(key.id, text);
    }
    return text;
}

std::size_t postings_before(std::string_view orders, std::string_view horizon) noexcept {
    std::size_t low = 0;
    std::size_t high = orders.size() / kOrderKey;
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        if (orders.substr(middle * kOrderKey, kOrderKey) < horizon) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

}  // namespace hilum::index
