// SPDX-License-Identifier: Apache-2.0
#include "packed_text.hpp"

#include <algorithm>
#include <unordered_map>

#include "hilum/error.hpp"
#include "hilum/index/attributes.hpp"

namespace hilum::index {
namespace {

struct Head {
    std::uint32_t tag;
    char vr[2];
};

#include "stored_tables.inc"

constexpr std::size_t kHeadCount = std::size(kHeads);
static_assert(kHeadCount < 255 && std::size(kWords) == 64);

// Head bytes of texts.
constexpr std::uint8_t kNibbles = 0x60;  ///< and up: so many characters less one, two to a byte
constexpr std::uint8_t kWord = 0xA0;     ///< and up: a word of the table
constexpr std::uint8_t kSame = 0xE1;     ///< number of a remembered text
constexpr std::uint8_t kBegins = 0xE2;   ///< number of a remembered text, how much of it, then a plain text
constexpr std::uint8_t kLongRaw = 0xE3;  ///< varint length, bytes
constexpr std::uint8_t kLongNibbles = 0xE4;
constexpr std::uint8_t kMaxNibbles = 64;
constexpr std::size_t kWorthBeginning = 5;

constexpr std::string_view kAlphabet = "0123456789.-\\ \t:";

constexpr std::array<std::uint8_t, 256> make_codes() {
    std::array<std::uint8_t, 256> codes{};
    codes.fill(0xFF);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
        codes[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
    }
    return codes;
}
constexpr std::array<std::uint8_t, 256> kCodes = make_codes();

std::uint8_t code_of(char c) noexcept {
    return kCodes[static_cast<unsigned char>(c)];
}

const std::unordered_map<std::string_view, std::uint8_t>& words() {
    static const auto found = [] {
        std::unordered_map<std::string_view, std::uint8_t> out;
        for (std::size_t i = 0; i < std::size(kWords); ++i) {
            out.emplace(kWords[i], static_cast<std::uint8_t>(kWord + i));
        }
        return out;
    }();
    return found;
}

std::size_t common(std::string_view a, std::string_view b) noexcept {
    const std::size_t most = std::min({a.size(), b.size(), std::size_t{255}});
    return static_cast<std::size_t>(
        std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first - a.begin());
}

/// Code of an attribute's tag and VR; 0 when the table has none.
std::uint8_t head_code(const Attribute& attribute) noexcept {
    const auto* at = std::lower_bound(std::begin(kHeads), std::end(kHeads), attribute.tag,
                                      [](const Head& head, std::uint32_t tag) { return head.tag < tag; });
    if (at == std::end(kHeads) || at->tag != attribute.tag || !attribute.is({at->vr[0], at->vr[1], '\0'})) {
        return 0;
    }
    return static_cast<std::uint8_t>(at - std::begin(kHeads) + 1);
}

}  // namespace

void throw_bad_packing() {
    throw Error(Errc::bad_record, "index record is not packed as it should be");
}

void put_varint(std::uint64_t value, std::string& out) {
    while (value >= 0x80) {
        out.push_back(static_cast<char>(value | 0x80U));
        value >>= 7U;
    }
    out.push_back(static_cast<char>(value));
}

void set_le(std::uint64_t value, std::size_t size, char* at) noexcept {
    for (std::size_t i = 0; i < size; ++i) {
        at[i] = static_cast<char>(value >> (8 * i));
    }
}

void put_le(std::uint64_t value, std::size_t size, std::string& out) {
    char bytes[8];
    set_le(value, size, bytes);
    out.append(bytes, size);
}

std::uint64_t load_le(std::string_view bytes) noexcept {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
    }
    return value;
}

void PackedWriter::remember(std::string_view text) noexcept {
    if (text.size() >= kWorthRemembering) {
        seen_[std::min(count_, kRemembered - 1)] = text;
        count_ = std::min(count_ + 1, kRemembered);
    }
}

void PackedWriter::text(std::string_view text) {
    if (text.size() > 1) {
        if (const auto word = words().find(text); word != words().end()) {
            out_.push_back(static_cast<char>(word->second));
            return remember(text);
        }
    }
    std::size_t best = 0;
    std::size_t length = 0;
    for (std::size_t i = 0; i < count_ && text.size() >= kWorthRemembering; ++i) {
        if (seen_[i] == text) {
            out_.push_back(static_cast<char>(kSame));
            out_.push_back(static_cast<char>(i));
            return;
        }
        if (const std::size_t same = common(seen_[i], text); same > length) {
            best = i;
            length = same;
        }
    }
    if (length >= kWorthBeginning) {
        out_.push_back(static_cast<char>(kBegins));
        out_.push_back(static_cast<char>(best));
        out_.push_back(static_cast<char>(length));
        plain(text.substr(length));
    } else {
        plain(text);
    }
    remember(text);
}

