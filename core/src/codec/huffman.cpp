// SPDX-License-Identifier: Apache-2.0
#include "huffman.hpp"

namespace hilum::codec {
namespace {

/// EXTEND of F.2.2.1: magnitude bits to a signed difference.
std::int16_t extend(std::uint32_t bits, unsigned category) noexcept {
    const std::uint32_t value = bits < (1U << (category - 1U)) ? bits - ((1U << category) - 1U) : bits;
    return static_cast<std::int16_t>(static_cast<std::uint16_t>(value));
}

}  // namespace

bool DifferenceTable::build(std::span<const std::byte, 16> counts, std::span<const std::byte> categories) {
    if (!owned_) {
        owned_ = std::make_unique_for_overwrite<std::array<Entry, 1U << kLookup>>();
        entries_ = owned_->data();
    }
    owned_->fill(Entry{1, 0, 0, 0, 1, kLong});
    limit_.fill(0);
    codes_ = 0;
    std::uint32_t code = 0;
    for (unsigned length = 1; length <= 16; ++length) {
        const auto count = static_cast<std::uint32_t>(counts[length - 1]);
        if (code + count > (1U << length) || codes_ + count > categories.size() || codes_ + count > 256) {
            codes_ = 0;
            return false;
        }
        first_[length] = static_cast<std::int32_t>(codes_) - static_cast<std::int32_t>(code);
        for (std::uint32_t i = 0; i < count; ++i, ++code, ++codes_) {
            const auto category = static_cast<unsigned>(categories[codes_]);
            if (category > 16) {
                codes_ = 0;
                return false;
            }
            categories_[codes_] = static_cast<std::uint8_t>(category);
            if (length > kLookup) {
                continue;
            }
            const unsigned rest = kLookup - length;
            for (std::uint32_t tail = 0; tail < (1U << rest); ++tail) {
                Entry entry{0, 0, static_cast<std::int16_t>(category), 0, static_cast<std::uint8_t>(length), kCategory};
                if (category <= rest) {
                    const std::uint32_t magnitude = tail >> (rest - category);
                    const auto both = static_cast<std::uint8_t>(length + category);
                    entry = {both, 1, category == 0 ? std::int16_t{0} : extend(magnitude, category), 0, both, 0};
                }
                entries_[(code << rest) | tail] = entry;
            }
        }
        limit_[length] = code << (16U - length);
        code <<= 1U;
    }
    join_pairs();
    return codes_ != 0;
}

/// A whole difference after a whole one, where the bits that are looked up hold both.
void DifferenceTable::join_pairs() noexcept {
    constexpr unsigned kMask = (1U << kLookup) - 1U;
    for (unsigned bits = 0; bits <= kMask; ++bits) {
        Entry& entry = entries_[bits];
        if (entry.count == 0) {
            continue;
        }
        const Entry& next = entries_[(bits << entry.first_length) & kMask];
        if (next.count != 0 && entry.first_length + next.first_length <= static_cast<int>(kLookup)) {
            entry.second = next.first;
            entry.count = 2;
            entry.length = static_cast<std::uint8_t>(entry.first_length + next.first_length);
        }
    }
}

std::int16_t DifferenceTable::next_long(BitReader& reader, Entry entry, std::uint32_t& bad) const noexcept {
    unsigned category = 0;
    if (entry.kind == kCategory) {
        category = static_cast<unsigned>(entry.first);
        reader.skip(entry.first_length);
    } else {
        const std::uint32_t pattern = reader.peek(16);
        unsigned length = 1;
        while (length <= 16 && pattern >= limit_[length]) {
            ++length;
        }
        if (length > 16) {
            bad = 1;
            reader.skip(1);
            return 0;
        }
        const auto index = first_[length] + static_cast<std::int32_t>(pattern >> (16U - length));
        category = categories_[static_cast<std::size_t>(index)];
        reader.skip(length);
    }
    if (category == 0) {
        return 0;
    }
    if (category == 16) {  // H.1.2.2: exactly 32768, no magnitude bits
        return -32768;
    }
    const std::uint32_t magnitude = reader.peek(category);
    reader.skip(category);
    return extend(magnitude, category);
}

}  // namespace hilum::codec
