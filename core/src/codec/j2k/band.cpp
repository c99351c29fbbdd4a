// SPDX-License-Identifier: Apache-2.0
#include "band.hpp"

#include <algorithm>
#include <string>

#include "hilum/error.hpp"

namespace hilum::codec::j2k {
namespace {

template <typename Decoder>
Decoder& made(std::optional<Decoder>& decoder) {
    return decoder ? *decoder : decoder.emplace();
}

void clear(const Job& job, const BlockWorker::Target& target) {
    for (unsigned y = 0; y < job.height; ++y) {
        std::fill_n(target.at(job) + y * target.stride, job.width, 0U);
    }
}

}  // namespace

void BlockWorker::decode(std::span<const Job> jobs, const Target& target) {
    const bool is_ht = (target.component.coding.style & kHighThroughput) != 0;
    while (!jobs.empty()) {
        const bool alike = jobs.size() > 1 && jobs[0].width == jobs[1].width && jobs[0].height == jobs[1].height;
        const std::size_t count = is_ht && alike ? 2 : 1;
        is_ht ? decode_ht(jobs.first(count), target) : decode_one(jobs[0], target);
        jobs = jobs.subspan(count);
    }
}

void BlockWorker::decode_one(const Job& job, const Target& target) {
    const Block& block = *job.block;
    segments_.clear();
    joined_.clear();
    std::size_t needed = 0;
    bool split = false;
    for (std::uint32_t i = block.first_piece; i != kNone; i = tile_.pieces[i].next) {
        needed += tile_.pieces[i].bytes;
        split = split || !tile_.pieces[i].starts_segment;
    }
    joined_.reserve(split ? needed : 0);
    for (std::uint32_t i = block.first_piece; i != kNone; i = tile_.pieces[i].next) {
        const Piece& piece = tile_.pieces[i];
        if (piece.starts_segment) {
            segments_.push_back({piece.data, 0, 0});
            if (split) {
                segments_.back().data = joined_.data() + joined_.size();
            }
        }
        if (split) {
            joined_.insert(joined_.end(), piece.data, piece.data + piece.bytes);
        }
        segments_.back().bytes += piece.bytes;
        segments_.back().passes += piece.passes;
    }
    const BlockShape shape{job.width, job.height, target.band.orientation, target.component.coding.style,
                           planes_of(job, target)};
    if (shape.planes == 0) {
        clear(job, target);
        return;
    }
    BlockDecoder& decoder = made(decoder_);
    decoder.decode(shape, segments_);
    if (target.component.roi_shift != 0) {
        decoder.undo_roi(target.component.roi_shift);
    }
    if (target.component.coding.reversible) {
        decoder.store_integers(reinterpret_cast<std::int32_t*>(target.at(job)), target.stride);
    } else {
        decoder.store_scaled(reinterpret_cast<float*>(target.at(job)), target.stride, 0.5F * target.band.step);
    }
}

unsigned BlockWorker::planes_of(const Job& job, const Target& target) const {
    const int planes = int{target.component.roi_shift} + target.band.planes - job.block->zero_planes;
    if (planes > 30) {
        fail_bad("a code-block with " + std::to_string(planes) + " bit-planes",
                 offset_of(tile_.pieces[job.block->first_piece].data));
    }
    return static_cast<unsigned>(std::max(planes, 0));  // some encoders give passes to blocks that have nothing
}

/// The last cleanup pass and what refines it: a pass of every third number is a cleanup pass, one plane lower.
bool BlockWorker::find_segments(const Job& job, const Target& target, std::vector<std::byte>& joined,
                                HtBlock& out) const {
    const unsigned planes = planes_of(job, target);
    HtSegments found;
    unsigned passes = 0;
    unsigned lowered = 0;
    bool split = false;
    joined.clear();
    for (std::uint32_t i = job.block->first_piece; i != kNone; i = tile_.pieces[i].next) {
        const Piece& piece = tile_.pieces[i];
        const Bytes bytes(piece.data, piece.bytes);
        passes += piece.passes;
        if (passes % 3 == 1) {
            found = {bytes, {}, 1};
            lowered = passes / 3;
            joined.clear();
        } else if (!found.cleanup.empty()) {
            found.passes += piece.passes;
            split = !joined.empty();
            found.refinement = bytes;
            joined.insert(joined.end(), bytes.begin(), bytes.end());
        }
    }
    if (found.cleanup.empty() || planes == 0) {
        return false;
    }
    if (split) {
        found.refinement = joined;
    }
    const std::uint64_t at = offset_of(found.cleanup.data());
    if (lowered >= planes || (found.passes > 1 && lowered + 1 >= planes)) {
        fail_bad("an HT code-block with passes below its lowest bit-plane", at);
    }
    out.shape = {job.width, job.height, planes - 1 - lowered, job.block->zero_planes + lowered,
                 (target.component.coding.style & kVerticallyCausal) != 0};
    out.segments = found;
    if (out.shape.missing + out.shape.plane > HtShape::kMostPlanes - 1) {
        fail_unsupported("an HT code-block of more than 29 bit-planes", at);
    }
    return true;
}

/// One block, or two of one size.
void BlockWorker::decode_ht(std::span<const Job> jobs, const Target& target) {
    std::array<HtBlock, 2> blocks;
    std::size_t count = 0;
    const TileComponent& component = target.component;
    for (const Job& job : jobs) {
        if (!find_segments(job, target, refinements_[count], blocks[count])) {
            clear(job, target);
            continue;
        }
        HtBlock& block = blocks[count];
        block.decoder = &made(ht_decoders_[count]);
        block.roi_shift = component.roi_shift;
        block.out = target.at(job);
        block.stride = target.stride;
        block.step = component.coding.reversible ? 0 : 0.5F * target.band.step;
        ++count;
    }
    if (count == 1 ? !HtBlockDecoder::decode(blocks[0]) : count == 2 && !HtBlockDecoder::decode(blocks[0], blocks[1])) {
        fail_bad("a damaged HT code-block", offset_of(blocks[0].segments.cleanup.data()));
    }
}

BandRows::BandRows(const TileComponent& component, const Resolution& resolution, unsigned band, const Rect& needed)
    : component_(component), band_(resolution.bands[band]), block_height_(resolution.block_height) {
    for (const Precinct& precinct : resolution.precincts) {
        if (precinct.grids) {
            add_jobs(precinct, band, resolution, needed);
        }
    }
    std::ranges::stable_sort(jobs_, {}, &Job::y);
}

void BandRows::add_jobs(const Precinct& precinct, unsigned band, const Resolution& resolution, const Rect& needed) {
    const BlockGrid& grid = (*precinct.grids)[band];
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
        if (x1 <= needed.x0 || y1 <= needed.y0 || x0 >= needed.x1 || y0 >= needed.y1) {
            continue;
        }
        jobs_.push_back({&grid.blocks[i], static_cast<std::uint32_t>(x0 - band_.area.x0),
                         static_cast<std::uint32_t>(y0 - band_.area.y0), static_cast<unsigned>(x1 - x0),
                         static_cast<unsigned>(y1 - y0)});
    }
}

