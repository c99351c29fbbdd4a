// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/json.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "hilum/byte_order.hpp"
#include "hilum/dicom/charset.hpp"
#include "hilum/dicom/element.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/dicom/private_dictionary.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "json_values.hpp"

namespace hilum::dicom {
namespace {

using Bytes = std::span<const std::byte>;

constexpr Tag kLutDescriptor{0x00283002};
constexpr Tag kLutData{0x00283006};

/// Red, green, blue, alpha lookup table data, plain (1201-1204) and segmented (1221-1224).
constexpr bool is_palette(Tag tag) noexcept {
    return tag.group() == 0x0028 && (tag.element() & 0xFF0FU) >= 0x1201 && (tag.element() & 0xFF0FU) <= 0x1204 &&
           ((tag.element() & 0xF0U) == 0 || (tag.element() & 0xF0U) == 0x20);
}

std::string_view right_trimmed(std::string_view text) noexcept {
    while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) {
        text.remove_suffix(1);
    }
    return text;
}

std::string_view trimmed(std::string_view text) noexcept {
    text = right_trimmed(text);
    while (!text.empty() && text.front() == ' ') {
        text.remove_prefix(1);
    }
    return text;
}

/// Bytes of unknown VR that are to be shown as text must be text: no control characters but those of PS3.5 6.1.3, no
/// NUL but as padding.
bool may_be_text(std::string_view text) noexcept {
    return std::none_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t' && byte != '\f' && byte != 0x1B;
    });
}

bool starts_with_item(const Element& element) noexcept {
    const Bytes value = element.value;
    if (value.size() < 8) {
        return false;
    }
    const auto little = load<std::uint16_t>(value.data());
    const auto big = load<std::uint16_t>(value.data(), true);
    return little == 0xFFFE || big == 0xFFFE;
}

/// What the elements of one data set or item need to know of each other.
struct Level {
    CharacterSet character_set;
    std::optional<bool> pixels_signed;  ///< Pixel Representation of this level or one around it
    bool lut_of_one_entry = false;
    bool ordered = true;
    std::size_t members = 0;   ///< of Writer::members_, first of this level
    std::size_t creators = 0;  ///< of Writer::creators_, likewise
};

struct Member {
    Tag tag;
    std::size_t begin;  ///< in the output, after the comma
};

struct Block {
    Tag creator;  ///< of the Private Creator element
    std::string_view name;
    std::optional<PrivateOwner> owner;  ///< once it has been looked for
};

struct Added {
    Tag tag;
    std::string_view text;
};

/// Cut `"00083002":{...},"00081190":{...}` into members.
std::vector<Added> split_members(std::string_view text) {
    std::vector<Added> members;
    while (!text.empty()) {
        const auto tag = text.size() > 10 ? parse_tag(text.substr(1, 8)) : std::nullopt;
        if (!tag || text[0] != '"' || text[9] != '"') {
            throw Error(Errc::invalid_argument, "members to be added do not start with a tag");
        }
        int depth = 0;
        bool quoted = false;
        std::size_t at = 10;
        for (; at < text.size() && (quoted || depth > 0 || text[at] != ','); ++at) {
            const char c = text[at];
            if (quoted) {
                at += c == '\\' ? 1U : 0U;
                quoted = c != '"';
            } else {
                quoted = c == '"';
                depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
            }
        }
        if (quoted || depth != 0 || at > text.size()) {
            throw Error(Errc::invalid_argument, "members to be added are no JSON");
        }
        members.push_back({*tag, text.substr(0, at)});
        text.remove_prefix(std::min(at + 1, text.size()));
    }
    std::stable_sort(members.begin(), members.end(), [](const Added& a, const Added& b) { return a.tag < b.tag; });
    return members;
}

class Writer {
public:
    Writer(Bytes data, const ObjectLayout& layout, const JsonOptions& options, std::size_t end)
        : data_(data), layout_(layout), options_(options), end_(end), added_(split_members(options.add)) {
        json::append_escaped(uri_, options.bulk_data_uri);
        if (!uri_.empty()) {
            uri_.push_back('/');
        }
        out_.reserve(std::min<std::size_t>((end - layout.dataset_offset) * 2 + 4096, 1U << 20U));
    }

