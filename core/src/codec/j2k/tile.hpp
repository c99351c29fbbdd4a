// SPDX-License-Identifier: Apache-2.0
// Geometry of one tile (ISO/IEC 15444-1 Annex B): components, resolutions, subbands, precincts, code-blocks. What costs
// memory is made only when a packet asks for it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "codestream.hpp"

namespace hilum::codec::j2k {

inline constexpr std::uint32_t kNone = 0xFFFFFFFFU;

/// A run of bytes of one code-block out of one packet. Runs of one codeword segment follow each other.
struct Piece {
    const std::byte* data = nullptr;
    std::uint32_t bytes = 0;
    std::uint32_t next = kNone;
    std::uint16_t passes = 0;
    bool starts_segment = false;
};

struct Block {
    std::uint32_t first_piece = kNone, last_piece = kNone;
    std::uint8_t zero_planes = 0;
    std::uint8_t length_bits = 3;     ///< Lblock
    std::uint8_t segment_passes = 0;  ///< already in the open codeword segment
    bool segment_open = false;
    bool ht_begun = false;  ///< its first HT cleanup pass was there; up to then passes are placeholders
    std::uint16_t passes = 0;
};

/// Tag tree, B.10.2.
class TagTree {
public:
    TagTree() = default;
    TagTree(std::uint32_t width, std::uint32_t height);

    struct Node {
        std::uint32_t parent = kNone;
        std::uint16_t low = 0;
        bool known = false;
    };
    /// Whether the leaf's value is below `threshold`; reads as many bits as that takes.
    template <typename Bits>
    bool below(std::uint32_t leaf, unsigned threshold, Bits& bits) {
        std::array<std::uint32_t, 32> path;
        unsigned depth = 0;
        for (std::uint32_t at = leaf; at != kNone && depth < path.size(); at = nodes_[at].parent) {
            path[depth++] = at;
        }
        unsigned low = 0;
        while (depth-- > 0) {
            Node& node = nodes_[path[depth]];
            low = node.low = static_cast<std::uint16_t>(low > node.low ? low : node.low);
            while (!node.known && low < threshold) {
                if (bits.bit() != 0) {
                    node.known = true;
                } else {
                    ++low;
                }
            }
            node.low = static_cast<std::uint16_t>(low);
        }
        const Node& node = nodes_[leaf];
        return node.known && node.low < threshold;
    }
    /// After below() was true.
    [[nodiscard]] unsigned value(std::uint32_t leaf) const noexcept { return nodes_[leaf].low; }

private:
    std::vector<Node> nodes_;
};

/// The code-blocks of one subband in one precinct.
struct BlockGrid {
    Rect area;  ///< in coordinates of the subband
    std::uint32_t across = 0, down = 0;
    std::vector<Block> blocks;
    TagTree inclusion, zero_planes;
};

struct Precinct {
    std::uint32_t next_layer = 0;
    std::unique_ptr<std::array<BlockGrid, 3>> grids;  ///< made with the first packet that is not empty
};

struct Band {
    Rect area;
    std::uint8_t orientation = 0;  ///< 0 LL, 1 HL, 2 LH, 3 HH
    std::uint8_t planes = 0;       ///< Mb, E-2
    float step = 1;
    bool coded = false;  ///< some code-block has data
};

struct Resolution {
    Rect area;
    std::uint8_t precinct_width = 15, precinct_height = 15;  ///< exponents
    std::uint8_t block_width = 6, block_height = 6;          ///< exponents, cut to the precinct
    std::uint32_t across = 0, down = 0;                      ///< precincts
    unsigned bands_used = 0;
    std::array<Band, 3> bands;
    std::vector<Precinct> precincts;
};

struct TileComponent {
    Rect area;
    CodingStyle coding;
    std::uint8_t roi_shift = 0;
    std::vector<Resolution> resolutions;
};

struct Tile {
    Rect area;
    std::vector<TileComponent> components;
    std::vector<Piece> pieces;
    std::uint64_t blocks = 0;  ///< made so far
};

/// Throws where the header asks for more packets than the stream has bytes.
[[nodiscard]] Tile make_tile(const CodeStream& stream, const Parameters& parameters, std::uint32_t index);

/// The grids of a precinct, made on first use; `budget` code-blocks at most in the tile.
std::array<BlockGrid, 3>& require_grids(Tile& tile, Resolution& resolution, std::uint32_t precinct,
                                        std::uint64_t budget, std::uint64_t offset);

}  // namespace hilum::codec::j2k
