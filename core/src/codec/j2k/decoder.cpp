// SPDX-License-Identifier: Apache-2.0
#include "decoder.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>

#include "block.hpp"
#include "hilum/error.hpp"
#include "hilum/parallel.hpp"
#include "packets.hpp"
#include "samples.hpp"
#include "wavelet.hpp"

namespace hilum::codec::j2k {
namespace {

/// What a tile's coefficients may cost without asking how much data there is, and for each byte of it beyond.
constexpr std::uint64_t kFreeBytes = 48ULL << 20U;
constexpr std::uint64_t kBytesPerByte = 65536;
constexpr unsigned kMostThreads = 64;

struct Free {
    void operator()(void* p) const noexcept { std::free(p); }
};
using Words = std::unique_ptr<std::uint32_t[], Free>;

struct Job {
    const Block* block = nullptr;
    const TileComponent* component = nullptr;
    const Band* band = nullptr;
    std::uint32_t* out = nullptr;
    std::size_t stride = 0;
    unsigned width = 0, height = 0;
};

/// One tile: packets, code-blocks, wavelets, samples.
class TileDecoder {
public:
    TileDecoder(const CodeStream& stream, const TileHeader& header, std::uint32_t index, unsigned discard)
        : stream_(stream), header_(header), discard_(discard), tile_(make_tile(stream, header.parameters, index)) {
        read_packets(stream, header, tile_);
    }

    void decode_blocks(unsigned threads);
    void write(const Output& out) const;

private:
    [[nodiscard]] unsigned top(const TileComponent& component) const noexcept {
        return component.coding.levels - discard_;
    }
    void allocate();
    void add_jobs(const TileComponent& component, const Resolution& resolution, unsigned b, std::uint32_t* out,
                  std::size_t stride);
    void decode_block(const Job& job, BlockDecoder& decoder, std::vector<Segment>& segments,
                      std::vector<std::byte>& joined) const;
    std::uint64_t offset_of(const Block& block) const noexcept {
        return stream_.base + static_cast<std::size_t>(tile_.pieces[block.first_piece].data - stream_.data.data());
    }