    std::string run() {
        Level level;
        ElementReader reader(data_.first(end_), layout_.dataset_offset, layout_.encoding, warnings_);
        out_.push_back('{');
        for (Element e; reader.next(e);) {
            if (e.tag.group() == 0x0000 || e.tag.group() == 0x0002 || !is_wanted(e.tag)) {
                note(e, level);
                continue;
            }
            add_members_before(e.tag, level);
            if (!is_added(e.tag)) {
                element(e, reader, level);
            }
        }
        pixel_member(level);
        add_members_before(Tag{0xFFFFFFFF}, level);
        close(level);
        return std::move(out_);
    }

private:
    bool is_wanted(Tag tag) const noexcept {
        return options_.wanted == nullptr ||
               std::find(options_.wanted->begin(), options_.wanted->end(), tag) != options_.wanted->end();
    }

    bool is_added(Tag tag) const noexcept {
        return std::any_of(added_.begin(), added_.end(), [tag](const Added& member) { return member.tag == tag; });
    }

    void add_members_before(Tag tag, Level& level) {
        for (; next_added_ < added_.size() && added_[next_added_].tag <= tag; ++next_added_) {
            begin_member(added_[next_added_].tag, level);
            out_.append(added_[next_added_].text);
        }
    }

    void begin_member(Tag tag, Level& level) {
        if (members_.size() > level.members) {
            out_.push_back(',');
            level.ordered &= members_.back().tag < tag;
        }
        members_.push_back({tag, out_.size()});
        if (out_.size() > limits::kMaxHeaderBytes) {
            throw Error(Errc::limit_exceeded, "the metadata is too large to be written as JSON");
        }
    }

    /// End of a level: members in ascending order (F.2.2), of several with one tag the last.
    void close(const Level& level) {
        if (!level.ordered) {
            sort_members(level);
        }
        members_.resize(level.members);
        creators_.resize(level.creators);
        out_.push_back('}');
    }

