// SPDX-License-Identifier: Apache-2.0
#include "analysis.hpp"

#include <algorithm>

#include "hilum/cpu.hpp"

namespace hilum::codec::j2k {
namespace {

struct Kernels {
    void (*predict)(std::int32_t*, const std::int32_t*, const std::int32_t*, std::uint32_t);
    void (*update)(std::int32_t*, const std::int32_t*, const std::int32_t*, std::uint32_t);
    void (*split)(const std::int32_t*, std::uint32_t, std::int32_t*, std::int32_t*);
};

namespace scalar {
#include "analysis_kernels.inc"
}  // namespace scalar

constexpr Kernels kScalar{&scalar::predict, &scalar::update, &scalar::split};

#if defined(__x86_64__)
HILUM_TARGET_BEGIN("avx2")
namespace avx2 {
#include "analysis_kernels.inc"
}  // namespace avx2
HILUM_TARGET_END

constexpr Kernels kAvx2{&avx2::predict, &avx2::update, &avx2::split};
#endif

const Kernels& kernels() noexcept {
#if defined(__x86_64__)
    if (cpu::features().avx2) {
        return kAvx2;
    }
#endif
    return kScalar;
}

}  // namespace

StripeSink::StripeSink(std::uint32_t width)
    : width_(width),
      stride_((std::size_t{width} + 63) / 64 * 64),
      rows_(std::make_unique<std::int32_t[]>(stride_ * kRows)) {}

void StripeSink::advance() {
    if (++held_ == kRows && width_ > 0) {
        take(rows_.get(), stride_, width_, held_);
    }
    held_ %= kRows;
}

void StripeSink::finish() {
    if (held_ == 0 || width_ == 0) {
        return;
    }
    if (held_ % 2 != 0) {
        std::fill_n(next(), stride_, 0);
    }
    take(rows_.get(), stride_, width_, held_);
    held_ = 0;
}

Analysis::Analysis(std::uint32_t width, Analysis* low, StripeSink* lowest, StripeSink& hl, StripeSink& lh,
                   StripeSink& hh)
    : width_(width),
      low_(low),
      lowest_(lowest),
      hl_(hl),
      lh_(lh),
      hh_(hh),
      stride_((std::size_t{width} + 15) / 16 * 16),
      ring_(std::make_unique<std::int32_t[]>(stride_ * kRing)) {}

void Analysis::low_row(std::int32_t* samples) {
    kernels().split(samples, width_, low_ != nullptr ? low_->next() : lowest_->next(), hl_.next());
    hl_.advance();
    low_ != nullptr ? low_->advance() : lowest_->advance();
}

void Analysis::high_row(std::int32_t* samples) {
    kernels().split(samples, width_, lh_.next(), hh_.next());
    lh_.advance();
    hh_.advance();
}

/// With an even row the high row before it, and with that the low row before that, are done.
void Analysis::advance() {
    const std::uint32_t at = count_++;
    if (at == 0 || at % 2 != 0) {
        return;
    }
    kernels().predict(row(at - 1), row(at - 2), row(at), width_);
    kernels().update(row(at - 2), row(at == 2 ? at - 1 : at - 3), row(at - 1), width_);
    low_row(row(at - 2));
    if (at > 2) {
        high_row(row(at - 3));
    }
}

void Analysis::finish() {
    const std::uint32_t last = count_ - 1;
    if (count_ == 1) {
        low_row(row(0));
    } else if (last % 2 == 0) {  // a low row between two times the same high one
        kernels().update(row(last), row(last - 1), row(last - 1), width_);
        high_row(row(last - 1));
        low_row(row(last));
    } else {
        kernels().predict(row(last), row(last - 1), row(last - 1), width_);
        kernels().update(row(last - 1), row(last == 1 ? last : last - 2), row(last), width_);
        if (last > 1) {
            high_row(row(last - 2));
        }
        low_row(row(last - 1));
        high_row(row(last));
    }
    hl_.finish();
    lh_.finish();
    hh_.finish();
    low_ != nullptr ? low_->finish() : lowest_->finish();
}

}  // namespace hilum::codec::j2k
