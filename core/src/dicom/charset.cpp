// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/charset.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "charset_tables.hpp"

namespace hilum::dicom {
namespace {

using charset::SingleByte;
using Byte = unsigned char;

/// Sets that G0 or G1 may hold. Single-byte sets of G1 are kFirstSingleByte + SingleByte.
enum GraphicSet : std::uint8_t {
    kAscii = CharacterSet::kAscii,
    kRoman,     ///< ISO-IR 14, JIS X 0201 romaji
    kKatakana,  ///< ISO-IR 13, JIS X 0201 katakana
    kKanji,     ///< ISO-IR 87, JIS X 0208
    kKanji2,    ///< ISO-IR 159, JIS X 0212
    kKorean,    ///< ISO-IR 149, KS X 1001
    kChinese,   ///< ISO-IR 58, GB 2312
    kFirstSingleByte,
    kNoSet = CharacterSet::kNone,
};

constexpr std::uint8_t single(SingleByte set) {
    return static_cast<std::uint8_t>(unsigned{kFirstSingleByte} + unsigned{set});
}

constexpr Byte kEsc = 0x1B;
constexpr std::uint32_t kReplacement = 0xFFFD;

// ---------------------------------------------------------------------------------------------- terms

using Coding = CharacterSet::Coding;

struct Term {
    std::string_view key;   ///< letters and digits of the term, upper case
    std::string_view name;  ///< as the standard spells it; empty: a name from elsewhere
    Coding coding;
    std::uint8_t g0;
    std::uint8_t g1;
};

// PS3.3 Tables C.12-2 to C.12-5.
constexpr std::array kTerms{
    Term{"ISOIR6", "ISO_IR 6", Coding::iso2022, kAscii, kNoSet},
    Term{"ISOIR13", "ISO_IR 13", Coding::iso2022, kRoman, kKatakana},
    Term{"ISOIR100", "ISO_IR 100", Coding::iso2022, kAscii, single(SingleByte::latin1)},
    Term{"ISOIR101", "ISO_IR 101", Coding::iso2022, kAscii, single(SingleByte::latin2)},
    Term{"ISOIR109", "ISO_IR 109", Coding::iso2022, kAscii, single(SingleByte::latin3)},
    Term{"ISOIR110", "ISO_IR 110", Coding::iso2022, kAscii, single(SingleByte::latin4)},
    Term{"ISOIR126", "ISO_IR 126", Coding::iso2022, kAscii, single(SingleByte::greek)},
    Term{"ISOIR127", "ISO_IR 127", Coding::iso2022, kAscii, single(SingleByte::arabic)},
    Term{"ISOIR138", "ISO_IR 138", Coding::iso2022, kAscii, single(SingleByte::hebrew)},
    Term{"ISOIR144", "ISO_IR 144", Coding::iso2022, kAscii, single(SingleByte::cyrillic)},
    Term{"ISOIR148", "ISO_IR 148", Coding::iso2022, kAscii, single(SingleByte::latin5)},
    Term{"ISOIR166", "ISO_IR 166", Coding::iso2022, kAscii, single(SingleByte::thai)},
    Term{"ISOIR203", "ISO_IR 203", Coding::iso2022, kAscii, single(SingleByte::latin9)},
    Term{"ISOIR192", "ISO_IR 192", Coding::utf8, kAscii, kNoSet},
    Term{"ISO2022IR6", "ISO 2022 IR 6", Coding::iso2022, kAscii, kNoSet},
    Term{"ISO2022IR13", "ISO 2022 IR 13", Coding::iso2022, kRoman, kKatakana},
    Term{"ISO2022IR100", "ISO 2022 IR 100", Coding::iso2022, kAscii, single(SingleByte::latin1)},
    Term{"ISO2022IR101", "ISO 2022 IR 101", Coding::iso2022, kAscii, single(SingleByte::latin2)},
    Term{"ISO2022IR109", "ISO 2022 IR 109", Coding::iso2022, kAscii, single(SingleByte::latin3)},
    Term{"ISO2022IR110", "ISO 2022 IR 110", Coding::iso2022, kAscii, single(SingleByte::latin4)},
    Term{"ISO2022IR126", "ISO 2022 IR 126", Coding::iso2022, kAscii, single(SingleByte::greek)},
    Term{"ISO2022IR127", "ISO 2022 IR 127", Coding::iso2022, kAscii, single(SingleByte::arabic)},
    Term{"ISO2022IR138", "ISO 2022 IR 138", Coding::iso2022, kAscii, single(SingleByte::hebrew)},
    Term{"ISO2022IR144", "ISO 2022 IR 144", Coding::iso2022, kAscii, single(SingleByte::cyrillic)},
    Term{"ISO2022IR148", "ISO 2022 IR 148", Coding::iso2022, kAscii, single(SingleByte::latin5)},
    Term{"ISO2022IR166", "ISO 2022 IR 166", Coding::iso2022, kAscii, single(SingleByte::thai)},
    Term{"ISO2022IR203", "ISO 2022 IR 203", Coding::iso2022, kAscii, single(SingleByte::latin9)},
    Term{"ISO2022IR87", "ISO 2022 IR 87", Coding::iso2022, kAscii, kNoSet},
    Term{"ISO2022IR159", "ISO 2022 IR 159", Coding::iso2022, kAscii, kNoSet},
    Term{"ISO2022IR149", "ISO 2022 IR 149", Coding::iso2022, kAscii, kKorean},
    Term{"ISO2022IR58", "ISO 2022 IR 58", Coding::iso2022, kAscii, kChinese},
    Term{"GB18030", "GB18030", Coding::gb18030, kAscii, kNoSet},
    Term{"GBK", "GBK", Coding::gb18030, kAscii, kNoSet},
    // Not the standard's, but met in files, or accepted by others.
    Term{"ISOIR14", "", Coding::iso2022, kRoman, kKatakana},
    Term{"ISOIR58", "", Coding::iso2022, kAscii, kChinese},
    Term{"ISOIR87", "", Coding::iso2022, kAscii, kNoSet},
    Term{"ISOIR149", "", Coding::iso2022, kAscii, kKorean},
    Term{"ISOIR159", "", Coding::iso2022, kAscii, kNoSet},
    Term{"ISO202258", "", Coding::iso2022, kAscii, kChinese},
    Term{"ISO2022GBK", "", Coding::gb18030, kAscii, kNoSet},
    Term{"ISO2022GB18030", "", Coding::gb18030, kAscii, kNoSet},
    Term{"ISO2022IR192", "", Coding::utf8, kAscii, kNoSet},
    Term{"UTF8", "", Coding::utf8, kAscii, kNoSet},
    Term{"ASCII", "", Coding::iso2022, kAscii, kNoSet},
    Term{"USASCII", "", Coding::iso2022, kAscii, kNoSet},
    Term{"LATIN1", "", Coding::iso2022, kAscii, single(SingleByte::latin1)},
    Term{"ISO8859", "", Coding::iso2022, kAscii, single(SingleByte::latin1)},
    Term{"ISO88591", "", Coding::iso2022, kAscii, single(SingleByte::latin1)},
    Term{"ISO88592", "", Coding::iso2022, kAscii, single(SingleByte::latin2)},
    Term{"ISO88593", "", Coding::iso2022, kAscii, single(SingleByte::latin3)},
    Term{"ISO88594", "", Coding::iso2022, kAscii, single(SingleByte::latin4)},
    Term{"ISO88595", "", Coding::iso2022, kAscii, single(SingleByte::cyrillic)},
    Term{"ISO88596", "", Coding::iso2022, kAscii, single(SingleByte::arabic)},
    Term{"ISO88597", "", Coding::iso2022, kAscii, single(SingleByte::greek)},
    Term{"ISO88598", "", Coding::iso2022, kAscii, single(SingleByte::hebrew)},
    Term{"ISO88599", "", Coding::iso2022, kAscii, single(SingleByte::latin5)},
    Term{"ISO885915", "", Coding::iso2022, kAscii, single(SingleByte::latin9)},
    Term{"TIS620", "", Coding::iso2022, kAscii, single(SingleByte::thai)},
    Term{"GB2312", "", Coding::gb18030, kAscii, kNoSet},
    Term{"EUCKR", "", Coding::iso2022, kAscii, kKorean},
    Term{"SHIFTJIS", "", Coding::iso2022, kRoman, kKatakana},
    Term{"SJIS", "", Coding::iso2022, kRoman, kKatakana},
};

std::string_view trim(std::string_view text) noexcept {
    const auto padding = [](char c) { return c == ' ' || c == '\0'; };
    while (!text.empty() && padding(text.back())) {
        text.remove_suffix(1);
    }
    while (!text.empty() && padding(text.front())) {
        text.remove_prefix(1);
    }
    return text;
}

const Term* find_term(std::string_view text) noexcept {
    std::array<char, 16> key{};
    std::size_t length = 0;
    for (const char c : text) {
        const bool digit = c >= '0' && c <= '9';
        const bool upper = c >= 'A' && c <= 'Z';
        const bool lower = c >= 'a' && c <= 'z';
        if (!digit && !upper && !lower) {
            continue;
        }
        if (length == key.size()) {
            return nullptr;
        }
        key[length++] = lower ? static_cast<char>(c - 'a' + 'A') : c;
    }
    const auto found = std::find_if(kTerms.begin(), kTerms.end(),
                                    [&](const Term& term) { return term.key == std::string_view(key.data(), length); });
    return found == kTerms.end() ? nullptr : &*found;
}

// ---------------------------------------------------------------------------------------------- UTF-8

void append_point(std::string& out, std::uint32_t point) {
    std::array<char, 4> units{};
    std::size_t length = 0;
    const auto put = [&](std::uint32_t value) { units[length++] = static_cast<char>(value); };
    if (point < 0x80) {
        put(point);
    } else if (point < 0x800) {
        put(0xC0 | (point >> 6));
        put(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        put(0xE0 | (point >> 12));
        put(0x80 | ((point >> 6) & 0x3F));
        put(0x80 | (point & 0x3F));
    } else {
        put(0xF0 | (point >> 18));
        put(0x80 | ((point >> 12) & 0x3F));
        put(0x80 | ((point >> 6) & 0x3F));
        put(0x80 | (point & 0x3F));
    }
    out.append(units.data(), length);
}

struct Sequence {
    std::size_t length;  ///< bytes of the character, or of the maximal subpart that is to be replaced
    bool valid;
};

/// The character that starts at `text[0]` (Unicode 3.9, Table 3-7).
Sequence utf8_sequence(const Byte* text, std::size_t left) noexcept {
    const Byte lead = text[0];
    if (lead < 0x80) {
        return {1, true};
    }
    Byte low = 0x80;
    Byte high = 0xBF;
    std::size_t length = 0;
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        low = lead == 0xE0 ? 0xA0 : low;
        high = lead == 0xED ? 0x9F : high;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        low = lead == 0xF0 ? 0x90 : low;
        high = lead == 0xF4 ? 0x8F : high;
    } else {
        return {1, false};
    }
    for (std::size_t i = 1; i < length; ++i) {
        if (i == left || text[i] < low || text[i] > high) {
            return {i, false};
        }
        low = 0x80;
        high = 0xBF;
    }
    return {length, true};
}

bool append_checked_utf8(std::string& out, std::string_view text) {
    const auto* bytes = reinterpret_cast<const Byte*>(text.data());
    bool clean = true;
    std::size_t begin = 0;
    std::size_t at = 0;
    while (at < text.size()) {
        const Sequence sequence = utf8_sequence(bytes + at, text.size() - at);
        if (!sequence.valid) {
            out.append(text.substr(begin, at - begin));
            append_point(out, kReplacement);
            clean = false;
            begin = at + sequence.length;
        }
        at += sequence.length;
    }
    out.append(text.substr(begin));
    return clean;
}

// ---------------------------------------------------------------------------------------------- GB18030

std::uint32_t gb18030_four(const Byte* text) noexcept {
    const auto digit = [](Byte b) { return b >= 0x30 && b <= 0x39; };
    const auto lead = [](Byte b) { return b >= 0x81 && b <= 0xFE; };
    if (!digit(text[1]) || !lead(text[2]) || !digit(text[3])) {
        return 0;
    }
    const std::uint32_t linear =
        (((text[0] - 0x81U) * 10U + (text[1] - 0x30U)) * 126U + (text[2] - 0x81U)) * 10U + (text[3] - 0x30U);
    constexpr std::uint32_t kSupplementary = (0x90U - 0x81U) * 12600U;
    if (linear >= kSupplementary) {
        const std::uint32_t point = linear - kSupplementary + 0x10000U;
        return point <= 0x10FFFF ? point : 0;
    }
    const auto& runs = charset::kGb18030Runs;
    const auto after = std::upper_bound(runs.begin(), runs.end(), linear,
                                        [](std::uint32_t value, const charset::Run& run) { return value < run.first; });
    if (after == runs.begin()) {
        return 0;
    }
    const charset::Run& run = *(after - 1);
    return linear - run.first < run.length ? run.point + (linear - run.first) : 0;
}

bool append_gb18030(std::string& out, std::string_view text) {
    const auto* bytes = reinterpret_cast<const Byte*>(text.data());
    const std::size_t size = text.size();
    bool clean = true;
    for (std::size_t at = 0; at < size;) {
        const Byte lead = bytes[at];
        if (lead < 0x80) {
            out.push_back(static_cast<char>(lead));
            ++at;
            continue;
        }
        std::uint32_t point = 0;
        std::size_t length = 1;
        if (lead != 0x80 && lead != 0xFF && at + 1 < size) {
            const Byte trail = bytes[at + 1];
            if (trail >= 0x40 && trail != 0x7F && trail != 0xFF) {
                length = 2;
                point = charset::kGb18030[(lead - 0x81U) * 190U + (trail - (trail > 0x7F ? 0x41U : 0x40U))];
            } else if (at + 3 < size) {
                length = 4;
                point = gb18030_four(bytes + at);
            }
        }
        clean &= point != 0;
        append_point(out, point != 0 ? point : kReplacement);
        at += point != 0 ? length : 1;
    }
    return clean;
}

// ---------------------------------------------------------------------------------------------- ISO 2022

struct Escape {
    std::string_view sequence;  ///< after ESC
    bool g0;
    std::uint8_t set;
};

// PS3.3 Tables C.12-3 and C.12-4; "$@" is JIS X 0208 of 1978, "$(B" the longer form of "$B".
constexpr std::array kEscapes{
    Escape{"(B", true, kAscii},
    Escape{"(J", true, kRoman},
    Escape{")I", false, kKatakana},
    Escape{"-A", false, single(SingleByte::latin1)},
    Escape{"-B", false, single(SingleByte::latin2)},
    Escape{"-C", false, single(SingleByte::latin3)},
    Escape{"-D", false, single(SingleByte::latin4)},
    Escape{"-F", false, single(SingleByte::greek)},
    Escape{"-G", false, single(SingleByte::arabic)},
    Escape{"-H", false, single(SingleByte::hebrew)},
    Escape{"-L", false, single(SingleByte::cyrillic)},
    Escape{"-M", false, single(SingleByte::latin5)},
    Escape{"-T", false, single(SingleByte::thai)},
    Escape{"-b", false, single(SingleByte::latin9)},
    Escape{"$B", true, kKanji},
    Escape{"$@", true, kKanji},
    Escape{"$(B", true, kKanji},
    Escape{"$(D", true, kKanji2},
    Escape{"$)C", false, kKorean},
    Escape{"$)A", false, kChinese},
};

/// Two bytes of a 94x94 set, top bits removed. 0 = none.
std::uint32_t from_94(std::uint8_t set, unsigned lead, unsigned trail) noexcept {
    if (lead < 0x21 || lead > 0x7E || trail < 0x21 || trail > 0x7E) {
        return 0;
    }
    const std::size_t cell = (lead - 0x21U) * 94U + (trail - 0x21U);
    switch (set) {
        case kKanji:
            return charset::kJisX0208[cell];
        case kKanji2:
            return charset::kJisX0212[cell];
        case kKorean:
            return charset::kKsX1001[cell];
        default:
            return charset::kGb2312[cell];
    }
}

/// JIS X 0208 character of a shift-JIS pair. 0 = none.
std::uint32_t from_shift_jis(Byte lead, Byte trail) noexcept {
    const bool lead_ok = (lead >= 0x81 && lead <= 0x9F) || (lead >= 0xE0 && lead <= 0xEF);
    if (!lead_ok || trail < 0x40 || trail == 0x7F || trail > 0xFC) {
        return 0;
    }
    const unsigned pair = lead - (lead >= 0xE0 ? 0xC1U : 0x81U);
    unsigned cell = trail - (trail > 0x7F ? 0x41U : 0x40U);
    unsigned row = pair * 2;
    if (cell >= 94) {
        cell -= 94;
        ++row;
    }
    return from_94(kKanji, 0x21 + row, 0x21 + cell);
}

class Iso2022 {
public:
    Iso2022(std::string& out, std::string_view text, const CharacterSet& cs, TextKind kind)
        : out_(out), bytes_(reinterpret_cast<const Byte*>(text.data())), size_(text.size()), cs_(cs), kind_(kind) {
        reset();
    }