    void sort_members(const Level& level) {
        struct Piece {
            Tag tag;
            std::size_t begin;
            std::size_t end;
        };
        std::vector<Piece> pieces;
        for (std::size_t i = level.members; i < members_.size(); ++i) {
            const std::size_t end = i + 1 < members_.size() ? members_[i + 1].begin - 1 : out_.size();
            pieces.push_back({members_[i].tag, members_[i].begin, end});
        }
        std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.tag < b.tag; });
        const std::size_t begin = members_[level.members].begin;
        std::string sorted;
        sorted.reserve(out_.size() - begin);
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            if (i + 1 < pieces.size() && pieces[i + 1].tag == pieces[i].tag) {
                continue;
            }
            sorted.append(sorted.empty() ? "" : ",");
            sorted.append(out_, pieces[i].begin, pieces[i].end - pieces[i].begin);
        }
        out_.replace(begin, std::string::npos, sorted);
    }

    /// Remember what later elements of the level depend on.
    void note(const Element& e, Level& level) {
        if (e.tag == tags::kSpecificCharacterSet) {
            level.character_set = parse_character_set(e.characters());
        } else if (e.tag == tags::kPixelRepresentation && e.value.size() >= 2) {
            level.pixels_signed = load<std::uint16_t>(e.value.data(), e.encoding.big_endian) != 0;
        } else if (e.tag == kLutDescriptor && e.value.size() >= 2) {
            level.lut_of_one_entry = load<std::uint16_t>(e.value.data(), e.encoding.big_endian) == 1;
        } else if (e.tag.is_private_creator()) {
            creators_.push_back({e.tag, right_trimmed(e.characters()), std::nullopt});
        }
    }

    /// VR by the private dictionary, Vr::UN if it has none (PS3.5 section 7.8.1).
    Vr private_element_vr(Tag tag, const Level& level) noexcept {
        const Tag creator{tag.group(), static_cast<std::uint16_t>(tag.element() >> 8U)};
        // Elements ascend, so the creators of the group are the last: at most 240 are looked at.
        for (std::size_t i = creators_.size(); i > level.creators; --i) {
            Block& block = creators_[i - 1];
            if (block.creator == creator) {
                if (!block.owner) {
                    block.owner = find_private_owner(block.name);
                }
                return private_vr(*block.owner, tag);
            }
            if (block.creator.group() != tag.group()) {
                break;
            }
        }
        return Vr::UN;
    }

    /// Pixel Representation of the whole object where it stands after the element that needs it.
    bool top_level_signed() {
        if (!top_level_signed_) {
            top_level_signed_ = find_top_level_signed();
        }
        return *top_level_signed_;
    }

    bool find_top_level_signed() const {
        Warnings ignored;
        ElementReader reader(data_.first(end_), layout_.dataset_offset, layout_.encoding, ignored);
        for (Element e; reader.next(e) && e.tag <= tags::kPixelRepresentation;) {
            if (e.tag == tags::kPixelRepresentation && e.value.size() >= 2) {
                return load<std::uint16_t>(e.value.data(), e.encoding.big_endian) != 0;
            }
        }
        return false;
    }

    Vr vr_of(const Element& e, Level& level) {
        Vr vr = e.effective_vr();
        if (vr == Vr::UN && e.tag.is_private()) {
            vr = private_element_vr(e.tag, level);
        }
        if (vr == Vr::xs) {
            if (!level.pixels_signed) {
                level.pixels_signed = top_level_signed();
            }
            return *level.pixels_signed ? Vr::SS : Vr::US;
        }
        if (vr == Vr::xw && e.tag == kLutData && level.lut_of_one_entry) {
            return Vr::US;  // PS3.3 C.11.1.1.1
        }
        return resolve_vr(vr, false);
    }

    /// Whether the bytes can be a value of a VR that the dictionary gave, and not the data set.
    static bool plausible(const Element& e, Vr vr) noexcept {
        if (vr == Vr::SQ) {
            return e.undefined_length() || e.value.empty() || starts_with_item(e);
        }
        return !traits_of(vr).string || may_be_text(right_trimmed(e.characters()));
    }

    void element(const Element& e, ElementReader& reader, Level& level) {
        note(e, level);
        if (e.tag.is_group_length()) {
            return;  // F.2.2
        }
        Vr vr = vr_of(e, level);
        const bool guessed = e.vr == Vr::none || e.vr == Vr::UN;
        if (!traits_of(vr).known || (guessed && !plausible(e, vr))) {
            vr = Vr::UN;
        }
        begin_member(e.tag, level);
        const std::size_t begin = out_.size();
        open(e.tag, vr);
        if (vr == Vr::SQ) {
            sequence(e, reader, level, begin);
        } else {
            value(e, vr, reader.depth() == 0, level);
        }
        out_.push_back('}');
    }

    /// `"GGGGEEEE":{"vr":"XX"`
    void open(Tag tag, Vr vr) {
        char text[] = "\"GGGGEEEE\":{\"vr\":\"XX\"";
        json::write_tag(text + 1, tag);
        const auto number = static_cast<std::uint16_t>(vr);
        text[18] = static_cast<char>(number & 0xFFU);
        text[19] = static_cast<char>(number >> 8U);
        out_.append(text, sizeof text - 1);
    }

    void sequence(const Element& e, ElementReader& reader, const Level& level, std::size_t begin) {
        const std::size_t members = members_.size();
        const std::size_t creators = creators_.size();
        const std::size_t path = path_.size();
        try {
            items(e, reader, level);
        } catch (const Error& error) {
            if (error.code() == Errc::limit_exceeded) {
                throw;
            }
            members_.resize(members);
            creators_.resize(creators);
            path_.resize(path);
            out_.resize(begin);
            unreadable_sequence(e, reader.depth());
        }
    }

    /// If it is known where it ends, the bytes can be given out as they are.
    void unreadable_sequence(Element e, unsigned depth) {
        if (e.undefined_length()) {
            Warnings ignored;
            const std::size_t end = skip_undefined(data_.first(end_), e, end_, depth, ignored);
            e.length = static_cast<std::uint32_t>(end - 8 - e.value_offset);
            e.value = e.value.first(e.length);
        }
        open(e.tag, Vr::UN);
        if (e.length != 0) {
            binary(e, 1, false);
        }
    }

    void items(const Element& e, ElementReader& reader, const Level& level) {
        const std::size_t path = path_.size();
        json::append_tag(path_, e.tag);
        path_.push_back('/');
        SequenceReader sequence(reader, e);
        std::size_t index = 0;
        for (ElementReader item; sequence.next(item); ++index) {
            out_ += index == 0 ? ",\"Value\":[{" : ",{";
            const std::size_t prefix = path_.size();
            path_ += std::to_string(index);
            path_.push_back('/');
            Level inner{level.character_set, level.pixels_signed, false, true, members_.size(), creators_.size()};
            for (Element child; item.next(child);) {
                element(child, item, inner);
            }
            close(inner);
            path_.resize(prefix);
        }
        out_ += index == 0 ? "" : "]";
        path_.resize(path);
    }

    void value(const Element& e, Vr vr, bool top, const Level& level) {
        const VrTraits& traits = traits_of(vr);
        if (e.length == 0) {
            return;
        }
        if (traits.string) {
            text(e, vr, level);
            return;
        }
        const bool binary_vr = vr == Vr::OB || vr == Vr::OW || vr == Vr::UN || vr == Vr::OF || vr == Vr::OD ||
                               vr == Vr::OL || vr == Vr::OV;
        const std::size_t unit = vr == Vr::AT ? 4 : traits.unit;
        if (binary_vr || e.undefined_length()) {
            const bool always_inline = is_palette(e.tag) && e.length <= kMaxInlinePalette;
            const bool never_inline = e.undefined_length() || (top && is_pixel_tag(e.tag));
            binary(e, e.encoding.big_endian ? traits.unit : 1U, never_inline, always_inline);
        } else if (e.length % unit != 0) {
            out_.replace(out_.size() - 3, 2, "UN");  // no number ends there
            binary(e, 1, false);
        } else {
            out_ += ",\"Value\":[";
            json::append_numbers(out_, e.value, vr, e.encoding.big_endian);
            out_.push_back(']');
        }
    }

    void binary(const Element& e, std::size_t swap, bool never_inline, bool always_inline = false) {
        if (!never_inline && (always_inline || e.length <= options_.inline_limit)) {
            out_ += ",\"InlineBinary\":";
            json::append_base64(out_, e.value, swap);
        } else {
            bulk_data(e.tag);
        }
    }

    void bulk_data(Tag tag) {
        out_ += ",\"BulkDataURI\":\"";
        out_ += uri_;
        out_ += path_;
        json::append_tag(out_, tag);
        out_.push_back('"');
    }

    /// The value as UTF-8: the bytes themselves where they are ASCII.
    std::string_view decoded(std::string_view raw, const CharacterSet& cs, TextKind kind) {
        if (cs.g0 == CharacterSet::kAscii && plain_prefix(raw) == raw.size()) {
            return raw;
        }
        scratch_.clear();
        append_utf8(scratch_, std::as_bytes(std::span(raw)), cs, kind);
        return scratch_;
    }

    void text(const Element& e, Vr vr, const Level& level) {
        const VrTraits& traits = traits_of(vr);
        const TextKind kind = traits.single ? TextKind::text : vr == Vr::PN ? TextKind::person_name : TextKind::values;
        const CharacterSet cs = traits.text ? level.character_set : CharacterSet{};
        std::string_view rest = right_trimmed(decoded(right_trimmed(e.characters()), cs, kind));
        if (rest.empty()) {
            return;
        }
        const std::size_t begin = out_.size();
        out_ += ",\"Value\":[";
        if (traits.single) {
            json::append_string(out_, rest);
        } else {
            values(rest, vr, begin);
        }
        if (out_.size() > begin) {
            out_.push_back(']');
        }
    }

    void values(std::string_view rest, Vr vr, std::size_t begin) {
        for (bool first = true;; first = false) {
            const std::size_t end = rest.find('\\');
            const bool last = end == std::string_view::npos;
            if (!first) {
                out_.push_back(',');
            }
            if (!one_value(rest.substr(0, end), vr)) {
                if (first && last) {
                    out_.resize(begin);
                    return;
                }
                out_ += "null";  // F.2.5
            }
            if (last) {
                return;
            }
            rest.remove_prefix(end + 1);
        }
    }

    /// False: it is empty.
    bool one_value(std::string_view value, Vr vr) {
        const bool both = vr == Vr::AE || vr == Vr::IS || vr == Vr::DS;
        value = both ? trimmed(value) : right_trimmed(value);
        if (value.empty()) {
            return false;
        }
        if (vr == Vr::PN) {
            return person_name(value);
        }
        if (vr == Vr::IS || vr == Vr::DS) {
            json::append_decimal(out_, value);
        } else {
            json::append_string(out_, value);
        }
        return true;
    }

    /// F.2.2: the non-empty component groups. False: there is none.
    bool person_name(std::string_view value) {
        constexpr std::string_view kGroups[] = {"\"Alphabetic\":", "\"Ideographic\":", "\"Phonetic\":"};
        bool any = false;
        for (const std::string_view group : kGroups) {
            const std::size_t end = value.find('=');
            const std::string_view part = value.substr(0, end);
            if (!part.empty()) {
                out_.push_back(any ? ',' : '{');
                out_.append(group);
                json::append_string(out_, part);
                any = true;
            }
            if (end == std::string_view::npos) {
                break;
            }
            value.remove_prefix(end + 1);
        }
        if (any) {
            out_.push_back('}');
        }
        return any;
    }

    /// The pixel data element behind the header, of which not more than its own header has to be given.
    void pixel_member(Level& level) {
        const Bytes rest = data_.subspan(end_);
        const Encoding encoding = layout_.encoding;
        if (rest.size() < 12) {
            return;
        }
        const Tag tag{load<std::uint16_t>(rest.data(), encoding.big_endian),
                      load<std::uint16_t>(rest.data() + 2, encoding.big_endian)};
        if (!is_pixel_tag(tag) || !is_wanted(tag) || is_added(tag)) {
            return;
        }
        Element e;
        e.tag = tag;
        e.encoding = encoding;
        e.vr = encoding.explicit_vr ? Vr{load<std::uint16_t>(rest.data() + 4)} : Vr::none;
        e.length = load<std::uint32_t>(rest.data() + (encoding.explicit_vr ? 8 : 4), encoding.big_endian);
        add_members_before(tag, level);
        begin_member(tag, level);
        const Vr vr = resolve_vr(e.effective_vr(), false);
        open(tag, traits_of(vr).known ? vr : Vr::UN);
        if (e.length != 0) {
            bulk_data(tag);
        }
        out_.push_back('}');
    }

    Bytes data_;
    const ObjectLayout& layout_;
    const JsonOptions& options_;
    std::size_t end_;  // of the elements that are read
    std::vector<Added> added_;
    std::size_t next_added_ = 0;
    Warnings warnings_;
    std::string out_;
    std::string uri_;
    std::string path_;     // of the sequence items around the element
    std::string scratch_;  // decoded text
    std::vector<Member> members_;
    std::vector<Block> creators_;
    std::optional<bool> top_level_signed_;
};

