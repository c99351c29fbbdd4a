// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/element.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "hilum/byte_order.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::dicom {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kShortHeader = 8;
constexpr std::size_t kLongHeader = 12;

Tag load_tag(const std::byte* at, bool big_endian) noexcept {
    return {load<std::uint16_t>(at, big_endian), load<std::uint16_t>(at + 2, big_endian)};
}

[[noreturn]] void fail(Errc code, const char* what, Tag tag, std::size_t offset) {
    throw Error(code, what + (" at " + to_string(tag)), offset);
}

/// A container ends at `end`; when that is the end of the bytes the object was cut, else its lengths contradict.
[[noreturn]] void fail_past_end(Bytes data, std::size_t end, Tag tag, std::size_t offset) {
    if (end == data.size()) {
        fail(Errc::truncated, "the data ends inside the element", tag, offset);
    }
    fail(Errc::bad_element, "the element ends past the item that holds it", tag, offset);
}

bool all_zero(Bytes bytes) noexcept {
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// An unknown VR has a 32-bit length by PS3.5 section 7.1.2, a 16-bit one by the habit of most programs. With two zero
/// bytes it is the latter only if what follows looks like the next element of explicit VR.
bool unknown_vr_is_long(const std::byte* at, std::size_t left, const Element& element) noexcept {
    if (load<std::uint16_t>(at + 6) != 0 || left < kLongHeader) {
        return false;
    }
    const bool next_follows = left >= kLongHeader + 2 && looks_like_vr(load<std::uint16_t>(at + kLongHeader)) &&
                              load_tag(at + kShortHeader, element.encoding.big_endian) > element.tag;
    return !next_follows;
}

/// Two bytes that are no VR usually belong to the length of an implicit VR element. If that length cannot be, and the
/// 16-bit one leads to what looks like the next element of explicit VR, the writer left the VR blank.
bool vr_is_blank(const std::byte* at, std::size_t left, const Element& element) noexcept {
    const bool big = element.encoding.big_endian;
    const std::size_t next = kShortHeader + load<std::uint16_t>(at + 6, big);
    return next + kShortHeader <= left && load_tag(at + next, big) > element.tag &&
           traits_of(Vr{load<std::uint16_t>(at + next + 4)}).known;
}

/// Everything of `element` by the bytes at `position`; at least 8 of them are there.
inline void read_header(Bytes data, std::size_t position, std::size_t end, Encoding encoding, Warnings& warnings,
                        Element& element) {
    const std::byte* at = data.data() + position;
    const std::size_t left = end - position;
    const bool big = encoding.big_endian;
    std::size_t header = kShortHeader;
    element.tag = load_tag(at, big);
    element.offset = position;
    element.encoding = encoding;
    if (!encoding.explicit_vr) {
        element.vr = Vr::none;
        element.length = load<std::uint32_t>(at + 4, big);
    } else if (const auto number = load<std::uint16_t>(at + 4); looks_like_vr(number)) {
        element.vr = Vr{number};
        const VrTraits& traits = traits_of(element.vr);
        if (!traits.known) [[unlikely]] {
            warnings.add(Warning::unknown_vr);
        }
        if (traits.long_length || (!traits.known && unknown_vr_is_long(at, left, element))) {
            if (left < kLongHeader) {
                fail_past_end(data, end, element.tag, position);
            }
            element.length = load<std::uint32_t>(at + kShortHeader, big);
            header = kLongHeader;
        } else {
            element.length = load<std::uint16_t>(at + 6, big);
        }
    } else {
        element.vr = Vr::none;
        element.length = load<std::uint32_t>(at + 4, big);
        if (element.length > left - kShortHeader && !element.undefined_length() && vr_is_blank(at, left, element))
            [[unlikely]] {
            warnings.add(Warning::unknown_vr);
            element.length = load<std::uint16_t>(at + 6, big);
        } else {
            warnings.add(Warning::implicit_in_explicit);
            element.encoding.explicit_vr = false;
        }
    }
    element.value_offset = position + header;
    if (element.undefined_length()) {
        element.value = data.subspan(element.value_offset, left - header);
        return;
    }
    if (element.length > left - header) {
        fail_past_end(data, end, element.tag, position);
    }
    element.value = data.subspan(element.value_offset, element.length);
    if ((element.length & 1U) != 0) [[unlikely]] {
        warnings.add(Warning::odd_length);
    }
}

/// How the items of a sequence are written.
struct ItemStyle {
    Encoding encoding;
    bool sniff = false;
};

/// PS3.5 section 6.2.2: items in UN are implicit VR little endian, whatever the data set is. Writers differ, so look.
ItemStyle item_style(Bytes data, const Element& element, std::size_t end) noexcept {
    if (element.vr != Vr::UN) {
        return {element.encoding, element.encoding.explicit_vr || element.vr == Vr::none};
    }
    bool big = false;
    if (element.encoding.big_endian && end - element.value_offset >= 4) {
        big = load_tag(data.data() + element.value_offset, true) == tags::kItem;
    }
    return {{false, big}, true};
}

/// Implicit VR items may be part of explicit data sets, the reverse only in UN.
Encoding sniff_item(Bytes data, std::size_t begin, std::size_t end, ItemStyle style, Vr vr) noexcept {
    const bool may_change = style.encoding.explicit_vr || vr == Vr::UN;
    if (!style.sniff || !may_change || end - begin < 6 ||
        load_tag(data.data() + begin, style.encoding.big_endian).is_delimiter()) {
        return style.encoding;
    }
    return {looks_like_vr(load<std::uint16_t>(data.data() + begin + 4)), style.encoding.big_endian};
}

/// Walks over containers of undefined length with its own stack. Containers of defined length are jumped over.
class Skipper {
public:
    Skipper(Bytes data, std::size_t end, unsigned depth, Warnings& warnings) noexcept
        : data_(data), end_(end), base_(depth), warnings_(warnings) {}

    std::size_t items(std::size_t begin, ItemStyle style, Vr vr) {
        push({style, vr, true}, begin);
        return run(begin);
    }

    std::size_t elements(std::size_t begin, Encoding encoding) {
        push({{encoding, false}, Vr::none, false}, begin);
        return run(begin);
    }

private:
    struct Level {
        ItemStyle style;
        Vr vr;       // of the sequence
        bool items;  // else elements of an item
    };

    void push(Level level, std::size_t offset) {
        const std::size_t sequences = base_ + count_ / 2 + 1;
        if (sequences > limits::kMaxNesting || count_ == levels_.size()) {
            throw Error(Errc::nesting_too_deep, "sequences are nested too deeply", offset);
        }
        levels_[count_++] = level;
    }

    std::size_t run(std::size_t position) {
        while (count_ > 0) {
            if (end_ - position < kShortHeader) {
                return end_of_data(position);
            }
            position = levels_[count_ - 1].items ? step_items(position) : step_elements(position);
        }
        return position;
    }

    std::size_t end_of_data(std::size_t position) {
        if (end_ == data_.size()) {
            throw Error(Errc::truncated, "the data ends inside a sequence of undefined length", position);
        }
        if (position != end_) {
            throw Error(Errc::bad_sequence, "a sequence of undefined length has no end", position);
        }
        warnings_.add(Warning::missing_delimiter);
        return end_;
    }

    std::size_t step_items(std::size_t position) {
        const Level level = levels_[count_ - 1];
        const bool big = level.style.encoding.big_endian;
        const std::byte* at = data_.data() + position;
        const Tag tag = load_tag(at, big);
        const std::size_t begin = position + kShortHeader;
        if (tag == tags::kItem) {
            const auto length = load<std::uint32_t>(at + 4, big);
            if (length == kUndefinedLength) {
                push({{sniff_item(data_, begin, end_, level.style, level.vr), false}, level.vr, false}, position);
                return begin;
            }
            if (length > end_ - begin) {
                fail_past_end(data_, end_, tag, position);
            }
            return begin + length;
        }
        if (tag == tags::kSequenceDelimitation) {
            --count_;
            return begin;
        }
        if (tag == tags::kItemDelimitation) {
            warnings_.add(Warning::stray_delimiter);
            return begin;
        }
        fail(Errc::bad_sequence, "no item where one has to be", tag, position);
    }

    std::size_t step_elements(std::size_t position) {
        const Encoding encoding = levels_[count_ - 1].style.encoding;
        const Tag tag = load_tag(data_.data() + position, encoding.big_endian);
        if (tag.is_delimiter()) {
            --count_;
            if (tag == tags::kItemDelimitation) {
                return position + kShortHeader;
            }
            if (count_ == 0 || (tag != tags::kSequenceDelimitation && tag != tags::kItem)) {
                fail(Errc::bad_sequence, "a delimiter where none may be", tag, position);
            }
            warnings_.add(Warning::missing_delimiter);
            return position;
        }
        Element element;
        read_header(data_, position, end_, encoding, warnings_, element);
        if (element.undefined_length()) {
            push({item_style(data_, element, end_), element.vr, true}, position);
            return element.value_offset;
        }
        return element.value_offset + element.length;
    }

    Bytes data_;
    std::size_t end_;
    unsigned base_;
    Warnings& warnings_;
    std::array<Level, 2 * limits::kMaxNesting + 2> levels_;
    std::size_t count_ = 0;
};

}  // namespace

