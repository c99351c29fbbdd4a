// SPDX-License-Identifier: Apache-2.0
// Forward 5/3 wavelet (ISO/IEC 15444-1 F.4), row by row through all levels: subbands leave in stripes of 64 rows, and
// no level's image is ever held whole. The reference grid begins at 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace hilum::codec::j2k {

/// Takes the rows of a subband.
class StripeSink {
public:
    static constexpr std::uint32_t kRows = 64;

    virtual ~StripeSink() = default;
    StripeSink(const StripeSink&) = delete;
    StripeSink& operator=(const StripeSink&) = delete;

    explicit StripeSink(std::uint32_t width);
    /// Where the next row goes; it is taken by advance().
    [[nodiscard]] std::int32_t* next() noexcept { return rows_.get() + stride_ * held_; }
    void advance();
    void finish();

protected:
    /// `rows` rows of `width`, zeros up to a multiple of 64 columns, and behind the last row of an odd number.
    virtual void take(const std::int32_t* data, std::size_t stride, std::uint32_t width, std::uint32_t rows) = 0;

private:
    std::uint32_t width_;
    std::uint32_t held_ = 0;
    std::size_t stride_;
    std::unique_ptr<std::int32_t[]> rows_;
};

/// One level: rows in, HL, LH and HH out, LL to the next level or to a sink.
class Analysis {
public:
    /// `low` is the next level, or nullptr: `lowest` takes LL then.
    Analysis(std::uint32_t width, Analysis* low, StripeSink* lowest, StripeSink& hl, StripeSink& lh, StripeSink& hh);

    /// Where the next row goes; it is taken by advance().
    [[nodiscard]] std::int32_t* next() noexcept { return row(count_); }
    void advance();
    void finish();

private:
    [[nodiscard]] std::int32_t* row(std::uint32_t index) noexcept { return ring_.get() + stride_ * (index % kRing); }
    void low_row(std::int32_t* samples);
    void high_row(std::int32_t* samples);

    static constexpr std::uint32_t kRing = 4;
    std::uint32_t width_;
    Analysis* low_;
    StripeSink* lowest_;
    StripeSink& hl_;
    StripeSink& lh_;
    StripeSink& hh_;
    std::uint32_t count_ = 0;
    std::size_t stride_;
    std::unique_ptr<std::int32_t[]> ring_;
};

}  // namespace hilum::codec::j2k
