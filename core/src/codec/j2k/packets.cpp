// SPDX-License-Identifier: Apache-2.0
#include "packets.hpp"

#include <algorithm>
#include <bit>
#include <tuple>

#include "hilum/error.hpp"

namespace hilum::codec::j2k {
namespace {

/// Bits of a packet header: after a byte of FF the next has seven, B.10.1.
class HeaderBits {
public:
    HeaderBits(const std::byte* from, const std::byte* end) noexcept : at_(from), end_(end) {}

    unsigned bit() {
        if (left_ == 0) {
            if (at_ == end_) {
                throw Short{};
            }
            left_ = byte_ == 0xFF ? 7 : 8;
            byte_ = static_cast<unsigned>(*at_++);
        }
        --left_;
        return byte_ >> left_ & 1U;
    }
    unsigned bits(unsigned count) {
        unsigned value = 0;
        while (count-- > 0) {
            value = value << 1U | bit();
        }
        return value;
    }
    /// The first byte behind the header.
    const std::byte* finish() {
        if (byte_ == 0xFF) {
            if (at_ == end_) {
                throw Short{};
            }
            ++at_;
        }
        return at_;
    }

    struct Short {};

private:
    const std::byte* at_;
    const std::byte* end_;
    unsigned byte_ = 0;
    unsigned left_ = 0;
};

/// Table B.4.
unsigned read_passes(HeaderBits& in) {
    if (in.bit() == 0) {
        return 1;
    }
    if (in.bit() == 0) {
        return 2;
    }
    if (const unsigned two = in.bits(2); two < 3) {
        return 3 + two;
    }
    if (const unsigned five = in.bits(5); five < 31) {
        return 6 + five;
    }
    return 37 + in.bits(7);
}

/// Passes that a codeword segment holds when it starts with pass number `first`, D.4.2 and Table D.9.
unsigned segment_capacity(unsigned style, unsigned first) noexcept {
    if ((style & kTerminate) != 0) {
        return 1;
    }
    if ((style & kBypass) != 0) {
        if (first < 10) {
            return 10 - first;
        }
        return (first - 10) % 3 == 0 ? 2 : 1;
    }
    return 0xFF;
}

class PacketReader {
public:
    PacketReader(const CodeStream& stream, const TileHeader& header, Tile& tile)
        : stream_(stream), header_(header), tile_(tile) {
        budget_ = (256U << 10U) + 8 * std::uint64_t{stream.data.size()};
        open_body();
        packed_ = header.packed.data();
        packed_end_ = packed_ + header.packed.size();
    }

    void read(TileComponent& component, Resolution& resolution, std::uint32_t precinct);

private:
    struct Contribution {
        Block* block = nullptr;
        unsigned passes = 0;
        std::uint32_t bytes = 0;
        bool starts = false;
    };

    [[nodiscard]] std::uint64_t offset(const std::byte* at) const noexcept {
        return stream_.base + static_cast<std::size_t>(at - stream_.data.data());
    }
    void open_body() {
        at_ = header_.bodies[body_].data();
        end_ = at_ + header_.bodies[body_].size();
    }
    [[nodiscard]] static bool marker(const std::byte* at, const std::byte* end, unsigned low) noexcept {
        return end - at >= 2 && static_cast<unsigned>(at[0]) == 0xFF && static_cast<unsigned>(at[1]) == low;
    }
    void read_header(HeaderBits& in, TileComponent& component, Resolution& resolution, std::uint32_t precinct);
    void read_block(HeaderBits& in, BlockGrid& grid, std::uint32_t index, unsigned layer, unsigned style, Band& band);
    [[nodiscard]] std::uint32_t read_length(HeaderBits& in, const Block& block, unsigned passes) const;
    void read_ht_lengths(HeaderBits& in, Block& block, unsigned passes);
    void add_passes(Block& block, unsigned passes, std::uint32_t bytes, bool starts);
    void take_bytes();