    bool run() {
        while (at_ < size_) {
            const Byte byte = bytes_[at_];
            if (byte == kEsc && escape()) {
                continue;
            }
            if (byte >= 0x80) {
                right(byte);
            } else if (byte > 0x20 && byte < 0x7F) {
                left(byte);
            } else {
                control(byte);
            }
        }
        return clean_;
    }

private:
    void reset() noexcept {
        g0_ = cs_.g0;
        g1_ = cs_.g1 != kNoSet ? cs_.g1 : cs_.extension;
    }

    void put(std::uint32_t point, std::size_t length) {
        clean_ &= point != 0;
        append_point(out_, point != 0 ? point : kReplacement);
        at_ += point != 0 ? length : 1;
    }

    bool escape() noexcept {
        for (const Escape& escape : kEscapes) {
            const std::size_t length = escape.sequence.size();
            if (size_ - at_ > length && std::memcmp(bytes_ + at_ + 1, escape.sequence.data(), length) == 0) {
                (escape.g0 ? g0_ : g1_) = escape.set;
                at_ += 1 + length;
                return true;
            }
        }
        return false;
    }

    void control(Byte byte) {
        if (byte == '\r' || byte == '\n' || byte == '\f' || byte == '\t') {
            reset();
        }
        clean_ &= byte != kEsc;
        out_.push_back(static_cast<char>(byte));
        ++at_;
    }

