// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/frames.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "hilum/byte_order.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::dicom {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kItemHeader = 8;
constexpr std::size_t kFragmentBytes = 12;

/// Indexes of the fragments at which frames start, one more than frames; or nothing.
using Starts = std::optional<std::vector<std::uint32_t>>;

std::vector<std::uint32_t> one_to_one(std::size_t frames) {
    std::vector<std::uint32_t> starts(frames + 1);
    for (std::size_t i = 0; i <= frames; ++i) {
        starts[i] = static_cast<std::uint32_t>(i);
    }
    return starts;
}

/// Offsets of item tags relative to the first one, which have to be there, in order, and as many as frames.
Starts by_basic_offsets(const PixelItems& items, std::uint32_t frames) {
    const std::size_t count = items.basic_offsets.size() / 4;
    if (items.basic_offsets.size() % 4 != 0 || count != frames) {
        return std::nullopt;
    }
    std::vector<std::uint32_t> starts;
    starts.reserve(count + 1);
    std::size_t at = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t tag = items.first_tag + load<std::uint32_t>(items.basic_offsets.data() + 4 * i);
        while (at < items.fragments.size() && items.fragments[at].offset - kItemHeader < tag) {
            ++at;
        }
        const bool found = at < items.fragments.size() && items.fragments[at].offset - kItemHeader == tag;
        if (!found || (i == 0 && at != 0) || (i > 0 && at == starts.back())) {
            return std::nullopt;
        }
        starts.push_back(static_cast<std::uint32_t>(at));
    }
    starts.push_back(static_cast<std::uint32_t>(items.fragments.size()));
    return starts;
}

/// One fragment per frame (PS3.3 C.7.6.3.1.8); the lengths leave out the padding. Shortens the fragments if all agrees.
bool apply_extended_offsets(const FrameSource& source, PixelItems& items) {
    const std::size_t count = items.fragments.size();
    const bool lengths = source.extended_lengths.size() == 8 * count;
    if (count == 0 || source.extended_offsets.size() != 8 * count || (!source.extended_lengths.empty() && !lengths)) {
        return false;
    }
    const auto length_of = [&](std::size_t i) {
        return lengths ? load<std::uint64_t>(source.extended_lengths.data() + 8 * i) : items.fragments[i].length;
    };
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t stated = load<std::uint64_t>(source.extended_offsets.data() + 8 * i);
        const Fragment& fragment = items.fragments[i];
        const std::uint64_t length = length_of(i);
        if (stated != fragment.offset - kItemHeader - items.first_tag || length > fragment.length ||
            fragment.length - length > 1) {
            return false;
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        items.fragments[i].length = static_cast<std::uint32_t>(length_of(i));
    }
    return true;
}

bool starts_with(Bytes bytes, std::initializer_list<unsigned> wanted) noexcept {
    return bytes.size() >= wanted.size() &&
           std::equal(wanted.begin(), wanted.end(), bytes.begin(),
                      [](unsigned a, std::byte b) { return a == std::to_integer<unsigned>(b); });
}

bool starts_frame(Bytes fragment, Codec codec) noexcept {
    switch (codec) {
        case Codec::rle: {  // PS3.5 G.5: number of segments, first one behind the header
            const auto segments = fragment.size() >= 64 ? load<std::uint32_t>(fragment.data()) : 0;
            return segments >= 1 && segments <= 15 && load<std::uint32_t>(fragment.data() + 4) == 64;
        }
        case Codec::jpeg:
        case Codec::jpeg_ls:
            return starts_with(fragment, {0xFF, 0xD8, 0xFF});
        case Codec::jpeg_2000:
            return starts_with(fragment, {0xFF, 0x4F, 0xFF, 0x51}) ||
                   starts_with(fragment, {0, 0, 0, 0x0C, 0x6A, 0x50, 0x20, 0x20});
        case Codec::jpeg_xl:
            return starts_with(fragment, {0xFF, 0x0A}) ||
                   starts_with(fragment, {0, 0, 0, 0x0C, 0x4A, 0x58, 0x4C, 0x20});
        default:
            return starts_frame(fragment, Codec::jpeg) || starts_frame(fragment, Codec::jpeg_2000);
    }
}