/// Where the elements that are to be read end.
std::size_t end_of_header(Bytes data, const ObjectLayout& layout, const JsonOptions& options) {
    if (!options.header_length) {
        return data.size();
    }
    if (*options.header_length > data.size() || *options.header_length < layout.dataset_offset) {
        throw Error(Errc::out_of_range, "header_length is not inside of the data set");
    }
    return *options.header_length;
}

std::size_t take_index(std::string_view& path) {
    std::size_t index = 0;
    const auto [end, status] = std::from_chars(path.data(), path.data() + path.size(), index);
    if (status != std::errc{} || end == path.data() + path.size() || *end != '/') {
        throw Error(Errc::invalid_argument, "a bulk data path has an item number between its tags");
    }
    path.remove_prefix(static_cast<std::size_t>(end - path.data()) + 1);
    return index;
}

Tag take_tag(std::string_view& path) {
    const auto tag = parse_tag(path.substr(0, 8));
    if (!tag || (path.size() > 8 && path[8] != '/')) {
        throw Error(Errc::invalid_argument, "a bulk data path has tags of eight hexadecimal digits");
    }
    path.remove_prefix(std::min<std::size_t>(path.size(), 9));
    return *tag;
}

[[noreturn]] void no_such_element() {
    throw Error(Errc::not_found, "the object has no such bulk data");
}