void PackedWriter::plain(std::string_view text) {
    const bool nibbles =
        text.size() > 1 && std::all_of(text.begin(), text.end(), [](char c) { return code_of(c) < 16; });
    if (!nibbles) {
        if (text.size() < kNibbles) {
            out_.push_back(static_cast<char>(text.size()));
        } else {
            out_.push_back(static_cast<char>(kLongRaw));
            put_varint(text.size(), out_);
        }
        out_.append(text);
        return;
    }
    if (text.size() <= kMaxNibbles) {
        out_.push_back(static_cast<char>(kNibbles + text.size() - 1));
    } else {
        out_.push_back(static_cast<char>(kLongNibbles));
        put_varint(text.size(), out_);
    }
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const unsigned low = i + 1 < text.size() ? code_of(text[i + 1]) : 0U;
        out_.push_back(static_cast<char>(unsigned{code_of(text[i])} << 4U | low));
    }
}

bool PackedWriter::list(std::string_view list) {
    const std::size_t start = out_.size();
    const std::size_t remembered = count_;
    const std::string_view last = seen_[kRemembered - 1];
    try {
        std::uint64_t count = 0;
        AttributeCursor counter(list);
        Attribute attribute;
        while (counter.next(attribute)) {
            ++count;
        }
        put_varint(count, out_);
        AttributeCursor cursor(list);
        while (cursor.next(attribute)) {
            const std::uint8_t code = head_code(attribute);
            out_.push_back(static_cast<char>(code));
            if (code == 0) {
                put_le(attribute.tag, 4, out_);
                out_.append(attribute.vr, 2);
            }
            text(attribute.value);
        }
        return true;
    } catch (const Error&) {
        out_.resize(start);
        count_ = remembered;
        seen_[kRemembered - 1] = last;
        return false;
    }
}

std::string_view PackedReader::take(std::size_t size) {
    if (size > rest_.size()) {
        throw_bad_packing();
    }
    const std::string_view out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
}

std::uint64_t PackedReader::varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const std::uint64_t b = byte();
        value |= (b & 0x7FU) << shift;
        if (b < 0x80) {
            return value;
        }
    }
    throw_bad_packing();
}

PackedReader::Seen PackedReader::seen(std::size_t i) const {
    if (i >= count_) {
        throw_bad_packing();
    }
    return seen_[i];
}

void PackedReader::room(const std::string& out, std::size_t size) const {
    if (size > limit_ || out.size() - base_ > limit_ - size) {
        throw_bad_packing();
    }
}

void PackedReader::plain(std::uint8_t head, std::string& out) {
    if (head < kNibbles || head == kLongRaw) {
        const std::uint64_t size = head == kLongRaw ? varint() : head;
        const std::string_view bytes = take(size);
        room(out, size);
        out.append(bytes);
        return;
    }
    if (head >= kWord && head != kLongNibbles) {
        throw_bad_packing();
    }
    const std::uint64_t size = head == kLongNibbles ? varint() : head - kNibbles + 1U;
    if (size > limit_) {
        throw_bad_packing();
    }
    const std::string_view bytes = take((size + 1) / 2);
    room(out, size);
    const std::size_t start = out.size();
    out.resize(start + size);
    for (std::size_t i = 0; i < size; ++i) {
        const auto pair = static_cast<unsigned char>(bytes[i / 2]);
        out[start + i] = kAlphabet[i % 2 == 0 ? pair >> 4U : pair & 15U];
    }
}

void PackedReader::text(std::string& out) {
    const std::size_t start = out.size();
    const std::uint8_t head = byte();
    if (head == kSame) {
        const Seen found = seen(byte());
        room(out, found.size);
        out.append(out_, found.start, found.size);
        return;
    }
    if (head == kBegins) {
        const Seen found = seen(byte());
        const std::size_t size = byte();
        if (size > found.size) {
            throw_bad_packing();
        }
        room(out, size);
        out.append(out_, found.start, size);
        plain(byte(), out);
    } else if (head >= kWord && head < kWord + std::size(kWords)) {
        room(out, kWords[head - kWord].size());
        out.append(kWords[head - kWord]);
    } else {
        plain(head, out);
    }
    if (out.size() - start >= kWorthRemembering) {
        seen_[std::min(count_, kRemembered - 1)] = {start, out.size() - start};
        count_ = std::min(count_ + 1, kRemembered);
    }
}

void PackedReader::list(std::string& out) {
    for (std::uint64_t count = varint(); count > 0; --count) {
        const std::uint8_t code = byte();
        if (code > kHeadCount) {
            throw_bad_packing();
        }
        if (code == 0) {
            out.append(take(6));
        } else {
            put_le(kHeads[code - 1].tag, 4, out);
            out.append(kHeads[code - 1].vr, 2);
        }
        const std::size_t length_at = out.size();
        out.append(2, '\0');
        text(out);
        const std::size_t size = out.size() - length_at - 2;
        if (size > 0xFFFF) {
            throw_bad_packing();
        }
        set_le(size, 2, out.data() + length_at);
    }
}

void PackedReader::finish() const {
    if (!rest_.empty()) {
        throw_bad_packing();
    }
}

}  // namespace hilum::index
