// SPDX-License-Identifier: Apache-2.0
// One pass over the bytes of an object: what the index, the packs and the readers need to know of it.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "hilum/dicom/attributes.hpp"
#include "hilum/dicom/frames.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/dicom/warnings.hpp"

namespace hilum::dicom {

/// Owns everything; the bytes may go.
struct ScanResult {
    std::string sop_instance_uid;
    std::string sop_class_uid;
    std::string study_instance_uid;   ///< empty for a DICOMDIR
    std::string series_instance_uid;  ///< empty for a DICOMDIR
    std::string transfer_syntax_uid;  ///< of the meta; without one as deduced
    bool has_preamble = false;
    bool has_meta = false;
    bool is_dicomdir = false;
    bool deflated = false;
    bool has_pixels = false;
    std::size_t dataset_offset = 0;  ///< first byte of the data set
    /// Bytes up to the tag of the pixel data: enough for all attributes before it. All bytes where there is none, and
    /// of a deflated object, whose header cannot be read without the rest.
    std::size_t header_length = 0;
    PixelDescription pixels;                      ///< if has_pixels
    std::string frame_table;                      ///< see frames.hpp
    std::array<std::string, kLevels> attributes;  ///< attribute lists, see attributes.hpp
    Warnings warnings;
};

/// Decide whether the bytes are an object that may be stored, and describe it. No pixel is decoded.
///
/// Refused: what is no DICOM (not_dicom); what ends inside an element, an item or a fragment (truncated); elements that
/// cannot be right (bad_element, bad_sequence, nesting_too_deep, bad_deflate, limit_exceeded); objects without SOP
/// Class, SOP Instance, Study or Series Instance UID (missing_element; a DICOMDIR needs the first two only); UIDs that
/// are not digits and dots of at most 64 characters (bad_value). All else is accepted, with a warning where it is odd.
///
/// Sequences of defined length are jumped over, so what is inside of them is only checked where the index wants it.
///
/// With `storable` false the UIDs are not judged: what is missing or invalid is left empty. For tools that look at
/// objects that no archive would take.
[[nodiscard]] ScanResult scan(std::span<const std::byte> object, bool storable = true);

}  // namespace hilum::dicom
