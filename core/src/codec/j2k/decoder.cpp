// SPDX-License-Identifier: Apache-2.0
#include "decoder.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "band.hpp"
#include "hilum/error.hpp"
#include "hilum/parallel.hpp"
#include "packets.hpp"
#include "samples.hpp"
#include "wavelet.hpp"

namespace hilum::codec::j2k {
namespace {

/// What a tile's coefficients may cost without asking how much data there is, and for each byte of it beyond.
constexpr std::uint64_t kFreeBytes = 48ULL << 20U;
constexpr std::uint64_t kBytesPerByte = 1024;
constexpr unsigned kMostThreads = 64;

Rect common(const Rect& a, const Rect& b) noexcept {
    return {std::max(a.x0, b.x0), std::max(a.y0, b.y0), std::min(a.x1, b.x1), std::min(a.y1, b.y1)};
}

template <typename Sample>
std::array<const Sample*, 3> first_three(const std::vector<const std::uint32_t*>& rows) {
    return {reinterpret_cast<const Sample*>(rows[0]), reinterpret_cast<const Sample*>(rows[1]),
            reinterpret_cast<const Sample*>(rows[2])};
}

/// A row of a band without data.
class ZeroRows final : public RowSource {
public:
    explicit ZeroRows(std::size_t width) : zeros_(width) {}
    const std::uint32_t* row(std::uint32_t) override { return zeros_.data(); }

private:
    std::vector<std::uint32_t> zeros_;
};

/// One tile: packets, code-blocks, wavelets, samples.
class TileDecoder {
public:
    /// `wanted`: of the image with `discard` resolutions less.
    TileDecoder(const CodeStream& stream, const TileHeader& header, std::uint32_t index, unsigned discard,
                const Rect& wanted)
        : stream_(stream),
          header_(header),
          discard_(discard),
          wanted_(wanted),
          tile_(make_tile(stream, header.parameters, index)),
          worker_(stream, tile_) {
        read_packets(stream, header, tile_);
        find_bands();
    }

    /// Code-blocks by several threads at once where there is memory for all of them; else write() decodes them.
    void prepare(unsigned threads);
    void write(const Output& out);

private:
    [[nodiscard]] unsigned top(const TileComponent& component) const noexcept {
        return component.coding.levels - discard_;
    }
    void find_bands();
    [[nodiscard]] bool affordable(bool whole) const noexcept;
    void decode_all(unsigned threads);
    void store_rows(const std::vector<const std::uint32_t*>& rows, std::size_t width, const Output& out,
                    std::byte* to) const;