    const CodeStream& stream_;
    const TileHeader& header_;
    unsigned discard_;
    Tile tile_;
    std::vector<Words> memory_;
    std::vector<std::vector<std::array<BandRows, 3>>> rows_;  ///< component, resolution
    std::vector<Job> jobs_;
};

void TileDecoder::allocate() {
    std::uint64_t total = 0;
    std::size_t widest = 0;
    for (const TileComponent& component : tile_.components) {
        for (unsigned r = 0; r <= top(component); ++r) {
            for (unsigned b = 0; b < component.resolutions[r].bands_used; ++b) {
                const Band& band = component.resolutions[r].bands[b];
                widest = std::max<std::size_t>(widest, band.area.width());
                total += band.coded ? std::uint64_t{band.area.width()} * band.area.height() * 4 : 0;
            }
        }
    }
    if (total > kFreeBytes && total - kFreeBytes > kBytesPerByte * stream_.data.size()) {
        throw Error(Errc::limit_exceeded, "JPEG 2000: an image of this size cannot come from so few bytes",
                    stream_.base + 2);
    }
    const auto take = [this](std::size_t count) {
        memory_.emplace_back(static_cast<std::uint32_t*>(std::calloc(count + 16, sizeof(std::uint32_t))));
        if (!memory_.back()) {
            throw Error(Errc::out_of_memory, "JPEG 2000: no memory for the coefficients of a tile");
        }
        return memory_.back().get();
    };
    std::uint32_t* const zeros = take(widest);
    for (const TileComponent& component : tile_.components) {
        auto& rows = rows_.emplace_back(top(component) + 1);
        for (unsigned r = 0; r <= top(component); ++r) {
            const Resolution& resolution = component.resolutions[r];
            for (unsigned b = 0; b < resolution.bands_used; ++b) {
                const Band& band = resolution.bands[b];
                rows[r][b] = {zeros, 0};
                if (band.coded && !band.area.empty()) {
                    const std::size_t stride = band.area.width();
                    std::uint32_t* data = take(stride * band.area.height());
                    rows[r][b] = {data, stride};
                    add_jobs(component, resolution, b, data, stride);
                }
            }
        }
    }
}

void TileDecoder::add_jobs(const TileComponent& component, const Resolution& resolution, unsigned b, std::uint32_t* out,
                           std::size_t stride) {
    const Band& band = resolution.bands[b];
    for (const Precinct& precinct : resolution.precincts) {
        if (!precinct.grids) {
            continue;
        }
        const BlockGrid& grid = (*precinct.grids)[b];
        const std::uint32_t first_x = grid.area.x0 >> resolution.block_width;
        const std::uint32_t first_y = grid.area.y0 >> resolution.block_height;
        for (std::size_t i = 0; i < grid.blocks.size(); ++i) {
            if (grid.blocks[i].passes == 0) {
                continue;
            }
            const std::uint64_t column = first_x + i % grid.across;
            const std::uint64_t row = first_y + i / grid.across;
            const auto x0 = std::max<std::uint64_t>(column << resolution.block_width, grid.area.x0);
            const auto y0 = std::max<std::uint64_t>(row << resolution.block_height, grid.area.y0);
            const auto x1 = std::min<std::uint64_t>((column + 1) << resolution.block_width, grid.area.x1);
            const auto y1 = std::min<std::uint64_t>((row + 1) << resolution.block_height, grid.area.y1);
            jobs_.push_back({&grid.blocks[i], &component, &band,
                             out + (y0 - band.area.y0) * stride + (x0 - band.area.x0), stride,
                             static_cast<unsigned>(x1 - x0), static_cast<unsigned>(y1 - y0)});
        }
    }
}

void TileDecoder::decode_block(const Job& job, BlockDecoder& decoder, std::vector<Segment>& segments,
                               std::vector<std::byte>& joined) const {
    const Block& block = *job.block;
    segments.clear();
    joined.clear();
    std::size_t needed = 0;
    bool split = false;
    for (std::uint32_t i = block.first_piece; i != kNone; i = tile_.pieces[i].next) {
        needed += tile_.pieces[i].bytes;
        split = split || !tile_.pieces[i].starts_segment;
    }
    joined.reserve(split ? needed : 0);
    for (std::uint32_t i = block.first_piece; i != kNone; i = tile_.pieces[i].next) {
        const Piece& piece = tile_.pieces[i];
        if (piece.starts_segment) {
            segments.push_back({piece.data, 0, 0});
            if (split) {
                segments.back().data = joined.data() + joined.size();
            }
        }
        if (split) {
            joined.insert(joined.end(), piece.data, piece.data + piece.bytes);
        }
        segments.back().bytes += piece.bytes;
        segments.back().passes += piece.passes;
    }
    const int planes = int{job.component->roi_shift} + job.band->planes - block.zero_planes;
    if (planes < 1) {  // some encoders give passes to blocks that have nothing
        return;
    }
    if (planes > 30) {
        fail_bad("a code-block with " + std::to_string(planes) + " bit-planes", offset_of(block));
    }
    const BlockShape shape{job.width, job.height, job.band->orientation, job.component->coding.style,
                           static_cast<unsigned>(planes)};
    decoder.decode(shape, segments);
    if (job.component->roi_shift != 0) {
        decoder.undo_roi(job.component->roi_shift);
    }
    if (job.component->coding.reversible) {
        decoder.store_integers(reinterpret_cast<std::int32_t*>(job.out), job.stride);
    } else {
        decoder.store_scaled(reinterpret_cast<float*>(job.out), job.stride, 0.5F * job.band->step);
    }
}

void TileDecoder::decode_blocks(unsigned threads) {
    allocate();
    std::atomic<std::size_t> next{0};
    const auto count = static_cast<unsigned>(std::clamp<std::size_t>(jobs_.size() / 4, 1, threads));
    parallel::for_each(count, count, [&](std::size_t) {  // one loop for each thread: buffers are made once
        BlockDecoder decoder;
        std::vector<Segment> segments;
        std::vector<std::byte> joined;
        for (std::size_t i = next++; i < jobs_.size(); i = next++) {
            decode_block(jobs_[i], decoder, segments, joined);
        }
    });
}

void TileDecoder::write(const Output& out) const {
    const Rect image = reduced(stream_.size.image, discard_);
    const Rect area = reduced(tile_.area, discard_);
    if (area.empty()) {  // a tile, or an image, of which nothing is left at this resolution
        return;
    }
    const std::size_t width = area.width();
    std::vector<std::unique_ptr<Synthesis>> sources;
    for (std::size_t c = 0; c < tile_.components.size(); ++c) {
        sources.push_back(make_synthesis(tile_.components[c], top(tile_.components[c]), rows_[c]));
    }
    const bool transformed = header_.parameters.component_transform && sources.size() >= 3;
    const bool reversible = tile_.components[0].coding.reversible;
    std::vector<std::uint32_t> mixed(transformed ? 3 * width : 0);
    std::vector<const std::uint32_t*> rows(sources.size());
    for (std::uint32_t y = area.y0; y < area.y1; ++y) {
        for (std::size_t c = 0; c < sources.size(); ++c) {
            rows[c] = sources[c]->next();
            if (transformed && c < 3) {
                std::copy_n(rows[c], width, mixed.data() + c * width);
                rows[c] = mixed.data() + c * width;
            }
        }
        if (transformed) {
            std::uint32_t* m = mixed.data();
            if (reversible) {
                auto* v = reinterpret_cast<std::int32_t*>(m);
                undo_rct(v, v + width, v + 2 * width, width);
            } else {
                auto* v = reinterpret_cast<float*>(m);
                undo_ict(v, v + width, v + 2 * width, width);
            }
        }
        std::byte* to =
            out.data + (std::size_t{y - image.y0} * out.columns + (area.x0 - image.x0)) * out.samples * out.container;
        for (std::size_t c = 0; c < sources.size(); ++c) {
            const Component& component = stream_.size.components[c];
            if (tile_.components[c].coding.reversible) {
                store_row(reinterpret_cast<const std::int32_t*>(rows[c]), width, component, out.container, out.samples,
                          to + c * out.container);
            } else {
                store_row(reinterpret_cast<const float*>(rows[c]), width, component, out.container, out.samples,
                          to + c * out.container);
            }
        }
    }
}

void check_supported(const CodeStream& stream) {
    for (const Component& component : stream.size.components) {
        if (component.dx != 1 || component.dy != 1) {
            fail_unsupported("subsampled components have no decoder", stream.base + 2);
        }
        if (component.precision > 31) {
            fail_unsupported("more than 31 bits a sample", stream.base + 2);
        }
    }
}

void check_tile(const CodeStream& stream, const TileHeader& header, unsigned discard) {
    const auto& components = header.parameters.components;
    for (std::size_t c = 0; c < components.size(); ++c) {
        if (components[c].coding.levels < discard) {
            throw Error(Errc::out_of_range, "JPEG 2000: fewer resolution levels than are to be discarded");
        }
        if (header.parameters.component_transform && components.size() >= 3 && c < 3 &&
            components[c].coding.reversible != components[0].coding.reversible) {
            fail_bad("a component transform over different wavelets", stream.base);
        }
    }
}

}  // namespace

Rect reduced(const Rect& image, unsigned levels) noexcept {
    return {ceil_shift(image.x0, levels), ceil_shift(image.y0, levels), ceil_shift(image.x1, levels),
            ceil_shift(image.y1, levels)};
}

void decode_image(Bytes data, std::size_t base, const jpeg2000::Options& options, const Output& out) {
    const CodeStream stream = read_code_stream(data, base);
    check_supported(stream);
    std::vector<std::vector<std::uint32_t>> parts(stream.tiles());
    for (std::uint32_t i = 0; i < stream.parts.size(); ++i) {
        parts[stream.parts[i].tile].push_back(i);
    }
    const auto missing = std::ranges::find_if(parts, [](const auto& of_tile) { return of_tile.empty(); });
    if (missing != parts.end()) {
        fail_truncated(
            "tile " + std::to_string(missing - parts.begin()) + " of " + std::to_string(parts.size()) + " has no data",
            base + data.size());
    }
    const unsigned threads = std::clamp(options.threads, 1U, kMostThreads);
    const bool by_tile = parts.size() >= threads && threads > 1;  // else by code-block inside of one tile
    std::atomic<std::uint32_t> next{0};
    const unsigned workers = by_tile ? threads : 1;
    parallel::for_each(workers, workers, [&](std::size_t) {
        for (std::uint32_t t = next++; t < parts.size(); t = next++) {
            const TileHeader header = read_tile_header(stream, parts[t]);
            check_tile(stream, header, options.discard_levels);
            TileDecoder tile(stream, header, t, options.discard_levels);
            tile.decode_blocks(by_tile ? 1 : threads);
            tile.write(out);
        }
    });
}

}  // namespace hilum::codec::j2k