std::string to_string(Tag tag) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    std::string text = "(0000,0000)";
    for (unsigned i = 0; i < 8; ++i) {
        text[i + (i < 4 ? 1 : 2)] = kDigits[(tag.value >> (28U - 4U * i)) & 0xFU];
    }
    return text;
}

Vr Element::effective_vr() const noexcept {
    if (is_encapsulated()) {
        return Vr::OB;
    }
    if (vr == Vr::none || vr == Vr::UN) {
        const Vr known = dictionary_vr(tag);
        return known == Vr::UN && undefined_length() ? Vr::SQ : known;
    }
    return vr;
}

bool Element::is_sequence() const noexcept {
    if (vr == Vr::SQ) {
        return !is_encapsulated();
    }
    if (undefined_length()) {
        return tag != tags::kPixelData;
    }
    return (vr == Vr::none || vr == Vr::UN) && dictionary_vr(tag) == Vr::SQ;
}

ElementReader::ElementReader(Bytes data, std::size_t begin, Encoding encoding, Warnings& warnings) noexcept
    : data_(data),
      position_(std::min(begin, data.size())),
      end_(data.size()),
      encoding_(encoding),
      warnings_(&warnings) {}

bool ElementReader::next(Element& element) {
    if (pending_) {
        finish_open();
    }
    for (;;) {
        const std::size_t left = end_ - position_;
        if (left < kShortHeader) {
            return end_of_container(left);
        }
        const Tag tag = load_tag(data_.data() + position_, encoding_.big_endian);
        if (tag.is_delimiter()) [[unlikely]] {
            if (pass_delimiter(tag)) {
                continue;
            }
            return false;
        }
        if (tag.value == 0 && begun_) [[unlikely]] {
            // Nothing may come before it, so it is padding or nothing at all. One look decides: to go on and look again
            // at every zero would take quadratic time.
            if (all_zero(data_.subspan(position_, left))) {
                return end_of_container(left);
            }
            fail(Errc::bad_element, "no element may have the tag", tag, position_);
        }
        begun_ = true;
        read_header(data_, position_, end_, encoding_, *warnings_, element);
        last_ = tag;
        if (element.undefined_length()) {
            pending_ = true;
            open_ = element;
        } else {
            position_ = element.value_offset + element.length;
        }
        return true;
    }
}

