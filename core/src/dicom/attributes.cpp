// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/attributes.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "hilum/byte_order.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::dicom {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kEntryHeader = 8;
constexpr std::size_t kMaxPaths = 1024;
constexpr std::size_t kMaxPathLevels = 8;

void set_u16(std::string& out, std::size_t at, std::size_t value) noexcept {
    out[at] = static_cast<char>(value & 0xFFU);
    out[at + 1] = static_cast<char>((value >> 8U) & 0xFFU);
}

/// Header of an entry whose length is set when its value is there.
std::size_t open_entry(std::string& out, Tag tag, Vr vr) {
    const std::size_t at = out.size();
    out.resize(at + kEntryHeader);
    auto* to = reinterpret_cast<std::byte*>(out.data() + at);
    store(to, tag.value);
    store(to + 4, static_cast<std::uint16_t>(vr));
    store(to + 6, std::uint16_t{0});
    return at;
}

void close_entry(std::string& out, std::size_t at) noexcept {
    set_u16(out, at + 6, out.size() - at - kEntryHeader);
}

constexpr bool is_padding(char c) noexcept {
    return c == ' ' || c == '\0';
}

/// Remove padding behind each value of out[from:], in front of it too where blanks mean nothing (`leading`: numbers,
/// codes, dates, UIDs; PS3.5 table 6.2-1). `single`: there is but one value.
void strip(std::string& out, std::size_t from, bool single, bool leading) {
    while (out.size() > from && is_padding(out.back())) {
        out.pop_back();
    }
    const bool several = !single && out.find('\\', from) != std::string::npos;
    if (!several && !(leading && out.size() > from && out[from] == ' ')) {
        return;
    }
    std::size_t to = from;
    std::size_t start = from;  // of the value that is being copied
    for (std::size_t i = from; i < out.size(); ++i) {
        if (out[i] == ' ' && leading && to == start) {
            continue;
        }
        if (out[i] == '\\' && several) {
            while (to > start && is_padding(out[to - 1])) {
                --to;
            }
            start = to + 1;
        }
        out[to++] = out[i];
    }
    out.resize(to);
}

void append_text(std::string& out, const Element& element, Vr vr, const CharacterSet& charset) {
    const VrTraits& traits = traits_of(vr);
    const std::size_t from = out.size();
    // No character takes more than 8 bytes with its escapes, so what is behind cannot matter.
    const std::size_t enough = std::size_t{limits::kMaxIndexedValueBytes} * 8;
    const Bytes raw = element.value.first(std::min(element.value.size(), enough));
    const std::string_view characters(reinterpret_cast<const char*>(raw.data()), raw.size());
    if (plain_prefix(characters) == raw.size()) {
        out.append(characters);
    } else {
        const TextKind kind = vr == Vr::PN ? TextKind::person_name : traits.single ? TextKind::text : TextKind::values;
        append_utf8(out, raw, traits.text ? charset : CharacterSet{}, kind);
    }
    strip(out, from, traits.single, !traits.text);
    if (out.size() - from > limits::kMaxIndexedValueBytes) {
        const std::string_view value(out.data() + from, out.size() - from);
        out.resize(from + utf8_prefix(value, limits::kMaxIndexedValueBytes));
    }
}

template <typename Number>
void append_decimal(std::string& out, Number number) {
    char digits[32];
    const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
    out.append(digits, end);
}

template <typename Stored, typename Number = Stored>
void append_one(std::string& out, const std::byte* at, bool big_endian) {
    append_decimal(out, static_cast<Number>(load<Stored>(at, big_endian)));
}

void append_attribute_tag(std::string& out, const std::byte* at, bool big_endian) {
    const Tag tag{load<std::uint16_t>(at, big_endian), load<std::uint16_t>(at + 2, big_endian)};
    constexpr char kDigits[] = "0123456789ABCDEF";
    for (unsigned shift = 28; shift <= 28; shift -= 4) {
        out.push_back(kDigits[(tag.value >> shift) & 0xFU]);
    }
}

