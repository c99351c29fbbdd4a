// SPDX-License-Identifier: Apache-2.0
// Data elements in another encoding (PS3.5 section 7, annex A), all else as it was.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "hilum/dicom/tag.hpp"
#include "hilum/dicom/transfer_syntax.hpp"

namespace hilum::dicom {

/// A whole element as it will stand in the output; empty: the element is left out.
struct Replacement {
    Tag tag;
    std::span<const std::byte> element;
};

/// Elements of the top level from `begin` to the end of `data`, written in `to`. `replacements`, by ascending tag, take
/// the place of elements of that tag or are inserted where they belong. With equal encodings all other bytes are
/// copied as they are; else VRs come from the dictionaries, values that are numbers change their byte order, sequences
/// and items keep defined or undefined lengths, and group lengths, which would be wrong, are left out (as are those of
/// groups with a replacement). A value that its VR's 16-bit length cannot hold is written as UN (PS3.5 section 6.2.2).
/// `pixels_signed`: Pixel Representation, which decides between US and SS. Errors as those of ElementReader.
[[nodiscard]] std::vector<std::byte> rewrite(std::span<const std::byte> data, std::size_t begin, Encoding from,
                                             Encoding to, bool pixels_signed,
                                             std::span<const Replacement> replacements);

}  // namespace hilum::dicom
