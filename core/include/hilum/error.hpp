// SPDX-License-Identifier: Apache-2.0
// The one exception type of the core. Codes are an interface: never renumber, never reuse.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace hilum {

/// 1-99: the data is bad. 100-199: the caller's mistake. 200 and up: the environment.
enum class Errc : std::int32_t {
    // data
    truncated = 1,            ///< ends inside an element, item, header or code stream
    not_dicom = 2,            ///< neither a Part-10 file nor a recognisable data set
    bad_element = 3,          ///< an element's tag, VR or length cannot be right
    bad_sequence = 4,         ///< item or delimiter where none may be
    nesting_too_deep = 5,     ///< more than limits::kMaxNesting levels
    bad_deflate = 6,          ///< deflated data set does not inflate
    missing_element = 7,      ///< an element that the operation needs is absent
    bad_value = 8,            ///< a value is outside of what the standard allows
    bad_frame_table = 9,      ///< offset table, fragments and number of frames disagree
    bad_codestream = 10,      ///< the compressed frame is malformed
    unsupported_syntax = 11,  ///< no decoder for this transfer syntax
    unsupported_pixels = 12,  ///< pixel description that the operation does not cover
    bad_record = 13,          ///< pack record or index record fails its checksum
    bad_format_version = 14,  ///< written by another format version
    limit_exceeded = 15,      ///< a size in the data is above limits.hpp
    bad_character_set = 16,   ///< a character set term that the standard does not define
    bad_pdu = 17,             ///< what arrives on an association is no DIMSE message
    // caller
    invalid_argument = 100,
    buffer_too_small = 101,
    out_of_range = 102,
    // environment
    io_error = 200,  ///< a system call failed; the message has strerror
    no_space = 201,  ///< ENOSPC, EDQUOT, EFBIG
    out_of_memory = 202,
    read_only = 203,  ///< EROFS, EACCES on something to be written
    not_found = 204,  ///< ENOENT
};

/// Thrown at object and frame level only. `message` names tags and offsets, never values of patients.
class Error : public std::runtime_error {
public:
    static constexpr std::uint64_t kNoOffset = ~std::uint64_t{0};

    Error(Errc code, const std::string& message, std::uint64_t offset = kNoOffset)
        : std::runtime_error(message), code_(code), offset_(offset) {}

    [[nodiscard]] Errc code() const noexcept { return code_; }
    /// Byte offset in the caller's buffer, or kNoOffset.
    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

private:
    Errc code_;
    std::uint64_t offset_;
};

}  // namespace hilum
