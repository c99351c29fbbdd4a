// SPDX-License-Identifier: Apache-2.0
// Tier 2 (ISO/IEC 15444-1 B.9 to B.12): the order of the packets and their headers.
#pragma once

#include "tile.hpp"

namespace hilum::codec::j2k {

/// Reads all packets of a tile: the code-blocks know their passes and where their bytes are. Resolutions that are to be
/// discarded are read over.
void read_packets(const CodeStream& stream, const TileHeader& header, Tile& tile);

}  // namespace hilum::codec::j2k
