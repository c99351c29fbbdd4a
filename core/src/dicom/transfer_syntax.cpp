// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/transfer_syntax.hpp"

#include <algorithm>
#include <iterator>

namespace hilum::dicom {
namespace {

constexpr Encoding kImplicit{false, false};
constexpr Encoding kLittle{true, false};
constexpr Encoding kBig{true, true};

// PS3.6 table A-1, sorted by UID (as text). The two MIME and XML syntaxes are left out: they are no data sets.
constexpr TransferSyntax kSyntaxes[] = {
    {"1.2.840.10008.1.2", "Implicit VR Little Endian", kImplicit, Codec::native},
    {"1.2.840.10008.1.2.1", "Explicit VR Little Endian", kLittle, Codec::native},
    {"1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian", kLittle, Codec::plain},
    {"1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", kLittle, Codec::native, true},
    {"1.2.840.10008.1.2.2", "Explicit VR Big Endian", kBig, Codec::native},
    {"1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", kLittle,
     Codec::mpeg},
    {"1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", kLittle,
     Codec::mpeg},
    {"1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video", kLittle,
     Codec::mpeg},
    {"1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2", kLittle,
     Codec::mpeg},
    {"1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1", kLittle, Codec::mpeg},
    {"1.2.840.10008.1.2.4.110", "JPEG XL Lossless", kLittle, Codec::jpeg_xl},
    {"1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", kLittle, Codec::jpeg_xl},
    {"1.2.840.10008.1.2.4.112", "JPEG XL", kLittle, Codec::jpeg_xl},
    {"1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Image Compression (Lossless Only)", kLittle,
     Codec::jpeg_2000},
    {"1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
     kLittle, Codec::jpeg_2000},
    {"1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000 Image Compression", kLittle, Codec::jpeg_2000},
    {"1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", kLittle, Codec::jpip},
    {"1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", kLittle, Codec::jpip, true},
    {"1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 and 18)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 and 19)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.70",
     "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])", kLittle, Codec::jpeg},
    {"1.2.840.10008.1.2.4.80", "JPEG-LS Lossless Image Compression", kLittle, Codec::jpeg_ls},
    {"1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", kLittle, Codec::jpeg_ls},
    {"1.2.840.10008.1.2.4.90", "JPEG 2000 Image Compression (Lossless Only)", kLittle, Codec::jpeg_2000},
    {"1.2.840.10008.1.2.4.91", "JPEG 2000 Image Compression", kLittle, Codec::jpeg_2000},
    {"1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)", kLittle,
     Codec::jpeg_2000},
    {"1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression", kLittle, Codec::jpeg_2000},
    {"1.2.840.10008.1.2.4.94", "JPIP Referenced", kLittle, Codec::jpip},
    {"1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", kLittle, Codec::jpip, true},
    {"1.2.840.10008.1.2.5", "RLE Lossless", kLittle, Codec::rle},
    {"1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video", kLittle, Codec::smpte},
    {"1.2.840.10008.1.2.7.2", "SMPTE ST 2110-20 Uncompressed Interlaced Active Video", kLittle, Codec::smpte},
    {"1.2.840.10008.1.2.7.3", "SMPTE ST 2110-30 PCM Digital Audio", kLittle, Codec::smpte},
    {"1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", kLittle, Codec::deflate},
    {"1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian", kImplicit, Codec::native},
};

constexpr bool by_uid(const TransferSyntax& a, const TransferSyntax& b) noexcept {
    return a.uid < b.uid;
}
static_assert(std::is_sorted(std::begin(kSyntaxes), std::end(kSyntaxes), by_uid));

}  // namespace

std::span<const TransferSyntax> transfer_syntaxes() noexcept {
    return kSyntaxes;
}

const TransferSyntax* find_transfer_syntax(std::string_view uid) noexcept {
    const auto* found = std::lower_bound(std::begin(kSyntaxes), std::end(kSyntaxes), uid,
                                         [](const TransferSyntax& row, std::string_view key) { return row.uid < key; });
    return found != std::end(kSyntaxes) && found->uid == uid ? found : nullptr;
}

}  // namespace hilum::dicom
