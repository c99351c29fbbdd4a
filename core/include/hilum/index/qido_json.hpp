// SPDX-License-Identifier: Apache-2.0
// Answers of QIDO-RS (PS3.18 10.6.3, F) straight from index records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hilum/index/attributes.hpp"
#include "hilum/index/record.hpp"

namespace hilum::index {

/// Records of one answer, from the study (or patient) down to the level asked for.
using AnswerRow = std::vector<RecordView>;

struct AnswerFields {
    bool all = false;                                ///< every attribute that the records hold
    std::vector<std::uint32_t> tags;                 ///< else these; sorted
    std::vector<std::span<const std::byte>> extras;  ///< empty, or one more attribute list per row
    std::string_view base_url;  ///< of the DICOMweb service, without a slash at the end; empty: no RetrieveURL
};

/// Appends the attributes of a list.
void append_attributes(std::span<const std::byte> list, std::vector<Attribute>& out);

/// Gathers the attributes of a row, the lowest level first: of one tag at several levels the first one counts.
void gather_attributes(const AnswerRow& row, std::vector<Attribute>& out);

/// Appends the JSON array of all rows. Text that is not UTF-8 becomes U+FFFD, so that the answer always is.
void write_answers(std::span<const AnswerRow> rows, const AnswerFields& fields, std::string& out);

/// Appends the members of one attribute list as one DICOM JSON object.
void write_object(std::span<const std::byte> list, std::string& out);

}  // namespace hilum::index
