// SPDX-License-Identifier: Apache-2.0
#include "block.hpp"

#include <algorithm>

#include "block_tables.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace hilum::codec::j2k {
namespace {

constexpr std::uint32_t kSign = 0x80000000U;

}  // namespace

BlockDecoder::BlockDecoder(RunPasses run_passes)
    : run_passes_(run_passes), buffers_(std::make_unique_for_overwrite<Buffers>()) {}

void BlockDecoder::clear() noexcept {
    const std::size_t word_count = std::size_t{stripes_ + 2} * (words_ + 2);
    std::fill_n(buffers_->values.data(), std::size_t{stripes_} * words_ * 64, 0U);
    std::fill_n(buffers_->flags.data(), std::size_t{stripes_ + 2} * (width_ + 2), 0U);
    std::fill_n(buffers_->significant.data(), word_count, 0U);
    std::fill_n(buffers_->visited.data(), word_count, 0U);
    std::fill_n(buffers_->refined.data(), word_count, 0U);
}

void BlockDecoder::decode(const BlockShape& shape, std::span<const Segment> segments) noexcept {
    width_ = shape.width;
    height_ = shape.height;
    words_ = (width_ + 15) / 16;
    stripes_ = (height_ + 3) / 4;
    clear();
    const std::size_t first = (words_ + 2) + 1;
    const unsigned table = shape.orientation == 3 ? 2U : (shape.orientation == 1 ? 1U : 0U);
    run_passes_(
        {buffers_->values.data(), buffers_->flags.data() + (width_ + 2) + 1, buffers_->significant.data() + first,
         buffers_->visited.data() + first, buffers_->refined.data() + first, contexts_.data(),
         static_cast<std::ptrdiff_t>(words_ + 2), static_cast<std::ptrdiff_t>(width_ + 2), words_, stripes_, width_,
         height_, kZeroContexts[table].data(), shape.style, shape.planes},
        segments);
}

void BlockDecoder::undo_roi(unsigned shift) noexcept {
    const std::size_t count = std::size_t{stripes_} * words_ * 64;
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t& value = buffers_->values[i];
        const std::uint32_t magnitude = value & ~kSign;
        if (shift >= 31) {
            value = 0;
        } else if (magnitude >= std::uint32_t{1} << shift) {
            value = (value & kSign) | magnitude >> shift;
        }
    }
}

namespace {

std::int32_t integer_of(std::uint32_t value) noexcept {
    const auto magnitude = static_cast<std::int32_t>((value & ~kSign) >> 1U);
    return (value & kSign) != 0 ? -magnitude : magnitude;
}

float scaled(std::uint32_t value, float step) noexcept {
    const auto magnitude = static_cast<std::int32_t>(value & ~kSign);
    return static_cast<float>((value & kSign) != 0 ? -magnitude : magnitude) * step;
}

#if defined(__SSE2__)
__m128i signed_of(__m128i value, int shift) noexcept {
    const __m128i sign = _mm_srai_epi32(value, 31);
    const __m128i magnitude = _mm_srli_epi32(_mm_and_si128(value, _mm_set1_epi32(0x7FFFFFFF)), shift);
    return _mm_sub_epi32(_mm_xor_si128(magnitude, sign), sign);
}

/// Four columns of a stripe to four rows of four.
void transpose(const std::uint32_t* in, __m128i (&rows)[4]) noexcept {
    const auto* from = reinterpret_cast<const __m128i*>(in);
    const __m128i a = _mm_load_si128(from);
    const __m128i b = _mm_load_si128(from + 1);
    const __m128i c = _mm_load_si128(from + 2);
    const __m128i d = _mm_load_si128(from + 3);
    const __m128i ab_low = _mm_unpacklo_epi32(a, b);
    const __m128i cd_low = _mm_unpacklo_epi32(c, d);
    const __m128i ab_high = _mm_unpackhi_epi32(a, b);
    const __m128i cd_high = _mm_unpackhi_epi32(c, d);
    rows[0] = _mm_unpacklo_epi64(ab_low, cd_low);
    rows[1] = _mm_unpackhi_epi64(ab_low, cd_low);
    rows[2] = _mm_unpacklo_epi64(ab_high, cd_high);
    rows[3] = _mm_unpackhi_epi64(ab_high, cd_high);
}
#endif

/// Walks the stripes; four whole columns at once where there is SSE2.
template <typename One, typename Four>
void store_rows(const std::uint32_t* values, unsigned width, unsigned height, unsigned words, One one,
                [[maybe_unused]] Four four) noexcept {
    for (unsigned y = 0; y < height; y += 4) {
        const std::uint32_t* stripe = values + std::size_t{y / 4} * words * 64;
        const unsigned rows = std::min(4U, height - y);
        unsigned x = 0;
#if defined(__SSE2__)
        for (; x + 4 <= width; x += 4) {
            __m128i block[4];
            transpose(stripe + 4 * x, block);
            for (unsigned r = 0; r < rows; ++r) {
                four(y + r, x, block[r]);
            }
        }
#endif
        for (; x < width; ++x) {
            for (unsigned r = 0; r < rows; ++r) {
                one(y + r, x, stripe[4 * x + r]);
            }
        }
    }
}

}  // namespace

void BlockDecoder::store_integers(std::int32_t* out, std::size_t stride) const noexcept {
    const auto one = [out, stride](unsigned y, unsigned x, std::uint32_t v) { out[y * stride + x] = integer_of(v); };
#if defined(__SSE2__)
    const auto four = [out, stride](unsigned y, unsigned x, __m128i v) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + y * stride + x), signed_of(v, 1));
    };
#else
    const int four = 0;
#endif
    store_rows(buffers_->values.data(), width_, height_, words_, one, four);
}

void BlockDecoder::store_scaled(float* out, std::size_t stride, float step) const noexcept {
    const auto one = [=](unsigned y, unsigned x, std::uint32_t v) { out[y * stride + x] = scaled(v, step); };
#if defined(__SSE2__)
    const auto four = [=](unsigned y, unsigned x, __m128i v) {
        _mm_storeu_ps(out + y * stride + x, _mm_mul_ps(_mm_cvtepi32_ps(signed_of(v, 0)), _mm_set1_ps(step)));
    };
#else
    const int four = 0;
#endif
    store_rows(buffers_->values.data(), width_, height_, words_, one, four);
}

}  // namespace hilum::codec::j2k
