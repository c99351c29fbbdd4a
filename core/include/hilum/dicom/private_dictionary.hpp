// SPDX-License-Identifier: Apache-2.0
// VRs of private elements that are publicly known, for data sets that do not write VRs (PS3.5 sections 6.2.2, 7.8).
#pragma once

#include <string_view>

#include "hilum/dicom/tag.hpp"
#include "hilum/dicom/vr.hpp"

namespace hilum::dicom {

/// VR of the element `tag` in a block of `creator`, the value of the block's Private Creator without trailing padding.
/// Vr::UN where nothing is known; may be Vr::ox, xs or xw (see resolve_vr).
[[nodiscard]] Vr private_vr(std::string_view creator, Tag tag) noexcept;

}  // namespace hilum::dicom
