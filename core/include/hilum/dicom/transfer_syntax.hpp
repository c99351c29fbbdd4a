// SPDX-License-Identifier: Apache-2.0
// Transfer syntaxes (PS3.5 section 10 and annex A, PS3.6 table A-1).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace hilum::dicom {

/// How the elements of a data set are written.
struct Encoding {
    bool explicit_vr = true;
    bool big_endian = false;

    constexpr bool operator==(const Encoding&) const noexcept = default;
};

/// What the fragments of encapsulated pixel data hold.
enum class Codec : std::uint8_t {
    native,     ///< not encapsulated
    plain,      ///< native frames in fragments (1.2.840.10008.1.2.1.98)
    rle,        ///< PS3.5 annex G
    jpeg,       ///< ISO 10918-1, all processes
    jpeg_ls,    ///< ISO 14495-1
    jpeg_2000,  ///< ISO 15444-1/2, also HTJ2K (15444-15)
    jpeg_xl,    ///< ISO 18181
    mpeg,       ///< MPEG-2, H.264, HEVC: one stream for all frames
    deflate,    ///< each frame deflated (1.2.840.10008.1.2.8.1)
    jpip,       ///< pixel data is elsewhere
    smpte,      ///< real-time video (ST 2110): no stored pixels
    unknown,    ///< encapsulated, by a private or later syntax
};

/// Pixel data is in fragments (PS3.5 section A.4).
[[nodiscard]] constexpr bool is_encapsulated(Codec codec) noexcept {
    return codec != Codec::native && codec != Codec::jpip && codec != Codec::smpte;
}

struct TransferSyntax {
    std::string_view uid;
    std::string_view name;
    Encoding encoding;
    Codec codec = Codec::native;
    bool deflated = false;  ///< the whole data set is deflated (PS3.5 section A.5)

    [[nodiscard]] constexpr bool encapsulated() const noexcept { return is_encapsulated(codec); }
};

inline constexpr std::string_view kImplicitLittleEndian = "1.2.840.10008.1.2";
inline constexpr std::string_view kExplicitLittleEndian = "1.2.840.10008.1.2.1";
inline constexpr std::string_view kExplicitBigEndian = "1.2.840.10008.1.2.2";
inline constexpr std::string_view kDeflatedExplicitLittleEndian = "1.2.840.10008.1.2.1.99";

/// All syntaxes of the standard, retired ones too, sorted by UID.
[[nodiscard]] std::span<const TransferSyntax> transfer_syntaxes() noexcept;

/// nullptr when the standard does not define it. A private syntax is read as explicit little endian (PS3.5 A.4).
[[nodiscard]] const TransferSyntax* find_transfer_syntax(std::string_view uid) noexcept;

}  // namespace hilum::dicom