BulkData range_of(Bytes data, const Element& e, const ElementReader& reader, Warnings& warnings) {
    BulkData result;
    result.offset = e.value_offset;
    result.length = e.length;
    if (e.undefined_length()) {
        const std::size_t end = skip_undefined(data, e, data.size(), reader.depth(), warnings);
        result.length = end - std::min<std::size_t>(end, 8) - e.value_offset;
    }
    Vr vr = e.effective_vr();
    vr = vr == Vr::ox || vr == Vr::xs || vr == Vr::xw ? Vr::OW : vr;
    result.swap = e.encoding.big_endian ? traits_of(vr).unit : std::uint8_t{1};
    return result;
}

BulkData find_in(Bytes data, ElementReader& reader, std::string_view path, Warnings& warnings) {
    const Tag tag = take_tag(path);
    for (Element e; reader.next(e);) {
        if (e.tag != tag) {
            continue;
        }
        if (path.empty()) {
            return range_of(data, e, reader, warnings);
        }
        const std::size_t index = take_index(path);
        SequenceReader sequence(reader, e);
        ElementReader item;
        for (std::size_t i = 0; sequence.next(item); ++i) {
            if (i == index) {
                return find_in(data, item, path, warnings);
            }
        }
        break;
    }
    no_such_element();
}

}  // namespace

