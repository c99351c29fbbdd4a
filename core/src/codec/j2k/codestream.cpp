// SPDX-License-Identifier: Apache-2.0
#include "codestream.hpp"

#include <algorithm>
#include <utility>

#include "hilum/error.hpp"
#include "markers.hpp"

namespace hilum::codec::j2k {

void fail_bad(const std::string& what, std::uint64_t offset) {
    throw Error(Errc::bad_codestream, "JPEG 2000: " + what, offset);
}

void fail_truncated(const std::string& what, std::uint64_t offset) {
    throw Error(Errc::bad_codestream, "JPEG 2000 ends early: " + what, offset);
}

void fail_unsupported(const std::string& what, std::uint64_t offset) {
    throw Error(Errc::unsupported_pixels, "JPEG 2000: " + what, offset);
}

namespace {

constexpr unsigned kSoc = 0xFF4F;
constexpr unsigned kSot = 0xFF90;
constexpr unsigned kSod = 0xFF93;
constexpr unsigned kEoc = 0xFFD9;

/// Pcap of 15444-15. What its Ccap says, the other markers say again.
constexpr std::uint32_t kPart15 = 1U << (32 - 15);

/// One part of packed packet headers: Zppm or Zppt and the bytes.
using Packed = std::vector<std::pair<unsigned, Bytes>>;

Size read_size(Reader& in) {
    Size size;
    const std::size_t start = in.offset();
    in.skip(2);  // Rsiz: capabilities. What is used is seen in the markers.
    size.image.x1 = in.u32();
    size.image.y1 = in.u32();
    size.image.x0 = in.u32();
    size.image.y0 = in.u32();
    size.tile_width = in.u32();
    size.tile_height = in.u32();
    size.tile_x0 = in.u32();
    size.tile_y0 = in.u32();
    const unsigned components = in.u16();
    const Rect& image = size.image;
    if (image.empty() || image.x1 > 0x7FFFFFFFU || image.y1 > 0x7FFFFFFFU || components == 0 || components > 16384 ||
        in.left() != 3U * components) {
        fail_bad("image size (SIZ) is not possible", start);
    }
    if (size.tile_width == 0 || size.tile_height == 0 || size.tile_x0 > image.x0 || size.tile_y0 > image.y0 ||
        std::uint64_t{size.tile_x0} + size.tile_width <= image.x0 ||
        std::uint64_t{size.tile_y0} + size.tile_height <= image.y0) {
        fail_bad("tile size (SIZ) is not possible", start);
    }
    size.tiles_across = ceil_div(image.x1 - size.tile_x0, size.tile_width);
    size.tiles_down = ceil_div(image.y1 - size.tile_y0, size.tile_height);
    if (std::uint64_t{size.tiles_across} * size.tiles_down > 65535) {
        fail_bad("more than 65535 tiles", start);
    }
    for (unsigned c = 0; c < components; ++c) {
        Component one;
        const unsigned depth = in.u8();
        one.precision = static_cast<std::uint8_t>((depth & 0x7FU) + 1U);
        one.is_signed = (depth & 0x80U) != 0;
        one.dx = static_cast<std::uint8_t>(in.u8());
        one.dy = static_cast<std::uint8_t>(in.u8());
        if (one.precision > 38 || one.dx == 0 || one.dy == 0) {
            fail_bad("a component's precision or subsampling (SIZ) is not possible", in.offset() - 3);
        }
        size.components.push_back(one);
    }
    return size;
}

/// Table A.19 with what 15444-15 adds to it.
void check_block_style(unsigned style, std::size_t at) {
    if ((style & kHighThroughput) == 0) {
        if (style > 63) {
            fail_unsupported("a code-block style of another part of the standard", at);
        }
    } else if ((style & kMixed) != 0) {
        fail_unsupported("code-blocks of both kinds, HT and not, in one tile-component (HTMIXED)", at);
    } else if ((style & ~unsigned{kHighThroughput | kVerticallyCausal}) != 0) {
        fail_bad("a code-block style that HT does not have", at);
    }
}

CodingStyle read_coding_style(Reader& in, bool own_precincts) {
    CodingStyle style;
    const std::size_t start = in.offset();
    style.levels = static_cast<std::uint8_t>(in.u8());
    style.block_width = static_cast<std::uint8_t>((in.u8() & 0xFU) + 2U);
    style.block_height = static_cast<std::uint8_t>((in.u8() & 0xFU) + 2U);
    style.style = static_cast<std::uint8_t>(in.u8());
    const unsigned transform = in.u8();
    if (style.levels > 32 || style.block_width > 10 || style.block_height > 10 ||
        style.block_width + style.block_height > 12) {
        fail_bad("decomposition levels or code-block size out of range", start);
    }
    if (transform > 1) {
        fail_unsupported("a transform of another part of the standard", start);
    }
    check_block_style(style.style, start);
    style.reversible = transform == 1;
    style.precincts.fill(0xFF);
    for (unsigned r = 0; own_precincts && r <= style.levels; ++r) {
        style.precincts[r] = static_cast<std::uint8_t>(in.u8());
        if (r > 0 && ((style.precincts[r] & 0xFU) == 0 || style.precincts[r] >> 4U == 0)) {
            fail_bad("precinct size of 1 above the lowest resolution", in.offset() - 1);
        }
    }
    return style;
}

void read_cod(Reader& in, Parameters& p) {
    const unsigned flags = in.u8();
    p.progression = static_cast<std::uint8_t>(in.u8());
    p.layers = static_cast<std::uint16_t>(in.u16());
    const unsigned transform = in.u8();
    if (p.progression > 4 || p.layers == 0) {
        fail_bad("progression order or number of layers out of range", in.offset());
    }
    if (transform > 1) {
        fail_unsupported("a component transform of another part of the standard", in.offset() - 1);
    }
    p.component_transform = transform == 1;
    p.sop = (flags & 2U) != 0;
    p.eph = (flags & 4U) != 0;
    p.has_coding = true;
    const CodingStyle style = read_coding_style(in, (flags & 1U) != 0);
    for (ComponentParameters& c : p.components) {
        if (!c.own_coding) {
            c.coding = style;
        }
    }
}

unsigned read_component_index(Reader& in, const Parameters& p) {
    const std::size_t start = in.offset();
    const unsigned index = p.components.size() < 257 ? in.u8() : in.u16();
    if (index >= p.components.size()) {
        fail_bad("a marker segment names a component that is not there", start);
    }
    return index;
}

Quantisation read_quantisation(Reader& in) {
    Quantisation q;
    const unsigned flags = in.u8();
    q.style = static_cast<std::uint8_t>(flags & 0x1FU);
    q.guard_bits = static_cast<std::uint8_t>(flags >> 5U);
    if (q.style > 2) {
        fail_bad("quantisation style out of range", in.offset() - 1);
    }
    const std::size_t bytes = q.style == 0 ? 1 : 2;
    const std::size_t steps = q.style == 1 ? 1 : std::min<std::size_t>(in.left() / bytes, q.step.size());
    if (steps == 0) {
        fail_bad("quantisation without a step size", in.offset());
    }
    q.steps = static_cast<std::uint8_t>(steps);
    for (std::size_t i = 0; i < steps; ++i) {
        q.step[i] = static_cast<std::uint16_t>(q.style == 0 ? (in.u8() >> 3U) << 11U : in.u16());
    }
    return q;
}

void read_poc(Reader& in, Parameters& p) {
    const bool wide = p.components.size() > 256;
    const unsigned bytes = wide ? 9 : 7;
    while (in.left() >= bytes) {
        Progression one;
        one.resolution_from = static_cast<std::uint8_t>(in.u8());
        one.component_from = static_cast<std::uint16_t>(wide ? in.u16() : in.u8());
        one.layer_to = static_cast<std::uint16_t>(in.u16());
        one.resolution_to = static_cast<std::uint8_t>(in.u8());
        const unsigned to = wide ? in.u16() : in.u8();
        one.component_to = static_cast<std::uint16_t>(to == 0 ? (wide ? 16384U : 256U) : to);
        one.order = static_cast<std::uint8_t>(in.u8());
        if (one.order > 4) {
            fail_bad("progression order (POC) out of range", in.offset() - 1);
        }
        p.changes.push_back(one);
        if (p.changes.size() > 64) {
            fail_unsupported("more than 64 progression order changes", in.offset());
        }
    }
}

/// A marker segment that main and tile-part headers share. False: not one of these.
bool read_parameter(unsigned marker, Reader& in, Parameters& p) {
    switch (marker) {
        case 0xFF52:
            read_cod(in, p);
            return true;
        case 0xFF53: {
            ComponentParameters& c = p.components[read_component_index(in, p)];
            const unsigned flags = in.u8();
            c.coding = read_coding_style(in, (flags & 1U) != 0);
            c.own_coding = true;
            return true;
        }
        case 0xFF5C: {
            const Quantisation q = read_quantisation(in);
            p.has_quantisation = true;
            for (ComponentParameters& c : p.components) {
                if (!c.own_quantisation) {
                    c.quantisation = q;
                }
            }
            return true;
        }
        case 0xFF5D: {
            ComponentParameters& c = p.components[read_component_index(in, p)];
            c.quantisation = read_quantisation(in);
            c.own_quantisation = true;
            return true;
        }
        case 0xFF5E: {
            ComponentParameters& c = p.components[read_component_index(in, p)];
            if (in.u8() != 0) {
                fail_unsupported("region of interest of another part of the standard", in.offset() - 1);
            }
            c.roi_shift = static_cast<std::uint8_t>(in.u8());
            return true;
        }
        case 0xFF5F:
            read_poc(in, p);
            return true;
        default:
            if (is_part_2(marker)) {
                fail_unsupported("an extension of part 2 of the standard", in.offset());
            }
            return false;
    }
}

void join_packed(Packed& parts, std::vector<std::byte>& out) {
    std::ranges::stable_sort(parts, {}, &std::pair<unsigned, Bytes>::first);
    for (const auto& [index, bytes] : parts) {
        out.insert(out.end(), bytes.begin(), bytes.end());
    }
}

}  // namespace

void check_plausible(const Size& size, std::size_t bytes, std::uint64_t offset) {
    constexpr std::uint64_t kFree = 16ULL << 20U;
    constexpr std::uint64_t kSamplesPerByte = 4096;
    const std::uint64_t samples = std::uint64_t{size.image.width()} * size.image.height();
    if (samples > (kFree + kSamplesPerByte * bytes) / size.components.size()) {
        throw Error(Errc::limit_exceeded,
                    "JPEG 2000: " + std::to_string(size.image.height()) + " rows and " +
                        std::to_string(size.image.width()) + " columns cannot come from " + std::to_string(bytes) +
                        " bytes",
                    offset);
    }
}

namespace {

/// Reads up to the first SOT, which stays unread.
void read_main(Reader& in, CodeStream& stream, Packed& packed) {
    if (in.left() < 4 || in.u16() != kSoc || in.u16() != 0xFF51) {
        fail_bad("no code stream", stream.base);
    }
    Reader siz = in.segment();
    stream.size = read_size(siz);
    check_plausible(stream.size, stream.data.size(), stream.base + 2);
    stream.parameters.components.resize(stream.size.components.size());
    while (in.peek16() != kSot) {
        const std::size_t at = in.offset();
        const unsigned marker = in.u16();
        if (marker < 0xFF30 || marker == kSod || marker == kEoc) {
            fail_bad("no marker where one must be in the main header", at);
        }
        Reader segment = in.segment();
        if (marker == 0xFF50 && (segment.u32() & ~kPart15) != 0) {  // CAP, A.5.2 of the second edition
            fail_unsupported("extended capabilities (CAP) of other parts than 15", at);
        }
        if (!read_parameter(marker, segment, stream.parameters) && marker == 0xFF60) {
            const unsigned index = segment.u8();
            packed.emplace_back(index, segment.rest());
        }
    }
    if (!stream.parameters.has_coding || !stream.parameters.has_quantisation) {
        fail_bad("no coding style (COD) or quantisation (QCD) in the main header", in.offset());
    }
}

void read_tile_parts(Reader& in, CodeStream& stream) {
    const std::uint32_t tiles = stream.tiles();
    while (in.left() >= 2 && in.peek16() == kSot) {
        const std::size_t start = in.offset();
        in.skip(2);
        Reader sot = in.segment();
        TilePart part;
        part.tile = sot.u16();
        const std::size_t length = sot.u32();
        if (part.tile >= tiles) {
            fail_bad("a tile-part of a tile that is not there", start + 4);
        }
        part.header = in.offset() - stream.base;
        while (in.peek16() != kSod) {
            const std::size_t at = in.offset();
            if (in.u16() < 0xFF30) {
                fail_bad("no marker where one must be in a tile-part header", at);
            }
            (void)in.segment();
        }
        part.header_end = in.offset() - stream.base;
        in.skip(2);
        part.body = in.offset() - stream.base;
        // Psot of 0: up to the end. One that reaches too far is taken as the rest: the packets show what is missing.
        const std::size_t left = in.left();
        std::size_t bytes = left;
        if (length != 0) {
            const std::size_t used = in.offset() - start;
            if (length < used) {
                fail_bad("a tile-part is shorter than its header", start + 6);
            }
            bytes = std::min(left, length - used);
        }
        in.skip(bytes);
        part.body_end = part.body + bytes;
        if (length == 0 && bytes >= 2 && static_cast<unsigned>(stream.data[part.body_end - 2]) == 0xFF &&
            static_cast<unsigned>(stream.data[part.body_end - 1]) == 0xD9) {
            part.body_end -= 2;
        }
        stream.parts.push_back(part);
    }
    if (stream.parts.empty()) {
        fail_truncated("no tile-part", in.offset());
    }
}

/// PPM, A.7.4: one run of packet headers, with its length, for each tile-part in order.
void split_packed(CodeStream& stream) {
    std::size_t at = 0;
    for (TilePart& part : stream.parts) {
        if (stream.packed.size() - at < 4) {
            fail_truncated("packed packet headers (PPM)", stream.base + part.header);
        }
        std::uint32_t length = 0;
        for (unsigned i = 0; i < 4; ++i) {
            length = length << 8U | static_cast<std::uint32_t>(stream.packed[at + i]);
        }
        at += 4;
        if (length > stream.packed.size() - at) {
            fail_truncated("packed packet headers (PPM)", stream.base + part.header);
        }
        part.packed_from = static_cast<std::uint32_t>(at);
        at += length;
        part.packed_to = static_cast<std::uint32_t>(at);
    }
}

}  // namespace

Rect CodeStream::tile(std::uint32_t index) const noexcept {
    const std::uint64_t p = index % size.tiles_across;
    const std::uint64_t q = index / size.tiles_across;
    const auto clamp = [](std::uint64_t v, std::uint32_t low, std::uint32_t high) {
        return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(v, low, high));
    };
    const Rect& i = size.image;
    return {clamp(size.tile_x0 + p * size.tile_width, i.x0, i.x1),
            clamp(size.tile_y0 + q * size.tile_height, i.y0, i.y1),
            clamp(size.tile_x0 + (p + 1) * size.tile_width, i.x0, i.x1),
            clamp(size.tile_y0 + (q + 1) * size.tile_height, i.y0, i.y1)};
}

