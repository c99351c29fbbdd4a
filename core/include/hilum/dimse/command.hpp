// SPDX-License-Identifier: Apache-2.0
// What the receive path needs of a command set (PS3.7 E.1): Implicit VR Little Endian elements of group 0000.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace hilum::dimse {

inline constexpr std::uint16_t kStoreRequest = 0x0001;
inline constexpr std::uint16_t kNoDataSet = 0x0101;

struct Command {
    std::uint16_t field = 0;                   ///< (0000,0100)
    std::uint16_t data_set_type = kNoDataSet;  ///< (0000,0800)
    std::string affected_sop_class_uid;        ///< (0000,0002), without padding
    std::string affected_sop_instance_uid;     ///< (0000,1000), without padding
};

/// Throws ProtocolError for what is cut off or has an element of another group.
[[nodiscard]] Command read_command(std::span<const std::byte> bytes);

/// Who wrote a file meta information (PS3.7 D.3.3.2).
struct Implementation {
    std::string class_uid;
    std::string version_name;
};

/// Preamble and file meta information (PS3.10 7.1) to stand before a data set that came by C-STORE. Depends on its
/// arguments alone, so an instance that is sent twice is recognised by its bytes.
[[nodiscard]] std::string part10_prefix(const std::string& sop_class_uid, const std::string& sop_instance_uid,
                                        const std::string& transfer_syntax_uid, const Implementation& implementation);

}  // namespace hilum::dimse