    const CodeStream& stream_;
    const TileHeader& header_;
    unsigned discard_;
    Rect wanted_;
    Tile tile_;
    BlockWorker worker_;
    std::unique_ptr<ZeroRows> zeros_;
    std::vector<std::unique_ptr<BandRows>> bands_;
    std::vector<std::vector<std::array<RowSource*, 3>>> rows_;  ///< component, resolution
};

/// Coefficients of a level's bands that samples of this level depend on.
Rect halved(const Rect& samples) noexcept {
    const auto from = [](std::uint32_t at) { return at < kReach ? 0U : (at - kReach) / 2; };
    const auto to = [](std::uint32_t at) { return static_cast<std::uint32_t>((std::uint64_t{at} + kReach + 1) / 2); };
    return {from(samples.x0), from(samples.y0), to(samples.x1), to(samples.y1)};
}

void TileDecoder::find_bands() {
    std::size_t widest = 0;
    for (const TileComponent& component : tile_.components) {
        for (const Resolution& resolution : component.resolutions) {
            for (const Band& band : resolution.bands) {
                widest = std::max<std::size_t>(widest, band.area.width());
            }
        }
    }
    zeros_ = std::make_unique<ZeroRows>(widest);
    for (const TileComponent& component : tile_.components) {
        auto& rows = rows_.emplace_back(top(component) + 1);
        Rect needed = wanted_;
        for (unsigned r = top(component) + 1; r-- > 0;) {
            const Resolution& resolution = component.resolutions[r];
            needed = r == 0 ? needed : halved(needed);
            for (unsigned b = 0; b < resolution.bands_used; ++b) {
                rows[r][b] = zeros_.get();
                if (resolution.bands[b].coded && !resolution.bands[b].area.empty()) {
                    rows[r][b] =
                        bands_.emplace_back(std::make_unique<BandRows>(component, resolution, b, needed)).get();
                }
            }
        }
    }
}

bool TileDecoder::affordable(bool whole) const noexcept {
    std::uint64_t total = 0;
    for (const auto& band : bands_) {
        total += band->bytes(whole);
    }
    return total <= kFreeBytes + kBytesPerByte * stream_.data.size();
}

void TileDecoder::prepare(unsigned threads) {
    if (threads > 1 && affordable(true)) {
        decode_all(threads);
        return;
    }
    if (!affordable(false)) {
        throw Error(Errc::limit_exceeded, "JPEG 2000: an image of this size cannot come from so few bytes",
                    stream_.base + 2);
    }
    for (const auto& band : bands_) {
        band->prepare(worker_);
    }
}

void TileDecoder::decode_all(unsigned threads) {
    constexpr std::size_t kAtOnce = 2;
    std::vector<std::pair<const BandRows*, std::size_t>> jobs;
    for (const auto& band : bands_) {
        band->prepare_whole();
        for (std::size_t i = 0; i < band->jobs(); i += kAtOnce) {
            jobs.emplace_back(band.get(), i);
        }
    }
    std::atomic<std::size_t> next{0};
    const auto count = static_cast<unsigned>(std::clamp<std::size_t>(jobs.size() / 2, 1, threads));
    parallel::for_each(count, count, [&](std::size_t) {  // one loop for each thread: buffers are made once
        BlockWorker worker(stream_, tile_);
        for (std::size_t i = next++; i < jobs.size(); i = next++) {
            const auto [band, from] = jobs[i];
            band->decode(from, std::min(from + kAtOnce, band->jobs()), worker);
        }
    });
}

void TileDecoder::write(const Output& out) {
    const Rect tile = reduced(tile_.area, discard_);
    const Rect area = common(tile, wanted_);
    if (area.empty()) {  // a tile, or an image, of which nothing is left at this resolution
        return;
    }
    const std::size_t width = area.width();
    std::vector<std::unique_ptr<Synthesis>> sources;
    for (std::size_t c = 0; c < tile_.components.size(); ++c) {
        sources.push_back(make_synthesis(tile_.components[c], top(tile_.components[c]), rows_[c]));
        sources.back()->skip_to(area.y0 - tile.y0);
    }
    const bool transformed = header_.parameters.component_transform && sources.size() >= 3;
    const bool reversible = tile_.components[0].coding.reversible;
    std::vector<std::uint32_t> mixed(transformed ? 3 * width : 0);
    std::vector<const std::uint32_t*> rows(sources.size());
    for (std::uint32_t y = area.y0; y < area.y1; ++y) {
        for (std::size_t c = 0; c < sources.size(); ++c) {
            rows[c] = sources[c]->next() + (area.x0 - tile.x0);
        }
        if (transformed) {
            if (reversible) {
                undo_rct(first_three<std::int32_t>(rows), width, reinterpret_cast<std::int32_t*>(mixed.data()));
            } else {
                undo_ict(first_three<float>(rows), width, reinterpret_cast<float*>(mixed.data()));
            }
            for (std::size_t c = 0; c < 3; ++c) {
                rows[c] = mixed.data() + c * width;
            }
        }
        store_rows(rows, width, out,
                   out.data + (std::size_t{y - wanted_.y0} * out.columns + (area.x0 - wanted_.x0)) * out.samples *
                                  out.container);
    }
}

void TileDecoder::store_rows(const std::vector<const std::uint32_t*>& rows, std::size_t width, const Output& out,
                             std::byte* to) const {
    const auto& components = stream_.size.components;
    const auto like_first = [&](std::size_t c) {
        return components[c] == components[0] && tile_.components[c].coding.reversible;
    };
    if (rows.size() == 3 && out.samples == 3 && out.container == 1 && like_first(0) && like_first(1) && like_first(2)) {
        store_pixels(first_three<std::int32_t>(rows), width, components[0], to);
        return;
    }
    for (std::size_t c = 0; c < rows.size(); ++c) {
        if (tile_.components[c].coding.reversible) {
            store_row(reinterpret_cast<const std::int32_t*>(rows[c]), width, components[c], out.container, out.samples,
                      to + c * out.container);
        } else {
            store_row(reinterpret_cast<const float*>(rows[c]), width, components[c], out.container, out.samples,
                      to + c * out.container);
        }
    }
}

/// The part of the image, at the resolution that is asked for.
Rect wanted_part(const CodeStream& stream, const jpeg2000::Options& options) noexcept {
    const Rect image = reduced(stream.size.image, options.discard_levels);
    if (!options.region) {
        return image;
    }
    const jpeg2000::Region& part = *options.region;  // inside of the image
    return {image.x0 + part.x, image.y0 + part.y, image.x0 + part.x + part.columns, image.y0 + part.y + part.rows};
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
    const Rect wanted = wanted_part(stream, options);
    const unsigned threads = std::clamp(options.threads, 1U, kMostThreads);
    const bool by_tile = parts.size() >= threads && threads > 1;  // else by code-block inside of one tile
    std::atomic<std::uint32_t> next{0};
    const unsigned workers = by_tile ? threads : 1;
    parallel::for_each(workers, workers, [&](std::size_t) {
        for (std::uint32_t t = next++; t < parts.size(); t = next++) {
            if (options.region && common(reduced(stream.tile(t), options.discard_levels), wanted).empty()) {
                continue;
            }
            const TileHeader header = read_tile_header(stream, parts[t]);
            check_tile(stream, header, options.discard_levels);
            TileDecoder tile(stream, header, t, options.discard_levels, wanted);
            tile.prepare(by_tile ? 1 : threads);
            tile.write(out);
        }
    });
}

}  // namespace hilum::codec::j2k