/// An end of image marker, behind which there may be padding.
bool ends_frame(Bytes fragment) noexcept {
    constexpr std::size_t kTail = 10;
    const Bytes tail = fragment.last(std::min(kTail, fragment.size()));
    for (std::size_t i = 0; i + 1 < tail.size(); ++i) {
        if (tail[i] == std::byte{0xFF} && tail[i + 1] == std::byte{0xD9}) {
            return true;
        }
    }
    return false;
}

std::vector<std::uint32_t> by_start_markers(const FrameSource& source, const PixelItems& items) {
    std::vector<std::uint32_t> starts;
    for (std::size_t i = 0; i < items.fragments.size(); ++i) {
        const Fragment& fragment = items.fragments[i];
        if (i == 0 || starts_frame(source.data.subspan(fragment.offset, fragment.length), source.codec)) {
            starts.push_back(static_cast<std::uint32_t>(i));
        }
    }
    starts.push_back(static_cast<std::uint32_t>(items.fragments.size()));
    return starts;
}

std::vector<std::uint32_t> by_end_markers(const FrameSource& source, const PixelItems& items) {
    std::vector<std::uint32_t> starts{0};
    for (std::size_t i = 0; i + 1 < items.fragments.size(); ++i) {
        const Fragment& fragment = items.fragments[i];
        if (ends_frame(source.data.subspan(fragment.offset, fragment.length))) {
            starts.push_back(static_cast<std::uint32_t>(i + 1));
        }
    }
    starts.push_back(static_cast<std::uint32_t>(items.fragments.size()));
    return starts;
}

std::vector<std::uint32_t> all_in_one(std::size_t fragments) {
    return {0, static_cast<std::uint32_t>(fragments)};
}

/// Without an offset table to rely on.
std::vector<std::uint32_t> guess_starts(const FrameSource& source, const PixelItems& items, Warnings& warnings) {
    const std::size_t fragments = items.fragments.size();
    const std::uint32_t frames = source.pixels->number_of_frames;
    if (fragments == frames) {
        return one_to_one(fragments);
    }
    if (frames > fragments) {
        warnings.add(Warning::bad_frame_table);
        return one_to_one(fragments);
    }
    if (frames == 1) {
        return all_in_one(fragments);
    }
    std::vector<std::uint32_t> starts = by_start_markers(source, items);
    if (starts.size() == std::size_t{frames} + 1) {
        return starts;
    }
    if (source.codec != Codec::rle) {
        std::vector<std::uint32_t> ends = by_end_markers(source, items);
        if (ends.size() == std::size_t{frames} + 1) {
            return ends;
        }
    }
    warnings.add(Warning::bad_frame_table);
    return starts;
}

std::vector<std::uint32_t> find_starts(const FrameSource& source, PixelItems& items, Warnings& warnings) {
    const std::size_t fragments = items.fragments.size();
    if (fragments == 0) {
        warnings.add(Warning::bad_frame_table);
        return {0};
    }
    if (source.codec == Codec::mpeg) {
        return all_in_one(fragments);
    }
    if (!source.extended_offsets.empty()) {
        if (apply_extended_offsets(source, items)) {
            if (fragments != source.pixels->number_of_frames) {
                warnings.add(Warning::bad_frame_table);
            }
            return one_to_one(fragments);
        }
        warnings.add(Warning::bad_frame_table);
    }
    if (!items.basic_offsets.empty()) {
        if (Starts starts = by_basic_offsets(items, source.pixels->number_of_frames)) {
            return *std::move(starts);
        }
        warnings.add(Warning::bad_frame_table);
    }
    return guess_starts(source, items, warnings);
}

template <typename Integer>
void put(std::string& out, Integer value) {
    std::byte raw[sizeof value];
    store(raw, value);
    out.append(reinterpret_cast<const char*>(raw), sizeof raw);
}