CodeStream read_main_header(Bytes data, std::size_t base) {
    CodeStream stream;
    stream.data = data;
    stream.base = base;
    Reader in(data, base);
    Packed packed;
    read_main(in, stream, packed);
    return stream;
}

CodeStream read_code_stream(Bytes data, std::size_t base) {
    CodeStream stream;
    stream.data = data;
    stream.base = base;
    Reader in(data, base);
    Packed packed;
    read_main(in, stream, packed);
    read_tile_parts(in, stream);
    stream.has_packed = !packed.empty();
    if (stream.has_packed) {
        join_packed(packed, stream.packed);
        split_packed(stream);
    }
    return stream;
}

TileHeader read_tile_header(const CodeStream& stream, std::span<const std::uint32_t> parts) {
    TileHeader tile;
    tile.parameters = stream.parameters;
    tile.has_packed = stream.has_packed;
    for (ComponentParameters& c : tile.parameters.components) {
        c.own_coding = false;
        c.own_quantisation = false;
    }
    Packed packed;
    bool own_changes = false;
    for (const std::uint32_t index : parts) {
        const TilePart& part = stream.parts[index];
        Reader in(stream.data.subspan(part.header, part.header_end - part.header), stream.base + part.header);
        while (in.left() > 0) {
            const unsigned marker = in.u16();
            Reader segment = in.segment();
            if (marker == 0xFF5F && !own_changes) {  // the tile's own progression replaces the main header's
                tile.parameters.changes.clear();
                own_changes = true;
            }
            if (!read_parameter(marker, segment, tile.parameters) && marker == 0xFF61) {
                const unsigned order = segment.u8();
                packed.emplace_back(order, segment.rest());
            }
        }
        tile.bodies.push_back(stream.data.subspan(part.body, part.body_end - part.body));
        if (stream.has_packed) {
            tile.packed.insert(tile.packed.end(), stream.packed.begin() + part.packed_from,
                               stream.packed.begin() + part.packed_to);
        }
    }
    if (!packed.empty()) {
        if (stream.has_packed) {
            fail_bad("packed packet headers in both main (PPM) and tile-part (PPT) header", stream.base);
        }
        tile.has_packed = true;
        join_packed(packed, tile.packed);
    }
    return tile;
}

}  // namespace hilum::codec::j2k