/// One number; false if the VR has none.
bool append_number(std::string& out, Vr vr, const std::byte* at, bool big) {
    switch (vr) {
        case Vr::US:
            append_one<std::uint16_t>(out, at, big);
            return true;
        case Vr::SS:
            append_one<std::uint16_t, std::int16_t>(out, at, big);
            return true;
        case Vr::UL:
            append_one<std::uint32_t>(out, at, big);
            return true;
        case Vr::SL:
            append_one<std::uint32_t, std::int32_t>(out, at, big);
            return true;
        case Vr::UV:
            append_one<std::uint64_t>(out, at, big);
            return true;
        case Vr::SV:
            append_one<std::uint64_t, std::int64_t>(out, at, big);
            return true;
        case Vr::FL:
            append_decimal(out, std::bit_cast<float>(load<std::uint32_t>(at, big)));
            return true;
        case Vr::FD:
            append_decimal(out, std::bit_cast<double>(load<std::uint64_t>(at, big)));
            return true;
        case Vr::AT:
            append_attribute_tag(out, at, big);
            return true;
        default:
            return false;
    }
}

bool append_numbers(std::string& out, const Element& element, Vr vr) {
    const std::size_t size = vr == Vr::AT ? 4 : traits_of(vr).unit;
    const std::size_t from = out.size();
    for (std::size_t i = 0; i + size <= element.value.size(); i += size) {
        const std::size_t before = out.size();
        if (i > 0) {
            out.push_back('\\');
        }
        if (!append_number(out, vr, element.value.data() + i, element.encoding.big_endian)) {
            return false;
        }
        if (out.size() - from > limits::kMaxIndexedValueBytes) {
            out.resize(before);
            break;
        }
    }
    return true;
}

void append_list(std::string& out, Bytes data, ElementReader& reader, std::span<const Wanted> wanted,
                 CharacterSet charset, Warnings& warnings) {
    auto next = wanted.begin();
    Element element;
    while (reader.next(element)) {
        if (element.tag == tags::kSpecificCharacterSet) {
            charset = parse_character_set(element.characters());
        }
        if (next != wanted.begin() && element.tag <= (next - 1)->tag) {
            continue;  // out of order or a second time: lists are sorted
        }
        while (next != wanted.end() && next->tag < element.tag) {
            ++next;
        }
        if (next == wanted.end()) {
            return;
        }
        if (next->tag == element.tag) {
            append_attribute(out, data, element, *next, charset, warnings);
            ++next;
        }
    }
}

/// The items of a sequence behind their lengths. Reads from the element's own header, so that the place of the reader
/// that found it does not matter.
void append_items(std::string& out, Bytes data, const Element& element, std::span<const Wanted> wanted,
                  const CharacterSet& charset, Warnings& warnings) {
    const std::size_t from = out.size();
    ElementReader parent(data, element.offset, element.encoding, warnings);
    Element again;
    if (!parent.next(again)) {
        return;
    }
    SequenceReader items(parent, again);
    for (ElementReader item; items.next(item);) {
        const std::size_t at = out.size();
        out.append(2, '\0');
        append_list(out, data, item, wanted, charset, warnings);
        if (out.size() - from > kMaxIndexedSequenceBytes) {
            out.resize(at);
            return;
        }
        set_u16(out, at, out.size() - at - 2);
    }
}

/// The VR by which the value is written.
Vr value_vr(const Element& element, Vr known) noexcept {
    const bool written = element.vr != Vr::none && element.vr != Vr::UN && traits_of(element.vr).known;
    return written ? element.vr : known;
}

bool printable(Bytes value) noexcept {
    return std::all_of(value.begin(), value.end(), [](std::byte b) {
        const auto c = std::to_integer<unsigned>(b);
        return c == 0 || (c >= 0x20 && c < 0x7F);
    });
}

Tag parse_tag(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
    if (text.size() != 8 || error != std::errc{} || end != text.data() + text.size()) {
        throw Error(Errc::invalid_argument, "a tag path is tags of 8 hexadecimal digits with dots between");
    }
    return Tag{number};
}

