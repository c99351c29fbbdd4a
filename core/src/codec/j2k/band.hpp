// SPDX-License-Identifier: Apache-2.0
// The coefficients of subbands, row by row: code-blocks are decoded when the wavelet asks for their rows, and only one
// row of blocks of each band is held; or all of them at once, by several threads.
#pragma once

#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "block.hpp"
#include "ht_block.hpp"
#include "tile.hpp"
#include "wavelet.hpp"

namespace hilum::codec::j2k {

/// A code-block that has data.
struct Job {
    const Block* block = nullptr;
    std::uint32_t x = 0, y = 0;  ///< in the band
    unsigned width = 0, height = 0;
};

/// Decodes code-blocks of one tile; the buffers of one thread.
class BlockWorker {
public:
    BlockWorker(const CodeStream& stream, const Tile& tile) noexcept : stream_(stream), tile_(tile) {}

    /// Where a band's blocks go: `rows_from` is the band's row at `data`.
    struct Target {
        const TileComponent& component;
        const Band& band;
        std::uint32_t* data;
        std::size_t stride;
        std::uint32_t rows_from;

        [[nodiscard]] std::uint32_t* at(const Job& job) const noexcept {
            return data + std::size_t{job.y - rows_from} * stride + job.x;
        }
    };
    void decode(std::span<const Job> jobs, const Target& target);

private:
    void decode_one(const Job& job, const Target& target);
    void decode_ht(std::span<const Job> jobs, const Target& target);
    bool find_segments(const Job& job, const Target& target, std::vector<std::byte>& joined, HtBlock& out) const;
    [[nodiscard]] unsigned planes_of(const Job& job, const Target& target) const;
    [[nodiscard]] std::uint64_t offset_of(const std::byte* at) const noexcept {
        return stream_.base + static_cast<std::size_t>(at - stream_.data.data());
    }

    const CodeStream& stream_;
    const Tile& tile_;
    std::optional<BlockDecoder> decoder_;
    std::array<std::optional<HtBlockDecoder>, 2> ht_decoders_;
    std::array<std::vector<std::byte>, 2> refinements_;  ///< joined
    std::vector<Segment> segments_;
    std::vector<std::byte> joined_;
};

class BandRows final : public RowSource {
public:
    /// `needed`: coefficients of the band that are asked for; blocks outside of it are left out.
    BandRows(const TileComponent& component, const Resolution& resolution, unsigned band, const Rect& needed);

    /// Bytes that row by row, or all at once, are held.
    [[nodiscard]] std::uint64_t bytes(bool whole) const noexcept;

    /// To be called once before row(). Row by row: `worker` decodes.
    void prepare(BlockWorker& worker);
    /// All at once: blocks `from` to `to` of jobs() by one thread; all of them before row().
    void prepare_whole();
    [[nodiscard]] std::size_t jobs() const noexcept { return jobs_.size(); }
    void decode(std::size_t from, std::size_t to, BlockWorker& worker) const;

    const std::uint32_t* row(std::uint32_t index) override;

private:
    struct Free {
        void operator()(void* p) const noexcept { std::free(p); }
    };

    void add_jobs(const Precinct& precinct, unsigned band, const Resolution& resolution, const Rect& needed);
    void allocate(std::uint64_t bytes_held);
    /// The next row of blocks, or all: zeros where some have no data.
    void clear_gaps(std::span<const Job> jobs, std::uint32_t rows);

    const TileComponent& component_;
    const Band& band_;
    unsigned block_height_;  ///< exponent
    std::vector<Job> jobs_;  ///< from top to bottom
    BlockWorker* worker_ = nullptr;
    std::size_t next_job_ = 0;
    std::unique_ptr<std::uint32_t[], Free> data_;
    std::uint32_t from_ = 0, to_ = 0;  ///< rows that are there
};

}  // namespace hilum::codec::j2k