    void left(Byte byte) {
        if (g0_ == kKanji || g0_ == kKanji2) {
            put(at_ + 1 < size_ ? from_94(g0_, byte, bytes_[at_ + 1]) : 0, 2);
            return;
        }
        const bool separates = kind_ != TextKind::text && byte == '\\';
        if (separates || (kind_ == TextKind::person_name && (byte == '^' || byte == '='))) {
            reset();
        } else if (g0_ == kRoman && (byte == '\\' || byte == '~')) {
            put(byte == '\\' ? 0xA5U : 0x203EU, 1);
            return;
        }
        out_.push_back(static_cast<char>(byte));
        ++at_;
    }

    void right(Byte byte) {
        const Byte next = at_ + 1 < size_ ? bytes_[at_ + 1] : Byte{0};
        if (g1_ == kKorean || g1_ == kChinese) {
            put(next >= 0x80 ? from_94(g1_, byte & 0x7FU, next & 0x7FU) : 0, 2);
        } else if (g1_ == kKatakana) {
            const bool kana = byte >= 0xA1 && byte <= 0xDF;
            put(kana ? 0xFF61U + (byte - 0xA1U) : from_shift_jis(byte, next), kana ? 1 : 2);
        } else if (g1_ == kNoSet) {
            put(byte, 1);  // Latin-1; values that are valid UTF-8 do not come here
        } else {
            put(charset::kSingleByte[static_cast<std::size_t>(g1_ - kFirstSingleByte)][byte - 0x80U], 1);
        }
    }