std::vector<Tag> parse_path(std::string_view path) {
    std::vector<Tag> tags;
    while (tags.size() < kMaxPathLevels) {
        const std::size_t dot = path.find('.');
        tags.push_back(parse_tag(path.substr(0, dot)));
        if (dot == std::string_view::npos) {
            return tags;
        }
        path.remove_prefix(dot + 1);
    }
    throw Error(Errc::invalid_argument, "a tag path has too many levels");
}

}  // namespace

void append_attribute(std::string& out, Bytes data, const Element& element, const Wanted& wanted,
                      const CharacterSet& charset, Warnings& warnings) {
    const std::size_t at = open_entry(out, wanted.tag, wanted.vr);
    if (wanted.vr == Vr::SQ) {
        if (!element.is_sequence()) {
            warnings.add(Warning::bad_sequence);
            out.resize(at);
            return;
        }
        try {
            append_items(out, data, element, wanted.nested, charset, warnings);
            close_entry(out, at);
        } catch (const Error& error) {
            const bool contents = error.code() == Errc::bad_sequence || error.code() == Errc::nesting_too_deep;
            warnings.add(contents ? Warning::bad_sequence : Warning::value_length_past_end);
            out.resize(at);
        }
        return;
    }
    if (element.undefined_length()) {
        out.resize(at);
        return;
    }
    const Vr vr = value_vr(element, wanted.vr);
    const VrTraits& traits = traits_of(vr);
    const bool text = traits.string || traits_of(wanted.vr).string || (vr == Vr::UN && printable(element.value));
    if (traits.string || !append_numbers(out, element, vr)) {
        if (!text) {
            out.resize(at);
            return;
        }
        append_text(out, element, traits.string ? vr : traits_of(wanted.vr).string ? wanted.vr : Vr::LO, charset);
    }
    close_entry(out, at);
}

TagPaths::TagPaths(std::span<const std::string> paths) {
    if (paths.size() > kMaxPaths) {
        throw Error(Errc::invalid_argument, "too many tag paths");
    }
    std::vector<std::vector<Tag>> parsed;
    parsed.reserve(paths.size());
    for (const std::string& path : paths) {
        parsed.push_back(parse_path(path));
    }
    std::sort(parsed.begin(), parsed.end());
    parsed.erase(std::unique(parsed.begin(), parsed.end()), parsed.end());
    build(parsed, 0);
}

/// Children are built before their parents, so the roots are the last node.
std::span<const Wanted> TagPaths::build(std::span<const std::vector<Tag>> paths, std::size_t depth) {
    std::vector<Wanted> level;
    for (std::size_t first = 0; first < paths.size();) {
        const Tag tag = paths[first][depth];
        std::size_t last = first;
        while (last < paths.size() && paths[last][depth] == tag) {
            ++last;
        }
        // The path that ends here, if any, sorts before those that go on.
        const std::size_t deeper = paths[first].size() == depth + 1 ? first + 1 : first;
        Wanted wanted{tag, resolve_vr(dictionary_vr(tag), false), {}};
        if (deeper < last) {
            wanted.vr = Vr::SQ;
            wanted.nested = build(paths.subspan(deeper, last - deeper), depth + 1);
        }
        level.push_back(wanted);
        first = last;
    }
    nodes_.push_back(std::move(level));
    return nodes_.back();
}

std::string extract(Bytes object, std::span<const Wanted> wanted) {
    ObjectLayout layout = read_layout(object);
    std::vector<std::byte> inflated;
    Bytes data = object;
    if (layout.deflated) {
        inflated = inflate_object(object, layout);
        data = inflated;
    }
    Warnings warnings;
    std::string out;
    ElementReader reader(data, layout.dataset_offset, layout.encoding, warnings);
    append_list(out, data, reader, wanted, CharacterSet{}, warnings);
    return out;
}

}  // namespace hilum::dicom
