// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/scan.hpp"

#include <algorithm>
#include <charconv>
#include <new>
#include <optional>
#include <type_traits>
#include <vector>

#include "hilum/byte_order.hpp"
#include "hilum/dicom/charset.hpp"
#include "hilum/dicom/element.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::dicom {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::string_view kMediaStorageDirectory = "1.2.840.10008.1.3.10";
constexpr std::uint8_t kNoLevel = 0xFF;

/// Elements that the scan keeps hold of, sorted by tag: those of the index, and what describes the pixels.
struct Row {
    Wanted wanted;
    std::uint8_t level = kNoLevel;
};

std::vector<Row> make_rows() {
    std::vector<Row> rows;
    for (std::size_t level = 0; level < kLevels; ++level) {
        for (const Wanted& wanted : index_attributes(static_cast<Level>(level))) {
            rows.push_back({wanted, static_cast<std::uint8_t>(level)});
        }
    }
    for (const Tag tag : {tags::kSpecificCharacterSet, tags::kSamplesPerPixel, tags::kPhotometricInterpretation,
                          tags::kPlanarConfiguration, tags::kBitsStored, tags::kHighBit, tags::kPixelRepresentation,
                          tags::kExtendedOffsetTable, tags::kExtendedOffsetTableLengths}) {
        rows.push_back({{tag, dictionary_vr(tag), {}}, kNoLevel});
    }
    std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.wanted.tag < b.wanted.tag; });
    return rows;
}

const std::vector<Row>& rows() {
    static const std::vector<Row> all = make_rows();
    return all;
}

constexpr std::size_t kMaxRows = 96;

/// The elements of one object that are in rows(), in the order of their tags whatever the object's is.
class Found {
public:
    Found() : begin_(rows().data()), end_(begin_ + rows().size()), cursor_(begin_) { present_.fill(false); }

    /// False if the tag is not wanted. `sorted`: it is above all tags before it.
    void offer(const Element& element, bool sorted, Warnings& warnings) {
        if (!sorted) {
            cursor_ = std::lower_bound(begin_, end_, element.tag,
                                       [](const Row& row, Tag tag) { return row.wanted.tag < tag; });
        }
        while (cursor_ != end_ && cursor_->wanted.tag < element.tag) {
            ++cursor_;
        }
        if (cursor_ == end_ || cursor_->wanted.tag != element.tag) {
            return;
        }
        const auto index = static_cast<std::size_t>(cursor_ - begin_);
        if (present_[index]) {
            warnings.add(Warning::duplicate_element);
        }
        present_[index] = true;
        new (storage_.data() + index * sizeof(Element)) Element(element);
    }

    [[nodiscard]] const Element* find(Tag tag) const noexcept {
        const Row* row =
            std::lower_bound(begin_, end_, tag, [](const Row& r, Tag wanted) { return r.wanted.tag < wanted; });
        const auto index = static_cast<std::size_t>(row - begin_);
        return row != end_ && row->wanted.tag == tag && present_[index] ? at(index) : nullptr;
    }

    template <typename Function>
    void for_each(Function&& function) const {
        for (const Row* row = begin_; row != end_; ++row) {
            const auto index = static_cast<std::size_t>(row - begin_);
            if (present_[index]) {
                function(*row, *at(index));
            }
        }
    }

private:
    [[nodiscard]] const Element* at(std::size_t index) const noexcept {
        return std::launder(reinterpret_cast<const Element*>(storage_.data() + index * sizeof(Element)));
    }

    const Row* begin_;
    const Row* end_;
    const Row* cursor_;
    std::array<bool, kMaxRows> present_;
    // Elements where present_, raw bytes elsewhere: initialising all of it would cost as much as reading the object.
    alignas(Element) std::array<std::byte, kMaxRows * sizeof(Element)> storage_;
};
static_assert(std::is_trivially_destructible_v<Element> && std::is_trivially_copyable_v<Element>);

std::string_view text_of(const Element* element) noexcept {
    return element == nullptr || element->undefined_length() ? std::string_view{} : trim_padding(element->characters());
}

