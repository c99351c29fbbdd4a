// SPDX-License-Identifier: Apache-2.0
// Which decoder takes which transfer syntax, in order of preference.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "hilum/codec/codec.hpp"

namespace hilum::codec {

struct Syntax {
    std::string_view uid;
    std::string_view name;                   ///< as in PS3.6 Table A-1, short
    std::span<const Codec* const> decoders;  ///< best first
    bool encapsulated;
};

/// All syntaxes that have a decoder, in the order of their UIDs.
[[nodiscard]] std::span<const Syntax> syntaxes() noexcept;

/// (name, version) of each library that codecs are built on, "left out" for one that the build did not find.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> libraries();

/// nullptr when nothing decodes it.
[[nodiscard]] const Syntax* find_syntax(std::string_view uid) noexcept;

/// Throws unsupported_syntax, naming the UID.
[[nodiscard]] const Syntax& require_syntax(std::string_view uid);

/// A frame as it is stored: one or more fragments, or a bit range of native data.
struct StoredFrame {
    std::span<const std::span<const std::byte>> fragments;
    unsigned bit_offset = 0;  ///< native only: bits of the first byte that belong to the frame before
};

/// Decodes one frame into `out` (exactly frame_bytes(description) bytes) and says what it was. Fragments are joined
/// only where there are several. A JPEG code stream goes to the decoder of its own process when that is not the one of
/// the transfer syntax.
ImageInfo decode_frame(const StoredFrame& frame, const Syntax& syntax, const PixelDescription& description,
                       std::span<std::byte> out);

}  // namespace hilum::codec