void ElementReader::finish_open() {
    position_ = skip_undefined(data_, open_, end_, depth_, *warnings_);
    pending_ = false;
}

void ElementReader::end_here() noexcept {
    ended_ = true;
    end_ = position_;
    if (delimited_ && owner_ != nullptr) {
        owner_->position_ = position_;
        owner_->pending_ = false;
    }
}

/// What is left is too short for an element, or zeros: padding, or the rest of something that was cut.
bool ElementReader::end_of_container(std::size_t left) {
    if (ended_ || data_.empty()) {
        return false;
    }
    if (delimited_) {
        if (end_ == data_.size()) {
            throw Error(Errc::truncated, "the data ends inside an item of undefined length", position_);
        }
        warnings_->add(Warning::missing_delimiter);
    }
    if (left > 0) {
        // One zero may be the first byte of a group such as 6000 or, big endian, 0010. Behind pixel data it is padding.
        const bool may_be_group = left == 1 && depth_ == 0 && last_ < tags::kExtendedOffsetTable;
        if (may_be_group || !all_zero(data_.subspan(position_, left))) {
            throw Error(end_ == data_.size() ? Errc::truncated : Errc::bad_element,
                        "the data ends inside the header of an element", position_);
        }
        warnings_->add(Warning::trailing_bytes);
        position_ = end_;
    }
    end_here();
    return false;
}