std::optional<Tag> parse_tag(std::string_view text) noexcept {
    std::uint32_t value = 0;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (text.size() != 8 || status != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return Tag{value};
}

std::string little_endian_value(Bytes source, const BulkData& found) {
    const Bytes value = source.subspan(found.offset, found.length);
    std::string out(reinterpret_cast<const char*>(value.data()), value.size());
    for (std::size_t at = 0; found.swap > 1 && at + found.swap <= out.size(); at += found.swap) {
        std::reverse(out.begin() + static_cast<std::ptrdiff_t>(at),
                     out.begin() + static_cast<std::ptrdiff_t>(at + found.swap));
    }
    return out;
}

std::string dataset_json(Bytes data, const JsonOptions& options) {
    ObjectLayout layout = read_layout(data);
    if (layout.deflated) {
        const std::vector<std::byte> inflated = inflate_object(data, layout);
        layout = read_layout(inflated);
        return Writer(inflated, layout, options, inflated.size()).run();
    }
    return Writer(data, layout, options, end_of_header(data, layout, options)).run();
}

BulkData find_bulk_data(Bytes data, std::string_view path) {
    ObjectLayout layout = read_layout(data);
    std::vector<std::byte> inflated;
    if (layout.deflated) {
        inflated = inflate_object(data, layout);
        data = inflated;
        layout = read_layout(data);
    }
    Warnings warnings;
    ElementReader reader(data, layout.dataset_offset, layout.encoding, warnings);
    BulkData result = find_in(data, reader, path, warnings);
    result.inflated = std::move(inflated);
    return result;
}

}  // namespace hilum::dicom