/// A number of the pixel description, whatever VR it was written in; `absent` where it is missing, none or above
/// `most`.
std::uint32_t number_of(const Found& found, Tag tag, std::uint32_t absent, std::uint32_t most, Warnings& warnings) {
    const Element* element = found.find(tag);
    if (element == nullptr || element->value.empty() || element->undefined_length()) {
        return absent;
    }
    std::uint32_t number = 0;
    bool good = false;
    if (traits_of(element->effective_vr()).string) {
        const std::string_view text = text_of(element);
        const char* const last = text.data() + text.size();
        const auto [end, error] = std::from_chars(text.data(), last, number);
        good = error == std::errc{} && end == last;
    } else if (element->value.size() == 2 || element->value.size() == 4) {
        const bool big = element->encoding.big_endian;
        number = element->value.size() == 2 ? load<std::uint16_t>(element->value.data(), big)
                                            : load<std::uint32_t>(element->value.data(), big);
        good = true;
    }
    if (!good || number > most) {
        warnings.add(Warning::bad_number);
        return absent;
    }
    return number;
}

PixelDescription describe(const Found& found, Tag pixel_tag, Warnings& warnings) {
    PixelDescription pixels;
    const auto number = [&](Tag tag, std::uint32_t absent) { return number_of(found, tag, absent, 0xFFFF, warnings); };
    pixels.tag = pixel_tag;
    pixels.rows = number(tags::kRows, 0);
    pixels.columns = number(tags::kColumns, 0);
    pixels.samples_per_pixel = number(tags::kSamplesPerPixel, 1);
    pixels.planar_configuration = number(tags::kPlanarConfiguration, 0);
    const std::uint32_t width = pixel_tag == tags::kFloatPixelData         ? 32
                                : pixel_tag == tags::kDoubleFloatPixelData ? 64
                                                                           : 0;
    pixels.bits_allocated = number(tags::kBitsAllocated, width);
    pixels.bits_stored = number(tags::kBitsStored, pixels.bits_allocated);
    pixels.high_bit = number(tags::kHighBit, pixels.bits_stored > 0 ? pixels.bits_stored - 1 : 0);
    pixels.pixel_representation = number(tags::kPixelRepresentation, 0);
    const std::string_view photometric = text_of(found.find(tags::kPhotometricInterpretation));
    // A code string of at most 16 characters; anything else is no photometric interpretation.
    const bool sane = photometric.size() <= 16 && std::all_of(photometric.begin(), photometric.end(), [](char c) {
                          return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ' ';
                      });
    if (sane) {
        pixels.photometric_interpretation = photometric;
    } else {
        warnings.add(Warning::bad_number);
    }
    pixels.number_of_frames = std::max(1U, number_of(found, tags::kNumberOfFrames, 1, limits::kMaxFrames, warnings));
    return pixels;
}

/// What stands behind the pixel data is garbage rather than an element: no VR in explicit VR, no higher tag in
/// implicit. Writers pad files with whatever was in the buffer; without this rule it would be read as a cut element.
bool garbage_follows(Bytes data, std::size_t position, Encoding encoding, Tag last) noexcept {
    const std::size_t left = data.size() - position;
    if (left < 2) {
        return false;
    }
    const bool big = encoding.big_endian;
    const std::byte* at = data.data() + position;
    if (left < 8) {
        return load<std::uint16_t>(at, big) < last.group();
    }
    const Tag tag{load<std::uint16_t>(at, big), load<std::uint16_t>(at + 2, big)};
    if (tag > last && tag.group() != 0xFFFE) {
        return encoding.explicit_vr && !looks_like_vr(load<std::uint16_t>(at + 4));
    }
    return tag.group() != 0xFFFE && !(encoding.explicit_vr && traits_of(Vr{load<std::uint16_t>(at + 4)}).known);
}

class Scanner {
public:
    Scanner(Bytes data, const ObjectLayout& layout, bool inflated, bool storable, ScanResult& result)
        : data_(data), layout_(layout), inflated_(inflated), storable_(storable), result_(result) {}

    void run() {
        read_elements();
        identify();
        index();
    }

private:
    void read_elements() {
        Warnings& warnings = result_.warnings;
        ElementReader reader(data_, layout_.dataset_offset, layout_.encoding, warnings);
        Tag last;
        bool any = false;
        Element element;
        while (reader.next(element)) {
            const bool sorted = !any || element.tag > last;
            if (!sorted) {
                warnings.add(element.tag == last ? Warning::duplicate_element : Warning::tag_order);
            }
            found_.offer(element, sorted, warnings);
            last = element.tag;
            any = true;
            if (is_pixel_tag(element.tag)) [[unlikely]] {
                read_pixels(reader, element);
                if (garbage_follows(data_, reader.position(), layout_.encoding, last)) {
                    warnings.add(Warning::trailing_bytes);
                    break;
                }
            }
        }
        if (!result_.has_pixels) {
            result_.header_length = data_.size();
        }
    }

