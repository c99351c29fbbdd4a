// SPDX-License-Identifier: Apache-2.0
// Tag -> VR of the standard's data dictionary (PS3.6), for data sets that do not write VRs.
#pragma once

#include "hilum/dicom/tag.hpp"
#include "hilum/dicom/vr.hpp"

namespace hilum::dicom {

/// VR by PS3.6, also for repeating groups (50xx, 60xx), group lengths (UL) and private creators (LO).
/// Vr::UN where the dictionary does not know the tag; Vr::ox, xs, xw where it names several (see resolve_vr).
[[nodiscard]] Vr dictionary_vr(Tag tag) noexcept;

/// One VR for those that the dictionary leaves open (PS3.5 section A.1, PS3.3 C.7.6.3.1.5):
/// "OB or OW" is OW (implicit VR), "US or SS" follows Pixel Representation (0028,0103), "US or OW" is OW.
/// Other VRs pass unchanged. Pixel data of undefined length is OB: the caller knows, not this function.
[[nodiscard]] constexpr Vr resolve_vr(Vr vr, bool pixels_signed) noexcept {
    switch (vr) {
        case Vr::ox:
        case Vr::xw:
            return Vr::OW;
        case Vr::xs:
            return pixels_signed ? Vr::SS : Vr::US;
        default:
            return vr;
    }
}

}  // namespace hilum::dicom