void put_kind(std::string& out, FrameKind kind, bool inflated, bool swapped_words = false) {
    const unsigned flags = (inflated ? kInflatedFlag : 0U) | (swapped_words ? kSwappedWordsFlag : 0U);
    out.push_back(static_cast<char>(static_cast<unsigned>(kind) | flags));
}

void put_fragments(std::string& out, std::span<const Fragment> fragments) {
    for (const Fragment& fragment : fragments) {
        put(out, fragment.offset);
        put(out, fragment.length);
    }
}

std::string encode(std::span<const std::uint32_t> starts, std::span<const Fragment> fragments, bool inflated) {
    const std::size_t frames = starts.size() - 1;
    const bool single = frames == fragments.size();
    std::string out;
    out.reserve(1 + 4 + (single ? 0 : 4 * starts.size()) + kFragmentBytes * fragments.size());
    put_kind(out, single ? FrameKind::single : FrameKind::general, inflated);
    put(out, static_cast<std::uint32_t>(frames));
    if (!single) {
        for (const std::uint32_t start : starts) {
            put(out, start);
        }
    }
    put_fragments(out, fragments);
    return out;
}

std::string native_table(const FrameSource& source, Warnings& warnings) {
    const std::uint64_t bits = source.pixels->frame_bits();
    const std::uint64_t stored = std::uint64_t{source.pixel_element.length} * 8;
    std::uint64_t frames = source.pixels->number_of_frames;
    if (bits == 0 || stored / bits < frames) {
        frames = bits == 0 ? 0 : stored / bits;
        warnings.add(Warning::bad_frame_table);
    }
    std::string out;
    out.reserve(21);
    put_kind(out, FrameKind::native, source.inflated, source.swapped_words);
    put(out, std::uint64_t{source.pixel_element.value_offset});
    put(out, bits);
    put(out, static_cast<std::uint32_t>(frames));
    return out;
}

[[noreturn]] void fail_table() {
    throw Error(Errc::bad_frame_table, "the frame table is damaged");
}

}  // namespace

std::string_view PixelDescription::keyword() const noexcept {
    if (tag == tags::kFloatPixelData) {
        return "FloatPixelData";
    }
    return tag == tags::kDoubleFloatPixelData ? "DoubleFloatPixelData" : "PixelData";
}

std::uint64_t PixelDescription::frame_bits() const noexcept {
    const std::uint64_t bits = std::uint64_t{rows} * columns * samples_per_pixel * bits_allocated;
    const bool subsampled =
        photometric_interpretation == "YBR_FULL_422" || photometric_interpretation == "YBR_PARTIAL_422";
    return subsampled && samples_per_pixel == 3 ? bits / 3 * 2 : bits;
}

PixelItems read_pixel_items(Bytes data, const Element& element) {
    const std::size_t limit = element.undefined_length() ? data.size() : element.value_offset + element.length;
    PixelItems items;
    std::size_t position = element.value_offset;
    bool first = true;
    for (;;) {
        if (!element.undefined_length() && position == limit) {
            break;
        }
        if (limit - position < kItemHeader) {
            throw Error(Errc::truncated, "the data ends inside the pixel data", position);
        }
        const std::byte* at = data.data() + position;
        const Tag tag{load<std::uint16_t>(at), load<std::uint16_t>(at + 2)};
        const auto length = load<std::uint32_t>(at + 4);
        const std::size_t begin = position + kItemHeader;
        if (tag == tags::kSequenceDelimitation) {
            position = begin;
            break;
        }
        if (tag != tags::kItem) {
            throw Error(Errc::bad_sequence, "no fragment where one has to be in the pixel data", position);
        }
        if (length > limit - begin) {
            throw Error(Errc::truncated, "the data ends inside a fragment of the pixel data", position);
        }
        if (first) {
            items.basic_offsets = data.subspan(begin, length);
            items.first_tag = begin + length;
            first = false;
        } else if (items.fragments.size() >= limits::kMaxFrames) {
            throw Error(Errc::limit_exceeded, "too many fragments in the pixel data", position);
        } else {
            items.fragments.push_back({begin, length});
        }
        position = begin + length;
    }
    items.end = position;
    return items;
}