    std::string& out_;
    const Byte* bytes_;
    std::size_t size_;
    const CharacterSet& cs_;
    TextKind kind_;
    std::size_t at_ = 0;
    std::uint8_t g0_ = kAscii;
    std::uint8_t g1_ = kNoSet;
    bool clean_ = true;
};

}  // namespace

CharacterSet parse_character_set(std::string_view value) noexcept {
    CharacterSet result;
    bool first = true;
    bool several_extensions = false;
    for (bool more = true; more; first = false) {
        const std::size_t end = value.find('\\');
        const std::string_view text = trim(value.substr(0, end));
        more = end != std::string_view::npos;
        value.remove_prefix(more ? end + 1 : value.size());
        if (text.empty()) {
            continue;
        }
        const Term* term = find_term(text);
        if (term == nullptr) {
            result.unknown = true;
            continue;
        }
        result.misspelt |= term->name != text;
        if (first) {
            result.coding = term->coding;
            result.g0 = term->g0;
            result.g1 = term->g1;
        } else if (term->coding != Coding::iso2022 || result.coding != Coding::iso2022) {
            result.ignored = true;  // PS3.5 6.1.2.5.4 d: these do not mix with code extensions
        } else if (term->g1 == kKorean || term->g1 == kChinese) {
            several_extensions |= result.extension != kNoSet;
            result.extension = term->g1;
        } else if (term->g1 != kNoSet) {
            several_extensions = true;
        }
    }
    if (several_extensions) {
        result.extension = kNoSet;
    }
    return result;
}

bool append_utf8(std::string& out, std::span<const std::byte> raw, const CharacterSet& cs, TextKind kind) {
    const std::string_view text(reinterpret_cast<const char*>(raw.data()), raw.size());
    const std::size_t plain = plain_prefix(text);
    if (plain == text.size() && cs.g0 == kAscii) {
        out.append(text);
        return true;
    }
    switch (cs.coding) {
        case Coding::utf8:
            return append_checked_utf8(out, text);
        case Coding::gb18030:
            return append_gb18030(out, text);
        case Coding::iso2022:
            break;
    }
    const bool undeclared = cs.g1 == kNoSet && cs.extension == kNoSet;
    if (undeclared && text.find(static_cast<char>(kEsc), plain) == std::string_view::npos && is_valid_utf8(text)) {
        out.append(text);
        return true;
    }
    return Iso2022(out, text, cs, kind).run();
}

std::string to_utf8(std::span<const std::byte> raw, const CharacterSet& cs, TextKind kind) {
    std::string out;
    out.reserve(raw.size());
    append_utf8(out, raw, cs, kind);
    return out;
}

bool is_valid_utf8(std::string_view text) noexcept {
    const auto* bytes = reinterpret_cast<const Byte*>(text.data());
    for (std::size_t at = 0; at < text.size();) {
        const Sequence sequence = utf8_sequence(bytes + at, text.size() - at);
        if (!sequence.valid) {
            return false;
        }
        at += sequence.length;
    }
    return true;
}

std::size_t utf8_prefix(std::string_view text, std::size_t limit) noexcept {
    if (text.size() <= limit) {
        return text.size();
    }
    while (limit > 0 && (static_cast<Byte>(text[limit]) & 0xC0U) == 0x80U) {
        --limit;
    }
    return limit;
}

std::size_t plain_prefix(std::string_view text) noexcept {
    constexpr std::uint64_t kHigh = 0x8080808080808080ULL;
    constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
    constexpr std::uint64_t kEscapeBytes = kOnes * kEsc;
    std::size_t at = 0;
    for (; at + 8 <= text.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + at, 8);
        const std::uint64_t escape = word ^ kEscapeBytes;
        if (((word | ((escape - kOnes) & ~escape)) & kHigh) != 0) {
            break;
        }
    }
    while (at < text.size() && static_cast<Byte>(text[at]) < 0x80 && text[at] != static_cast<char>(kEsc)) {
        ++at;
    }
    return at;
}

}  // namespace hilum::dicom
