// SPDX-License-Identifier: Apache-2.0
// Where the frames of an object are, found once at ingest and kept in the index, so that a frame is one range read.
//
// A frame table is little endian and starts with its kind:
//   0  no pixel data
//   1  native: u64 first, u64 frame_bits, u32 frames; frame i is at bit first * 8 + i * frame_bits
//   2  one fragment per frame: u32 n, n x (u64 offset, u32 length)
//   3  general: u32 n, (n + 1) x u32 index of the frame's first fragment, fragments as above
// Bit 7 of the kind: offsets are into the inflated object (inflate_object). Bit 6, of a native table: samples of 1, 8
// or 12 bits in big-endian OW, so the bytes of each 16-bit word, counted from `first`, are swapped (PS3.5 8.1.1).
// Offsets count from the first byte of the object; item headers are not part of fragments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hilum/dicom/element.hpp"
#include "hilum/dicom/tag.hpp"
#include "hilum/dicom/transfer_syntax.hpp"
#include "hilum/dicom/warnings.hpp"

namespace hilum::dicom {

/// Image Pixel Macro attributes (PS3.3 C.7.6.3), zero or the default of the standard where absent.
struct PixelDescription {
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    std::uint32_t samples_per_pixel = 1;
    std::uint32_t planar_configuration = 0;
    std::uint32_t bits_allocated = 0;
    std::uint32_t bits_stored = 0;
    std::uint32_t high_bit = 0;
    std::uint32_t pixel_representation = 0;
    std::string photometric_interpretation;
    std::uint32_t number_of_frames = 1;
    Tag tag;  ///< which of the three pixel data elements

    /// "PixelData", "FloatPixelData" or "DoubleFloatPixelData".
    [[nodiscard]] std::string_view keyword() const noexcept;
    /// Bits of one native frame; chroma subsampled 4:2:2 takes two thirds (PS3.3 C.7.6.3.1.2).
    [[nodiscard]] std::uint64_t frame_bits() const noexcept;
};

enum class FrameKind : std::uint8_t { none = 0, native = 1, single = 2, general = 3 };

inline constexpr std::uint8_t kInflatedFlag = 0x80;
inline constexpr std::uint8_t kSwappedWordsFlag = 0x40;

struct Fragment {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;

    bool operator==(const Fragment&) const = default;
};

/// A frame table taken apart. Borrows the bytes. Errors: bad_frame_table.
class FrameTable {
public:
    explicit FrameTable(std::span<const std::byte> encoded);

    [[nodiscard]] FrameKind kind() const noexcept { return kind_; }
    [[nodiscard]] bool inflated() const noexcept { return inflated_; }
    /// Of a native table: whether the bytes of each 16-bit word, counted from first(), are swapped.
    [[nodiscard]] bool swapped_words() const noexcept { return swapped_words_; }
    [[nodiscard]] std::uint32_t frames() const noexcept { return frames_; }
    /// Of a native table: where frame 0 starts, in bytes.
    [[nodiscard]] std::uint64_t first() const noexcept { return first_; }
    /// Of a native table.
    [[nodiscard]] std::uint64_t frame_bits() const noexcept { return frame_bits_; }
    /// Fragments of a frame that is not native. Errors: out_of_range.
    [[nodiscard]] std::vector<Fragment> fragments(std::uint32_t frame) const;

private:
    [[nodiscard]] Fragment fragment(std::size_t index) const noexcept;

    std::span<const std::byte> encoded_;
    FrameKind kind_ = FrameKind::none;
    bool inflated_ = false;
    bool swapped_words_ = false;
    std::uint32_t frames_ = 0;
    std::uint64_t first_ = 0;
    std::uint64_t frame_bits_ = 0;
    std::size_t fragments_at_ = 0;  // byte of the table where the fragments start
    std::size_t fragment_count_ = 0;
};

/// The items of encapsulated pixel data.
struct PixelItems {
    std::vector<Fragment> fragments;  ///< without the basic offset table
    std::span<const std::byte> basic_offsets;
    std::uint64_t first_tag = 0;  ///< offset of the first fragment's item tag: what offset tables count from
    std::size_t end = 0;          ///< after the sequence delimitation item
};

/// PS3.5 A.4: items of defined length, the first of which is the basic offset table, until the sequence delimitation
/// item. Errors: truncated, bad_sequence, limit_exceeded (limits::kMaxFrames fragments).
[[nodiscard]] PixelItems read_pixel_items(std::span<const std::byte> data, const Element& element);

/// Whether the element holds items: of undefined length, or beginning with an item although the length is defined.
[[nodiscard]] bool has_pixel_items(const Element& element, Codec codec) noexcept;

/// What decides which fragments belong to which frame.
struct FrameSource {
    std::span<const std::byte> data;  ///< the object (inflated where deflated)
    Element pixel_element;
    PixelItems* items = nullptr;  ///< if has_pixel_items; its fragments may get shortened by the extended lengths
    Codec codec = Codec::native;
    const PixelDescription* pixels = nullptr;
    std::span<const std::byte> extended_offsets;  ///< value of (7FE0,0001), 64-bit numbers, empty if absent
    std::span<const std::byte> extended_lengths;  ///< value of (7FE0,0002)
    bool inflated = false;
    bool swapped_words = false;  ///< native samples of 1, 8 or 12 bits in big-endian words
};

/// The encoded table. Rules (PS3.5 A.4): the extended offset table, then the basic one, each only if it agrees with the
/// items; else as many frames as fragments; one frame of all; else by the start or end markers of the code streams.
/// What disagrees gives Warning::bad_frame_table and a table of what exists. Never throws for bad data.
[[nodiscard]] std::string make_frame_table(const FrameSource& source, Warnings& warnings);

}  // namespace hilum::dicom