    void read_pixels(ElementReader& reader, const Element& element) {
        if (result_.has_pixels) {
            result_.warnings.add(Warning::duplicate_element);
            return;
        }
        result_.has_pixels = true;
        result_.header_length = element.offset;
        pixel_element_ = element;
        if (has_pixel_items(element, layout_.codec)) {
            items_ = read_pixel_items(data_, element);
            reader.close(element, items_->end);
        }
    }

    void identify() {
        const std::string_view sop_class = text_of(found_.find(tags::kSopClassUid));
        const std::string_view sop_instance = text_of(found_.find(tags::kSopInstanceUid));
        result_.is_dicomdir = layout_.media_storage_sop_class_uid == kMediaStorageDirectory;
        const bool use_meta = result_.is_dicomdir;
        result_.sop_class_uid = uid(use_meta ? layout_.media_storage_sop_class_uid : sop_class, tags::kSopClassUid);
        result_.sop_instance_uid =
            uid(use_meta ? layout_.media_storage_sop_instance_uid : sop_instance, tags::kSopInstanceUid);
        if (result_.is_dicomdir) {
            return;
        }
        if (layout_.has_meta && layout_.media_storage_sop_instance_uid != sop_instance) {
            result_.warnings.add(Warning::uid_mismatch);
        }
        result_.study_instance_uid = uid(text_of(found_.find(tags::kStudyInstanceUid)), tags::kStudyInstanceUid);
        result_.series_instance_uid = uid(text_of(found_.find(tags::kSeriesInstanceUid)), tags::kSeriesInstanceUid);
    }

    [[nodiscard]] std::string uid(std::string_view value, Tag tag) const {
        if (!storable_ && !is_valid_uid(value)) {
            return {};
        }
        if (value.empty()) {
            throw Error(Errc::missing_element, "the object has no value at " + to_string(tag));
        }
        if (!is_valid_uid(value)) {
            throw Error(Errc::bad_value, "not a valid UID at " + to_string(tag));
        }
        return std::string(value);
    }

    void index() {
        const Element* charset_element = found_.find(tags::kSpecificCharacterSet);
        CharacterSet charset;
        if (charset_element != nullptr && !charset_element->undefined_length()) {
            charset = parse_character_set(charset_element->characters());
            if (charset.unknown) {
                result_.warnings.add(Warning::bad_character_set);
            }
        }
        for (std::string& list : result_.attributes) {
            list.reserve(320);
        }
        found_.for_each([&](const Row& row, const Element& element) {
            if (row.level != kNoLevel) {
                append_attribute(result_.attributes[row.level], data_, element, row.wanted, charset, result_.warnings);
            }
        });
        make_frames();
    }

    void make_frames() {
        if (!result_.has_pixels) {
            result_.frame_table.assign(1, '\0');
            return;
        }
        result_.pixels = describe(found_, pixel_element_.tag, result_.warnings);
        const auto bytes_of = [this](Tag tag) {
            const Element* element = found_.find(tag);
            return element == nullptr || element->undefined_length() ? Bytes{} : element->value;
        };
        FrameSource source;
        source.data = data_;
        source.pixel_element = pixel_element_;
        source.items = items_ ? &*items_ : nullptr;
        source.codec = layout_.codec;
        source.pixels = &result_.pixels;
        source.extended_offsets = bytes_of(tags::kExtendedOffsetTable);
        source.extended_lengths = bytes_of(tags::kExtendedOffsetTableLengths);
        source.inflated = inflated_;
        source.swapped_words = pixel_element_.vr == Vr::OW && pixel_element_.encoding.big_endian &&
                               (result_.pixels.bits_allocated <= 8 || result_.pixels.bits_allocated == 12);
        result_.frame_table = make_frame_table(source, result_.warnings);
    }

    Bytes data_;
    const ObjectLayout& layout_;
    bool inflated_;
    bool storable_;
    ScanResult& result_;
    Found found_;
    Element pixel_element_;
    std::optional<PixelItems> items_;
};

}  // namespace

ScanResult scan(Bytes object, bool storable) {
    ScanResult result;
    const ObjectLayout layout = read_layout(object);
    result.warnings = layout.warnings;
    result.has_preamble = layout.has_preamble;
    result.has_meta = layout.has_meta;
    result.deflated = layout.deflated;
    result.dataset_offset = layout.dataset_offset;
    result.transfer_syntax_uid = layout.transfer_syntax_uid;
    if (layout.deflated) {
        const std::vector<std::byte> inflated = inflate_object(object, layout);
        Scanner(inflated, layout, true, storable, result).run();
        result.header_length = object.size();
    } else {
        Scanner(object, layout, false, storable, result).run();
    }
    return result;
}

}  // namespace hilum::dicom
