// SPDX-License-Identifier: Apache-2.0
#include "tile.hpp"

#include <algorithm>
#include <cmath>

#include "hilum/error.hpp"

namespace hilum::codec::j2k {
namespace {

/// B-15: a subband's side. `half` is the offset of the high band, in samples of the tile-component.
std::uint32_t band_edge(std::uint32_t edge, unsigned level, unsigned high) noexcept {
    if (level == 0) {
        return edge;
    }
    const std::uint64_t half = high != 0 ? std::uint64_t{1} << (level - 1) : 0;
    const std::uint64_t scale = std::uint64_t{1} << level;
    return edge <= half ? 0 : static_cast<std::uint32_t>((edge - half + scale - 1) / scale);
}

/// Delta_b and Mb, E-2 to E-5. The 9/7 synthesis here leaves out the gain of 2 of each high-pass filter (E-4), so that
/// the step does too.
void set_quantisation(Band& band, const ComponentParameters& p, unsigned precision, unsigned resolution) {
    const Quantisation& q = p.quantisation;
    const unsigned index = resolution == 0 ? 0 : 3 * (resolution - 1) + band.orientation;
    unsigned exponent = 0;
    unsigned mantissa = 0;
    if (q.style == 1) {
        const unsigned drop = resolution == 0 ? 0 : resolution - 1;
        const unsigned base = q.step[0] >> 11U;
        exponent = base > drop ? base - drop : 0;
        mantissa = q.step[0] & 0x7FFU;
    } else if (index < q.step.size()) {
        exponent = q.step[index] >> 11U;
        mantissa = q.step[index] & 0x7FFU;
    }
    band.planes = static_cast<std::uint8_t>(std::max(0, static_cast<int>(exponent + q.guard_bits) - 1));
    if (!p.coding.reversible) {
        const int range = static_cast<int>(precision) - static_cast<int>(exponent);
        band.step = static_cast<float>((1.0 + mantissa / 2048.0) * std::pow(2.0, range));
    }
}

Resolution make_resolution(const TileComponent& c, const ComponentParameters& p, unsigned precision, unsigned r) {
    Resolution out;
    const unsigned levels = c.coding.levels;
    const unsigned down = levels - r;
    out.area = {ceil_shift(c.area.x0, down), ceil_shift(c.area.y0, down), ceil_shift(c.area.x1, down),
                ceil_shift(c.area.y1, down)};
    out.precinct_width = c.coding.precincts[r] & 0xFU;
    out.precinct_height = static_cast<std::uint8_t>(c.coding.precincts[r] >> 4U);
    const unsigned halved = r == 0 ? 0 : 1;
    out.block_width = static_cast<std::uint8_t>(std::min<unsigned>(c.coding.block_width, out.precinct_width - halved));
    out.block_height =
        static_cast<std::uint8_t>(std::min<unsigned>(c.coding.block_height, out.precinct_height - halved));
    if (!out.area.empty()) {
        out.across = ceil_shift(out.area.x1, out.precinct_width) - floor_shift(out.area.x0, out.precinct_width);
        out.down = ceil_shift(out.area.y1, out.precinct_height) - floor_shift(out.area.y0, out.precinct_height);
    }
    out.bands_used = r == 0 ? 1 : 3;
    const unsigned level = r == 0 ? levels : levels - r + 1;
    for (unsigned b = 0; b < out.bands_used; ++b) {
        Band& band = out.bands[b];
        band.orientation = static_cast<std::uint8_t>(r == 0 ? 0 : b + 1);
        const unsigned x = band.orientation & 1U;
        const unsigned y = band.orientation >> 1U;
        band.area = {band_edge(c.area.x0, level, x), band_edge(c.area.y0, level, y), band_edge(c.area.x1, level, x),
                     band_edge(c.area.y1, level, y)};
        set_quantisation(band, p, precision, r);
    }
    return out;
}

}  // namespace

TagTree::TagTree(std::uint32_t width, std::uint32_t height) {
    std::uint64_t total = 0;
    for (std::uint64_t w = width, h = height;; w = (w + 1) / 2, h = (h + 1) / 2) {
        total += w * h;
        if (w * h <= 1) {
            break;
        }
    }
    nodes_.resize(total);
    std::uint32_t start = 0;
    for (std::uint32_t w = width, h = height; std::uint64_t{w} * h > 1; w = (w + 1) / 2, h = (h + 1) / 2) {
        const std::uint32_t above = start + w * h;
        for (std::uint32_t i = 0; i < w * h; ++i) {
            nodes_[start + i].parent = above + (i / w / 2) * ((w + 1) / 2) + i % w / 2;
        }
        start = above;
    }
}

Tile make_tile(const CodeStream& stream, const Parameters& parameters, std::uint32_t index) {
    Tile tile;
    tile.area = stream.tile(index);
    std::uint64_t precincts = 0;
    for (std::size_t c = 0; c < parameters.components.size(); ++c) {
        const Component& component = stream.size.components[c];
        const ComponentParameters& p = parameters.components[c];
        TileComponent one;
        one.area = {ceil_div(tile.area.x0, component.dx), ceil_div(tile.area.y0, component.dy),
                    ceil_div(tile.area.x1, component.dx), ceil_div(tile.area.y1, component.dy)};
        one.coding = p.coding;
        one.roi_shift = p.roi_shift;
        for (unsigned r = 0; r <= p.coding.levels; ++r) {
            one.resolutions.push_back(make_resolution(one, p, component.precision, r));
            Resolution& resolution = one.resolutions.back();
            precincts += std::uint64_t{resolution.across} * resolution.down;
            // each precinct has a packet for each layer, and a packet has a byte at least
            if (precincts * parameters.layers > stream.data.size()) {
                fail_truncated("fewer bytes than the headers promise packets", stream.base + stream.data.size());
            }
            resolution.precincts.resize(std::size_t{resolution.across} * resolution.down);
        }
        tile.components.push_back(std::move(one));
    }
    return tile;
}

std::array<BlockGrid, 3>& require_grids(Tile& tile, Resolution& resolution, std::uint32_t precinct,
                                        std::uint64_t budget, std::uint64_t offset) {
    Precinct& p = resolution.precincts[precinct];
    if (p.grids) {
        return *p.grids;
    }
    const unsigned halved = resolution.bands_used == 1 ? 0 : 1;
    const unsigned pw = resolution.precinct_width - halved;
    const unsigned ph = resolution.precinct_height - halved;
    const std::uint64_t column =
        floor_shift(resolution.area.x0, resolution.precinct_width) + precinct % resolution.across;
    const std::uint64_t row =
        floor_shift(resolution.area.y0, resolution.precinct_height) + precinct / resolution.across;
    auto grids = std::make_unique<std::array<BlockGrid, 3>>();
    for (unsigned b = 0; b < resolution.bands_used; ++b) {
        const Rect& area = resolution.bands[b].area;
        BlockGrid& grid = (*grids)[b];
        grid.area = {static_cast<std::uint32_t>(std::max<std::uint64_t>(column << pw, area.x0)),
                     static_cast<std::uint32_t>(std::max<std::uint64_t>(row << ph, area.y0)),
                     static_cast<std::uint32_t>(std::min<std::uint64_t>((column + 1) << pw, area.x1)),
                     static_cast<std::uint32_t>(std::min<std::uint64_t>((row + 1) << ph, area.y1))};
        if (grid.area.empty()) {
            continue;
        }
        grid.across =
            ceil_shift(grid.area.x1, resolution.block_width) - floor_shift(grid.area.x0, resolution.block_width);
        grid.down =
            ceil_shift(grid.area.y1, resolution.block_height) - floor_shift(grid.area.y0, resolution.block_height);
        tile.blocks += std::uint64_t{grid.across} * grid.down;
        if (tile.blocks > budget) {
            throw Error(Errc::limit_exceeded, "JPEG 2000: more code-blocks than its data can describe", offset);
        }
        grid.blocks.resize(std::size_t{grid.across} * grid.down);
        grid.inclusion = TagTree(grid.across, grid.down);
        grid.zero_planes = TagTree(grid.across, grid.down);
    }
    p.grids = std::move(grids);
    return *p.grids;
}

}  // namespace hilum::codec::j2k