bool has_pixel_items(const Element& element, Codec codec) noexcept {
    if (element.undefined_length()) {
        return true;
    }
    return is_encapsulated(codec) && element.tag == tags::kPixelData && element.value.size() >= kItemHeader &&
           load<std::uint16_t>(element.value.data()) == tags::kItem.group() &&
           load<std::uint16_t>(element.value.data() + 2) == tags::kItem.element();
}

std::string make_frame_table(const FrameSource& source, Warnings& warnings) {
    const Element& element = source.pixel_element;
    if (source.items != nullptr) {
        const std::vector<std::uint32_t> starts = find_starts(source, *source.items, warnings);
        return encode(starts, source.items->fragments, source.inflated);
    }
    if (is_encapsulated(source.codec) && source.codec != Codec::unknown && element.tag == tags::kPixelData) {
        warnings.add(Warning::bad_frame_table);  // a code stream without its fragments
        const Fragment whole{element.value_offset, element.length};
        const std::uint32_t starts[] = {0, 1};
        return encode(starts, {&whole, 1}, source.inflated);
    }
    return native_table(source, warnings);
}

FrameTable::FrameTable(Bytes encoded) : encoded_(encoded) {
    if (encoded.empty()) {
        fail_table();
    }
    const auto first = std::to_integer<std::uint8_t>(encoded[0]);
    inflated_ = (first & kInflatedFlag) != 0;
    swapped_words_ = (first & kSwappedWordsFlag) != 0;
    const unsigned kind = first & ~unsigned{kInflatedFlag | kSwappedWordsFlag};
    if (kind > static_cast<unsigned>(FrameKind::general) ||
        (swapped_words_ && kind != static_cast<unsigned>(FrameKind::native))) {
        fail_table();
    }
    kind_ = static_cast<FrameKind>(kind);
    if (kind_ == FrameKind::none) {
        return;
    }
    if (kind_ == FrameKind::native) {
        if (encoded.size() != 21) {
            fail_table();
        }
        first_ = load<std::uint64_t>(encoded.data() + 1);
        frame_bits_ = load<std::uint64_t>(encoded.data() + 9);
        frames_ = load<std::uint32_t>(encoded.data() + 17);
        return;
    }
    if (encoded.size() < 5) {
        fail_table();
    }
    frames_ = load<std::uint32_t>(encoded.data() + 1);
    fragments_at_ = 5 + (kind_ == FrameKind::general ? 4 * (std::size_t{frames_} + 1) : 0);
    if (encoded.size() < fragments_at_ || (encoded.size() - fragments_at_) % kFragmentBytes != 0) {
        fail_table();
    }
    fragment_count_ = (encoded.size() - fragments_at_) / kFragmentBytes;
    if (kind_ == FrameKind::single && fragment_count_ != frames_) {
        fail_table();
    }
}

Fragment FrameTable::fragment(std::size_t index) const noexcept {
    const std::byte* at = encoded_.data() + fragments_at_ + kFragmentBytes * index;
    return {load<std::uint64_t>(at), load<std::uint32_t>(at + 8)};
}

std::vector<Fragment> FrameTable::fragments(std::uint32_t frame) const {
    if (frame >= frames_ || kind_ == FrameKind::native) {
        throw Error(Errc::out_of_range, "no such frame");
    }
    if (kind_ == FrameKind::single) {
        return {fragment(frame)};
    }
    const std::size_t begin = load<std::uint32_t>(encoded_.data() + 5 + 4 * std::size_t{frame});
    const std::size_t end = load<std::uint32_t>(encoded_.data() + 9 + 4 * std::size_t{frame});
    if (begin > end || end > fragment_count_) {
        fail_table();
    }
    std::vector<Fragment> found;
    found.reserve(end - begin);
    for (std::size_t i = begin; i < end; ++i) {
        found.push_back(fragment(i));
    }
    return found;
}

}  // namespace hilum::dicom
