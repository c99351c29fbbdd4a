// SPDX-License-Identifier: Apache-2.0
// The one iterator over data elements (PS3.5 section 7): scan, JSON and rendering attributes all read through it.
//
//   Warnings warnings;
//   ElementReader reader(bytes, layout.dataset_offset, layout.encoding, warnings);
//   for (Element e; reader.next(e);) {
//       if (e.is_sequence()) {
//           SequenceReader items(reader, e);
//           for (ElementReader item; items.next(item);) { for (Element inner; item.next(inner);) { ... } }
//       }
//   }
//
// Nothing is copied or allocated. Readers borrow the bytes and their parents: a parent has to outlive and must not be
// moved while a child is in use. A child need not be read to its end; the parent skips what is left. Sequences of
// undefined length are so walked once when they are read, once when they are skipped, never both as a whole.
// Errors: truncated (ends with the bytes), bad_element and bad_sequence (ends past its parent, no item where one has to
// be), nesting_too_deep. No message has a value in it. Not thread-safe; distinct readers over the same bytes are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "hilum/dicom/dictionary.hpp"
#include "hilum/dicom/tag.hpp"
#include "hilum/dicom/transfer_syntax.hpp"
#include "hilum/dicom/vr.hpp"
#include "hilum/dicom/warnings.hpp"

namespace hilum::dicom {

inline constexpr std::uint32_t kUndefinedLength = 0xFFFFFFFFU;

/// One data element. Views into the bytes of its reader.
struct Element {
    Tag tag;
    Vr vr = Vr::none;  ///< as written; Vr::none in implicit VR
    std::uint32_t length =
        0;                   ///< as written; kUndefinedLength for sequences and encapsulated pixel data with delimiters
    std::size_t offset = 0;  ///< of the tag, from the first byte of the reader's data
    std::size_t value_offset = 0;
    Encoding encoding;  ///< of the value
    /// The value. With undefined length: from the first item to the end of the enclosing container, so more than it.
    std::span<const std::byte> value;

    [[nodiscard]] bool undefined_length() const noexcept { return length == kUndefinedLength; }
    /// Undefined length pixel data: fragments, which no SequenceReader may read (see frames.hpp).
    [[nodiscard]] bool is_encapsulated() const noexcept { return undefined_length() && tag == tags::kPixelData; }
    /// The VR as written, else by the dictionary (also for UN of a known tag), may be Vr::ox, xs or xw.
    [[nodiscard]] Vr effective_vr() const noexcept;
    /// Has items: VR SQ, or undefined length and no pixel data, or known as SQ by the dictionary.
    [[nodiscard]] bool is_sequence() const noexcept;
    /// The bytes as characters, nothing trimmed or decoded.
    [[nodiscard]] std::string_view characters() const noexcept {
        return {reinterpret_cast<const char*>(value.data()), value.size()};
    }
};

class SequenceReader;

/// Elements of a data set or of one item.
class ElementReader {
public:
    /// Empty: next() is false.
    ElementReader() noexcept = default;

    /// The top level of a data set: elements from `begin` to the end of `data`.
    ElementReader(std::span<const std::byte> data, std::size_t begin, Encoding encoding, Warnings& warnings) noexcept;

    /// The next element, false at the end.
    bool next(Element& element);

    /// The caller has walked over the value of undefined length that next() gave, up to `end` (after its delimiter).
    void close(const Element& element, std::size_t end) noexcept {
        if (pending_ && open_.offset == element.offset) {
            position_ = end;
            pending_ = false;
        }
    }

    /// Where the next element starts; at the end, where the data set or item ended (delimiter included).
    [[nodiscard]] std::size_t position() const noexcept { return position_; }
    [[nodiscard]] Encoding encoding() const noexcept { return encoding_; }
    /// Sequences around these elements: 0 at the top level.
    [[nodiscard]] unsigned depth() const noexcept { return depth_; }

private:
    friend class SequenceReader;

    bool end_of_container(std::size_t left);
    bool pass_delimiter(Tag tag);
    void end_here() noexcept;
    void finish_open();

    std::span<const std::byte> data_;
    std::size_t position_ = 0;
    std::size_t end_ = 0;
    Encoding encoding_;
    bool delimited_ = false;  // of undefined length: ends with an item delimitation item
    bool pending_ = false;    // an element of undefined length was given out and its end is not known yet
    bool ended_ = false;
    bool begun_ = false;
    Element open_;  // that element, while pending_
    Tag last_;      // of the element before
    unsigned depth_ = 0;
    SequenceReader* owner_ = nullptr;
    Warnings* warnings_ = nullptr;
};

/// Items of one sequence.
class SequenceReader {
public:
    /// `element` was just given out by `parent` and is_sequence(). UN and data sets of mixed encodings are detected.
    SequenceReader(ElementReader& parent, const Element& element);
    SequenceReader(const SequenceReader&) = delete;
    SequenceReader& operator=(const SequenceReader&) = delete;

    /// Make `item` a reader of the next item; false at the end.
    bool next(ElementReader& item);

    /// Offset of the item tag of the item that next() gave.
    [[nodiscard]] std::size_t item_offset() const noexcept { return item_offset_; }

private:
    friend class ElementReader;

    bool end_of_items(std::size_t left);
    void open_item(ElementReader& item, std::uint32_t length);
    void finish() noexcept;

    ElementReader& parent_;
    Element element_;
    Encoding encoding_;       // of item tags
    Encoding item_encoding_;  // of the elements of the last item
    bool sniff_ = false;      // each item may be implicit or explicit VR
    bool pending_ = false;    // an item of undefined length was given out and its end is not known yet
    bool ended_ = false;
    std::size_t position_;
    std::size_t end_;
    std::size_t item_offset_ = 0;
    unsigned depth_;
};

/// The offset after the sequence delimitation item of the sequence (or fragments) of undefined length `element`, which
/// lies at `depth` in a container that ends at `end`. Iterative; the bytes between are checked as far as it takes.
[[nodiscard]] std::size_t skip_undefined(std::span<const std::byte> data, const Element& element, std::size_t end,
                                         unsigned depth, Warnings& warnings);

}  // namespace hilum::dicom