    const CodeStream& stream_;
    const TileHeader& header_;
    Tile& tile_;
    std::uint64_t budget_ = 0;
    std::size_t body_ = 0;
    const std::byte* at_ = nullptr;
    const std::byte* end_ = nullptr;
    const std::byte* packed_ = nullptr;
    const std::byte* packed_end_ = nullptr;
    std::vector<Contribution> found_;
};

void PacketReader::read(TileComponent& component, Resolution& resolution, std::uint32_t precinct) {
    while (at_ == end_ && body_ + 1 < header_.bodies.size()) {
        ++body_;
        open_body();
    }
    if (at_ == end_ && !header_.has_packed) {
        fail_truncated("packets are missing", offset(end_));
    }
    if (header_.parameters.sop && marker(at_, end_, 0x91) && end_ - at_ >= 6) {
        at_ += 6;
    }
    const std::byte*& from = header_.has_packed ? packed_ : at_;
    const std::byte* to = header_.has_packed ? packed_end_ : end_;
    HeaderBits in(from, to);
    found_.clear();
    try {
        read_header(in, component, resolution, precinct);
        from = in.finish();
    } catch (const HeaderBits::Short&) {
        fail_truncated("in a packet header", offset(end_));
    }
    if (header_.parameters.eph && marker(from, to, 0x92)) {
        from += 2;
    }
    ++resolution.precincts[precinct].next_layer;
    take_bytes();
}

void PacketReader::read_header(HeaderBits& in, TileComponent& component, Resolution& resolution,
                               std::uint32_t precinct) {
    if (in.bit() == 0) {
        return;
    }
    auto& grids = require_grids(tile_, resolution, precinct, budget_, offset(at_));
    const unsigned layer = resolution.precincts[precinct].next_layer;
    for (unsigned b = 0; b < resolution.bands_used; ++b) {
        BlockGrid& grid = grids[b];
        for (std::uint32_t i = 0; i < grid.blocks.size(); ++i) {
            read_block(in, grid, i, layer, component.coding.style, resolution.bands[b]);
        }
    }
}

void PacketReader::read_block(HeaderBits& in, BlockGrid& grid, std::uint32_t index, unsigned layer, unsigned style,
                              Band& band) {
    Block& block = grid.blocks[index];
    if (block.passes == 0) {
        if (!grid.inclusion.below(index, layer + 1, in)) {
            return;
        }
        unsigned planes = 1;
        while (!grid.zero_planes.below(index, planes, in)) {
            if (++planes > 80) {
                fail_bad("a code-block with more zero bit-planes than there are", offset(at_));
            }
        }
        block.zero_planes = static_cast<std::uint8_t>(planes - 1);
        band.coded = true;
    } else if (in.bit() == 0) {
        return;
    }
    unsigned passes = read_passes(in);
    while (in.bit() != 0) {
        if (++block.length_bits > 32) {
            fail_bad("a length field of more than 32 bits in a packet header", offset(at_));
        }
    }
    if ((style & kHighThroughput) != 0) {
        read_ht_lengths(in, block, passes);
        return;
    }
    while (passes > 0) {
        const unsigned capacity =
            block.segment_open ? segment_capacity(style, block.passes - block.segment_passes) - block.segment_passes
                               : segment_capacity(style, block.passes);
        const unsigned taken = std::min(passes, capacity);
        const bool starts = !block.segment_open;
        block.segment_passes = static_cast<std::uint8_t>(block.segment_open ? block.segment_passes + taken : taken);
        block.segment_open = taken < capacity;
        passes -= taken;
        add_passes(block, taken, read_length(in, block, taken), starts);
    }
}

std::uint32_t PacketReader::read_length(HeaderBits& in, const Block& block, unsigned passes) const {
    const unsigned bits = block.length_bits + static_cast<unsigned>(std::bit_width(passes)) - 1;
    if (bits > 32) {
        fail_bad("a length field of more than 32 bits in a packet header", offset(at_));
    }
    return in.bits(bits);
}

void PacketReader::add_passes(Block& block, unsigned passes, std::uint32_t bytes, bool starts) {
    block.passes = static_cast<std::uint16_t>(block.passes + passes);
    if (block.passes > 300) {
        fail_bad("a code-block with more coding passes than there can be", offset(at_));
    }
    found_.push_back({&block, passes, bytes, starts});
}

/// ISO/IEC 15444-15 B.4: a cleanup pass has a length, the one or two refinement passes behind it another. What comes
/// before the first cleanup pass that has bytes holds places only: its length is zero, in as many bits as one of a
/// block without HT had.
void PacketReader::read_ht_lengths(HeaderBits& in, Block& block, unsigned passes) {
    if (!block.ht_begun) {
        const unsigned behind = (block.passes + passes - 1) % 3;  // passes behind the last cleanup pass
        const unsigned first = passes > behind ? passes - behind : passes;
        const std::uint32_t bytes = read_length(in, block, first);
        if (bytes == 0 && first < passes) {
            if (in.bits(static_cast<unsigned>(std::bit_width(passes) - std::bit_width(first))) != 0) {
                fail_bad("a code-block without HT where all have it", offset(at_));
            }
            add_passes(block, passes, 0, true);
            return;
        }
        block.ht_begun = bytes != 0;
        if (block.ht_begun && (block.passes + first) % 3 != 1) {
            fail_bad("refinement of an HT code-block before its cleanup pass", offset(at_));
        }
        add_passes(block, first, bytes, true);
        passes -= first;
    }
    while (passes > 0) {
        const unsigned phase = block.passes % 3;
        const unsigned taken = phase == 0 ? 1 : std::min(passes, 3 - phase);
        add_passes(block, taken, read_length(in, block, taken), true);
        passes -= taken;
    }
}

void PacketReader::take_bytes() {
    for (const Contribution& one : found_) {
        if (one.bytes > static_cast<std::size_t>(end_ - at_)) {
            fail_truncated(
                "a code-block needs " + std::to_string(one.bytes) + " bytes, there are " + std::to_string(end_ - at_),
                offset(at_));
        }
        const auto index = static_cast<std::uint32_t>(tile_.pieces.size());
        tile_.pieces.push_back({at_, one.bytes, kNone, static_cast<std::uint16_t>(one.passes), one.starts});
        if (one.block->last_piece == kNone) {
            one.block->first_piece = index;
        } else {
            tile_.pieces[one.block->last_piece].next = index;
        }
        one.block->last_piece = index;
        at_ += one.bytes;
    }
}

/// Where in the reference grid a precinct of a position progression comes, B.12.1.3 to B.12.1.5.
struct Place {
    std::uint64_t y = 0, x = 0;
    std::uint32_t component = 0, resolution = 0, precinct = 0;
};

std::uint64_t corner(std::uint32_t index, std::uint32_t area_from, unsigned exponent, unsigned down, unsigned step,
                     std::uint32_t tile_from) noexcept {
    const std::uint64_t edge = (std::uint64_t{floor_shift(area_from, exponent)} + index) << exponent;
    return edge < area_from ? tile_from : (edge << down) * step;
}

std::vector<Place> places_of(const CodeStream& stream, const Tile& tile, const Progression& p) {
    std::vector<Place> all;
    const auto to = std::min<std::size_t>(p.component_to, tile.components.size());
    for (std::uint32_t c = p.component_from; c < to; ++c) {
        const TileComponent& component = tile.components[c];
        const Component& sampling = stream.size.components[c];
        const auto resolutions = static_cast<unsigned>(component.resolutions.size());
        for (std::uint32_t r = p.resolution_from; r < std::min<unsigned>(p.resolution_to, resolutions); ++r) {
            const Resolution& res = component.resolutions[r];
            const unsigned down = resolutions - 1 - r;
            for (std::uint32_t k = 0; k < res.precincts.size(); ++k) {
                all.push_back(
                    {corner(k / res.across, res.area.y0, res.precinct_height, down, sampling.dy, tile.area.y0),
                     corner(k % res.across, res.area.x0, res.precinct_width, down, sampling.dx, tile.area.x0), c, r,
                     k});
            }
        }
    }
    using Key = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint32_t>;
    const auto key = [&p](const Place& a) -> Key {
        switch (p.order) {
            case 2:
                return {a.resolution, a.y, a.x, a.component, a.precinct};
            case 3:
                return {a.y, a.x, a.component, a.resolution, a.precinct};
            default:
                return {a.component, a.y, a.x, a.resolution, a.precinct};
        }
    };
    std::ranges::sort(all, {}, key);
    return all;
}

void read_by_position(const CodeStream& stream, Tile& tile, const Progression& p, PacketReader& reader) {
    for (const Place& place : places_of(stream, tile, p)) {
        TileComponent& component = tile.components[place.component];
        Resolution& resolution = component.resolutions[place.resolution];
        while (resolution.precincts[place.precinct].next_layer < p.layer_to) {
            reader.read(component, resolution, place.precinct);
        }
    }
}

void read_one_resolution(TileComponent& component, unsigned r, unsigned layer, PacketReader& reader) {
    if (r >= component.resolutions.size()) {
        return;
    }
    Resolution& resolution = component.resolutions[r];
    for (std::uint32_t k = 0; k < resolution.precincts.size(); ++k) {
        if (resolution.precincts[k].next_layer == layer) {
            reader.read(component, resolution, k);
        }
    }
}

void read_by_layer(Tile& tile, const Progression& p, PacketReader& reader) {
    std::size_t most = 0;
    for (const TileComponent& component : tile.components) {
        most = std::max(most, component.resolutions.size());
    }
    const auto r_to = static_cast<unsigned>(std::min<std::size_t>(p.resolution_to, most));
    const auto c_to = std::min<std::size_t>(p.component_to, tile.components.size());
    const bool layer_first = p.order == 0;
    const unsigned outer_from = layer_first ? 0 : p.resolution_from;
    const unsigned outer_to = layer_first ? p.layer_to : r_to;
    const unsigned inner_from = layer_first ? p.resolution_from : 0;
    const unsigned inner_to = layer_first ? r_to : p.layer_to;
    for (unsigned outer = outer_from; outer < outer_to; ++outer) {
        for (unsigned inner = inner_from; inner < inner_to; ++inner) {
            for (std::size_t c = p.component_from; c < c_to; ++c) {
                read_one_resolution(tile.components[c], layer_first ? inner : outer, layer_first ? outer : inner,
                                    reader);
            }
        }
    }
}

}  // namespace

void read_packets(const CodeStream& stream, const TileHeader& header, Tile& tile) {
    PacketReader reader(stream, header, tile);
    std::vector<Progression> volumes = header.parameters.changes;
    if (volumes.empty()) {
        Progression all;
        all.order = header.parameters.progression;
        all.component_to = static_cast<std::uint16_t>(tile.components.size());
        all.layer_to = header.parameters.layers;
        volumes.push_back(all);
    }
    for (Progression& p : volumes) {
        p.layer_to = std::min(p.layer_to, header.parameters.layers);
        if (p.order < 2) {
            read_by_layer(tile, p, reader);
        } else {
            read_by_position(stream, tile, p, reader);
        }
    }
}

}  // namespace hilum::codec::j2k
