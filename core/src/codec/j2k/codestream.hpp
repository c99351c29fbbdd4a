// SPDX-License-Identifier: Apache-2.0
// JPEG 2000 code stream (ISO/IEC 15444-1 Annex A): main header, tile-part headers, where the packets lie. Nothing is
// copied but packed packet headers; every size is checked before it is used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hilum::codec::j2k {

using Bytes = std::span<const std::byte>;

/// Half-open.
struct Rect {
    std::uint32_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;

    [[nodiscard]] std::uint32_t width() const noexcept { return x1 > x0 ? x1 - x0 : 0; }
    [[nodiscard]] std::uint32_t height() const noexcept { return y1 > y0 ? y1 - y0 : 0; }
    [[nodiscard]] bool empty() const noexcept { return x1 <= x0 || y1 <= y0; }
};

struct Component {
    std::uint8_t precision = 0;
    bool is_signed = false;
    std::uint8_t dx = 1, dy = 1;

    bool operator==(const Component&) const = default;
};

/// SIZ, A.5.1.
struct Size {
    Rect image;
    std::uint32_t tile_width = 0, tile_height = 0, tile_x0 = 0, tile_y0 = 0;
    std::uint32_t tiles_across = 0, tiles_down = 0;
    std::vector<Component> components;
};

/// Code-block styles, Table A.19.
enum Style : std::uint8_t {
    kBypass = 1,
    kReset = 2,
    kTerminate = 4,
    kVerticallyCausal = 8,
    kPredictable = 16,
    kSegmentation = 32,
    kHighThroughput = 64,  ///< all code-blocks are of ISO/IEC 15444-15
    kMixed = 128,          ///< with kHighThroughput: each code-block may be; not decoded here
};

/// SPcod and SPcoc, A.6.1 and A.6.2, of one tile-component.
struct CodingStyle {
    std::uint8_t levels = 0;
    std::uint8_t block_width = 6, block_height = 6;  ///< exponents
    std::uint8_t style = 0;
    bool reversible = true;
    std::array<std::uint8_t, 33> precincts{};  ///< PPx | PPy << 4 for each resolution
};

/// QCD and QCC, A.6.4 and A.6.5.
struct Quantisation {
    std::uint8_t style = 0;  ///< 0 none, 1 derived, 2 expounded
    std::uint8_t guard_bits = 0;
    std::uint8_t steps = 0;
    std::array<std::uint16_t, 97> step{};  ///< exponent << 11 | mantissa
};

/// POC, A.6.6.
struct Progression {
    std::uint8_t order = 0;  ///< LRCP, RLCP, RPCL, PCRL, CPRL
    std::uint8_t resolution_from = 0, resolution_to = 33;
    std::uint16_t component_from = 0, component_to = 0;
    std::uint16_t layer_to = 0;
};

struct ComponentParameters {
    CodingStyle coding;
    Quantisation quantisation;
    std::uint8_t roi_shift = 0;
    bool own_coding = false, own_quantisation = false;  ///< by COC or QCC at this level: COD and QCD do not touch them
};

/// Everything that a tile header may change.
struct Parameters {
    std::uint8_t progression = 0;
    std::uint16_t layers = 0;
    bool component_transform = false, sop = false, eph = false;
    bool has_coding = false, has_quantisation = false;
    std::vector<ComponentParameters> components;
    std::vector<Progression> changes;
};

struct TilePart {
    std::uint32_t tile = 0;
    std::size_t header = 0, header_end = 0;  ///< marker segments between SOT and SOD
    std::size_t body = 0, body_end = 0;
    std::uint32_t packed_from = 0, packed_to = 0;  ///< range in CodeStream::packed
};

struct CodeStream {
    Bytes data;
    std::size_t base = 0;  ///< of `data` in the frame; errors count from there
    Size size;
    Parameters parameters;
    std::vector<TilePart> parts;    ///< in order of the stream
    bool has_packed = false;        ///< PPM
    std::vector<std::byte> packed;  ///< headers of all packets, PPM joined

    [[nodiscard]] Rect tile(std::uint32_t index) const noexcept;
    [[nodiscard]] std::uint32_t tiles() const noexcept { return size.tiles_across * size.tiles_down; }
};

/// SIZ and the main header only.
[[nodiscard]] CodeStream read_main_header(Bytes data, std::size_t base);

/// The whole stream's structure.
[[nodiscard]] CodeStream read_code_stream(Bytes data, std::size_t base);

/// One tile's parameters and its packed packet headers (PPM or PPT), out of its tile-part headers.
struct TileHeader {
    Parameters parameters;
    std::vector<Bytes> bodies;
    bool has_packed = false;
    std::vector<std::byte> packed;
};
[[nodiscard]] TileHeader read_tile_header(const CodeStream& stream, std::span<const std::uint32_t> parts);

/// Throws limit_exceeded where so many samples cannot come from so few bytes: 16 M of them are free, beyond that a byte
/// stands for 4096 at most. `offset` is that of SIZ.
void check_plausible(const Size& size, std::size_t bytes, std::uint64_t offset);

[[noreturn]] void fail_bad(const std::string& what, std::uint64_t offset);
[[noreturn]] void fail_truncated(const std::string& what, std::uint64_t offset);
/// Segments of ISO/IEC 15444-2 Annex A that change samples: DCO, VMS, DFS, ADS, MCT, MCC, NLT, MCO, CBD, ATK.
constexpr bool is_part_2(unsigned marker) noexcept {
    return marker >= 0xFF70 && marker <= 0xFF79;
}

[[noreturn]] void fail_unsupported(const std::string& what, std::uint64_t offset);

[[nodiscard]] constexpr std::uint32_t ceil_div(std::uint32_t a, std::uint32_t b) noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{a} + b - 1) / b);
}
[[nodiscard]] constexpr std::uint32_t ceil_shift(std::uint32_t a, unsigned bits) noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{a} + (std::uint64_t{1} << bits) - 1) >> bits);
}
[[nodiscard]] constexpr std::uint32_t floor_shift(std::uint32_t a, unsigned bits) noexcept {
    return static_cast<std::uint32_t>(std::uint64_t{a} >> bits);
}

}  // namespace hilum::codec::j2k
