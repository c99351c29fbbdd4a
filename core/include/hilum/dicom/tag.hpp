// SPDX-License-Identifier: Apache-2.0
// Data element tags (PS3.5 section 7.1, PS3.6).
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace hilum::dicom {

/// (gggg,eeee) as one number, group in the high half, so that numbers sort as the standard orders elements.
struct Tag {
    std::uint32_t value = 0;

    constexpr Tag() noexcept = default;
    constexpr explicit Tag(std::uint32_t number) noexcept : value(number) {}
    constexpr Tag(std::uint16_t group, std::uint16_t element) noexcept
        : value((std::uint32_t{group} << 16U) | element) {}

    [[nodiscard]] constexpr std::uint16_t group() const noexcept { return static_cast<std::uint16_t>(value >> 16U); }
    [[nodiscard]] constexpr std::uint16_t element() const noexcept { return static_cast<std::uint16_t>(value); }
    [[nodiscard]] constexpr bool is_private() const noexcept { return (value & 0x10000U) != 0; }
    [[nodiscard]] constexpr bool is_group_length() const noexcept { return (value & 0xFFFFU) == 0; }
    /// (gggg,0010-00FF) of an odd group: names the owner of a block (PS3.5 section 7.8.1).
    [[nodiscard]] constexpr bool is_private_creator() const noexcept {
        return is_private() && element() >= 0x0010 && element() <= 0x00FF;
    }
    /// (FFFE,xxxx): items and delimiters, which are no data elements.
    [[nodiscard]] constexpr bool is_delimiter() const noexcept { return group() == 0xFFFE; }

    constexpr auto operator<=>(const Tag&) const noexcept = default;
};

/// "(gggg,eeee)" for messages.
[[nodiscard]] std::string to_string(Tag tag);

namespace tags {
inline constexpr Tag kMediaStorageSopClassUid{0x00020002};
inline constexpr Tag kMediaStorageSopInstanceUid{0x00020003};
inline constexpr Tag kTransferSyntaxUid{0x00020010};
inline constexpr Tag kSpecificCharacterSet{0x00080005};
inline constexpr Tag kSopClassUid{0x00080016};
inline constexpr Tag kSopInstanceUid{0x00080018};
inline constexpr Tag kStudyInstanceUid{0x0020000D};
inline constexpr Tag kSeriesInstanceUid{0x0020000E};
inline constexpr Tag kSamplesPerPixel{0x00280002};
inline constexpr Tag kPhotometricInterpretation{0x00280004};
inline constexpr Tag kPlanarConfiguration{0x00280006};
inline constexpr Tag kNumberOfFrames{0x00280008};
inline constexpr Tag kRows{0x00280010};
inline constexpr Tag kColumns{0x00280011};
inline constexpr Tag kBitsAllocated{0x00280100};
inline constexpr Tag kBitsStored{0x00280101};
inline constexpr Tag kHighBit{0x00280102};
inline constexpr Tag kPixelRepresentation{0x00280103};
inline constexpr Tag kExtendedOffsetTable{0x7FE00001};
inline constexpr Tag kExtendedOffsetTableLengths{0x7FE00002};
inline constexpr Tag kFloatPixelData{0x7FE00008};
inline constexpr Tag kDoubleFloatPixelData{0x7FE00009};
inline constexpr Tag kPixelData{0x7FE00010};
inline constexpr Tag kItem{0xFFFEE000};
inline constexpr Tag kItemDelimitation{0xFFFEE00D};
inline constexpr Tag kSequenceDelimitation{0xFFFEE0DD};
}  // namespace tags

/// PixelData, FloatPixelData or DoubleFloatPixelData: where the header ends.
[[nodiscard]] constexpr bool is_pixel_tag(Tag tag) noexcept {
    return tag == tags::kPixelData || tag == tags::kFloatPixelData || tag == tags::kDoubleFloatPixelData;
}

}  // namespace hilum::dicom
