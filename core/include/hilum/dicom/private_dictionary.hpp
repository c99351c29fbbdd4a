// SPDX-License-Identifier: Apache-2.0
// VRs of private elements that are publicly known, for data sets that do not write VRs (PS3.5 sections 6.2.2, 7.8).
#pragma once

#include <cstdint>
#include <string_view>

#include "hilum/dicom/tag.hpp"
#include "hilum/dicom/vr.hpp"

namespace hilum::dicom {

/// Elements of one creator in the dictionary.
struct PrivateOwner {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
};

/// `creator`: the value of a block's Private Creator without trailing padding. Empty where nothing is known of it.
[[nodiscard]] PrivateOwner find_private_owner(std::string_view creator) noexcept;

/// VR of the element `tag` in a block of `owner`. Vr::UN where nothing is known; may be Vr::ox, xs or xw (see
/// resolve_vr).
[[nodiscard]] Vr private_vr(PrivateOwner owner, Tag tag) noexcept;

}  // namespace hilum::dicom