/// False: it ends this container.
bool ElementReader::pass_delimiter(Tag tag) {
    if (delimited_ && tag == tags::kItemDelimitation) {
        position_ += kShortHeader;
        end_here();
        return false;
    }
    if (delimited_ && (tag == tags::kSequenceDelimitation || tag == tags::kItem)) {
        warnings_->add(Warning::missing_delimiter);
        end_here();
        return false;
    }
    if (tag != tags::kItemDelimitation && tag != tags::kSequenceDelimitation) {
        fail(Errc::bad_sequence, "an item outside of a sequence", tag, position_);
    }
    warnings_->add(Warning::stray_delimiter);
    position_ += kShortHeader;
    return true;
}

SequenceReader::SequenceReader(ElementReader& parent, const Element& element)
    : parent_(parent), element_(element), position_(element.value_offset), depth_(parent.depth_ + 1) {
    if (depth_ > limits::kMaxNesting) {
        throw Error(Errc::nesting_too_deep, "sequences are nested too deeply", element.offset);
    }
    end_ = element.undefined_length() ? parent.end_ : element.value_offset + element.length;
    const ItemStyle style = item_style(parent.data_, element, end_);
    encoding_ = style.encoding;
    sniff_ = style.sniff;
}

void SequenceReader::finish() noexcept {
    ended_ = true;
    if (element_.undefined_length() && parent_.pending_ && parent_.open_.offset == element_.offset) {
        parent_.position_ = position_;
        parent_.pending_ = false;
    }
}

bool SequenceReader::end_of_items(std::size_t left) {
    const Bytes data = parent_.data_;
    const bool delimited = element_.undefined_length();
    if (delimited && end_ == data.size()) {
        throw Error(Errc::truncated, "the data ends inside a sequence of undefined length", position_);
    }
    if (left > 0 && !all_zero(data.subspan(position_, left))) {
        fail_past_end(data, end_, element_.tag, position_);
    }
    if (delimited || left > 0) {
        parent_.warnings_->add(delimited ? Warning::missing_delimiter : Warning::trailing_bytes);
    }
    position_ = end_;
    finish();
    return false;
}

bool SequenceReader::next(ElementReader& item) {
    const Bytes data = parent_.data_;
    if (pending_) {
        position_ = Skipper(data, end_, depth_, *parent_.warnings_).elements(position_, item_encoding_);
        pending_ = false;
    }
    while (!ended_) {
        const std::size_t left = end_ - position_;
        if (left < kShortHeader) {
            return end_of_items(left);
        }
        const std::byte* at = data.data() + position_;
        const Tag tag = load_tag(at, encoding_.big_endian);
        if (tag == tags::kItem) {
            open_item(item, load<std::uint32_t>(at + 4, encoding_.big_endian));
            return true;
        }
        if (tag == tags::kSequenceDelimitation && element_.undefined_length()) {
            position_ += kShortHeader;
            finish();
            return false;
        }
        if (tag == tags::kSequenceDelimitation || tag == tags::kItemDelimitation) {
            parent_.warnings_->add(Warning::stray_delimiter);
            position_ += kShortHeader;
            continue;
        }
        fail(Errc::bad_sequence, "no item where one has to be", tag, position_);
    }
    return false;
}

void SequenceReader::open_item(ElementReader& item, std::uint32_t length) {
    const Bytes data = parent_.data_;
    const std::size_t begin = position_ + kShortHeader;
    std::size_t end = end_;
    if (length != kUndefinedLength) {
        if (length > end_ - begin) {
            fail_past_end(data, end_, tags::kItem, position_);
        }
        end = begin + length;
    }
    item_offset_ = position_;
    item_encoding_ = sniff_item(data, begin, end, {encoding_, sniff_}, element_.vr);
    pending_ = length == kUndefinedLength;
    position_ = pending_ ? begin : end;

    item = ElementReader();
    item.data_ = data;
    item.position_ = begin;
    item.end_ = end;
    item.encoding_ = item_encoding_;
    item.delimited_ = pending_;
    item.depth_ = depth_;
    item.owner_ = this;
    item.warnings_ = parent_.warnings_;
}

std::size_t skip_undefined(Bytes data, const Element& element, std::size_t end, unsigned depth, Warnings& warnings) {
    const ItemStyle style = item_style(data, element, end);
    return Skipper(data, end, depth, warnings).items(element.value_offset, style, element.vr);
}

}  // namespace hilum::dicom