std::uint64_t BandRows::bytes(bool whole) const noexcept {
    const std::uint32_t rows = band_.area.height();
    const std::uint64_t held = whole ? rows : std::min<std::uint64_t>(rows, std::uint64_t{1} << block_height_);
    return (held * band_.area.width() + 16) * sizeof(std::uint32_t);
}

void BandRows::allocate(std::uint64_t bytes_held) {
    data_.reset(static_cast<std::uint32_t*>(std::malloc(bytes_held)));
    if (!data_) {
        throw Error(Errc::out_of_memory, "JPEG 2000: no memory for the coefficients of a tile");
    }
}

void BandRows::prepare(BlockWorker& worker) {
    allocate(bytes(false));
    worker_ = &worker;
}

void BandRows::prepare_whole() {
    allocate(bytes(true));
    to_ = band_.area.height();
    clear_gaps(jobs_, to_);
}

void BandRows::decode(std::size_t from, std::size_t to, BlockWorker& worker) const {
    worker.decode(std::span(jobs_).subspan(from, to - from),
                  {component_, band_, data_.get(), band_.area.width(), from_});
}

void BandRows::clear_gaps(std::span<const Job> jobs, std::uint32_t rows) {
    const std::size_t area = std::size_t{band_.area.width()} * rows;
    std::size_t covered = 0;
    for (const Job& job : jobs) {
        covered += std::size_t{job.width} * job.height;
    }
    if (covered != area) {
        std::fill_n(data_.get(), area, 0U);
    }
}

const std::uint32_t* BandRows::row(std::uint32_t index) {
    if (index >= to_) {  // rows come in order, some may be passed over: what was held is done with
        const std::uint64_t block = (std::uint64_t{band_.area.y0} + index) >> block_height_;
        from_ =
            static_cast<std::uint32_t>(std::max<std::uint64_t>(block << block_height_, band_.area.y0) - band_.area.y0);
        to_ = static_cast<std::uint32_t>(std::min<std::uint64_t>((block + 1) << block_height_, band_.area.y1) -
                                         band_.area.y0);
        while (next_job_ < jobs_.size() && jobs_[next_job_].y < from_) {
            ++next_job_;
        }
        const std::size_t first = next_job_;
        while (next_job_ < jobs_.size() && jobs_[next_job_].y < to_) {
            ++next_job_;
        }
        clear_gaps(std::span(jobs_).subspan(first, next_job_ - first), to_ - from_);
        decode(first, next_job_, *worker_);
    }
    return data_.get() + std::size_t{index - from_} * band_.area.width();
}

}  // namespace hilum::codec::j2k
