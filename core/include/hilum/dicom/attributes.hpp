// SPDX-License-Identifier: Apache-2.0
// Attribute lists: what a scan gives the index and what index records hold, as text in UTF-8.
//
// A list is sorted by tag: u32 tag | 2 bytes VR | u16 length | value, integers little endian. Values: text as in DICOM
// (backslash between values, = between groups of a name) without padding behind any value; numbers as decimal text; AT
// as 8 hexadecimal digits; sequences as their items one after another, each u16 length | list. An attribute that is
// present but empty has length 0. Values end at limits::kMaxIndexedValueBytes, sequences at kMaxIndexedSequenceBytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hilum/dicom/charset.hpp"
#include "hilum/dicom/element.hpp"
#include "hilum/dicom/tag.hpp"
#include "hilum/dicom/vr.hpp"
#include "hilum/dicom/warnings.hpp"

namespace hilum::dicom {

inline constexpr std::size_t kMaxIndexedSequenceBytes = 4096;

/// Levels of the Patient Root information model, also positions in tables.
enum class Level : std::uint8_t { patient = 0, study = 1, series = 2, instance = 3 };
inline constexpr std::size_t kLevels = 4;

/// An attribute to be collected; for sequences also which attributes of the items (sorted by tag).
struct Wanted {
    Tag tag;
    Vr vr = Vr::UN;
    std::span<const Wanted> nested{};
};

/// What the index keeps of a level, sorted by tag (PS3.18 tables 10.6.1-3, -4, -5 and PS3.4 C.6 and what viewers ask).
[[nodiscard]] std::span<const Wanted> index_attributes(Level level) noexcept;

/// Append one element to `out` as a member of an attribute list, with the VR that `wanted` names. What has no text form
/// (OB …) is left out. A sequence whose items cannot be read is left out with a warning; never throws for bad data.
void append_attribute(std::string& out, std::span<const std::byte> data, const Element& element, const Wanted& wanted,
                      const CharacterSet& charset, Warnings& warnings);

/// Tag paths such as "00080060" and "00400275.00400009" as wanted attributes. Owns what the spans of `wanted()` show.
/// Errors: invalid_argument (no such path, more than 1024 paths or 8 levels).
class TagPaths {
public:
    explicit TagPaths(std::span<const std::string> paths);
    TagPaths(const TagPaths&) = delete;
    TagPaths& operator=(const TagPaths&) = delete;
    [[nodiscard]] std::span<const Wanted> wanted() const noexcept {
        return nodes_.empty() ? std::span<const Wanted>{} : nodes_.back();
    }

private:
    std::span<const Wanted> build(std::span<const std::vector<Tag>> paths, std::size_t depth);

    std::vector<std::vector<Wanted>> nodes_;
};

/// The attribute list of `wanted` from an object or from its first header_length bytes. Deflated objects need all their
/// bytes. Errors: those of read_layout and ElementReader.
[[nodiscard]] std::string extract(std::span<const std::byte> object, std::span<const Wanted> wanted);

}  // namespace hilum::dicom
