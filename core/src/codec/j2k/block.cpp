// SPDX-License-Identifier: Apache-2.0
#include "block.hpp"

#include <algorithm>
#include <atomic>
#include <bit>

#include "block_tables.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace hilum::codec::j2k {
namespace {

constexpr std::uint64_t kTop = 0x1111111111111111ULL;
constexpr std::uint64_t kBottom = kTop << 3U;
constexpr std::uint64_t kColumn = 0xF;
constexpr std::uint32_t kSign = 0x80000000U;

/// What becomes a candidate of the same pass when a coefficient of this row turns significant, relative to it: those
/// behind it in the scan.
constexpr std::array<std::uint64_t, 4> kLater{0x32, 0x3A, 0x3A, 0x18};

/// Vertical neighbours of a word of 16 columns, without itself.
std::uint64_t above_below(std::uint64_t word, std::uint64_t above, std::uint64_t below) noexcept {
    return (word & ~kBottom) << 1U | (word >> 1U & ~kBottom) | (above & kBottom) >> 3U | (below & kTop) << 3U;
}

}  // namespace

/// Views of the buffers that the passes of one block share; sizes in words and columns of this block.
struct Passes {
    std::uint32_t* values;
    std::uint64_t* flags;  ///< of stripe 0, column 0
    std::uint64_t* significant;
    std::uint64_t* visited;
    std::uint64_t* refined;
    MqState* contexts;
    std::ptrdiff_t word_stride, flag_stride;
    unsigned words, stripes, width, height;
    const std::uint8_t* zero_contexts;

    [[nodiscard]] std::uint64_t valid(unsigned stripe, unsigned word) const noexcept {
        const unsigned rows = std::min(4U, height - 4 * stripe);
        const unsigned across = std::min(16U, width - 16 * word);
        const std::uint64_t by_column = across == 16 ? ~std::uint64_t{0} : (std::uint64_t{1} << (4 * across)) - 1;
        return by_column & (kTop * ((1U << rows) - 1));
    }

    /// All eight neighbours of the coefficients of one word, at this moment.
    template <bool kCausal>
    [[nodiscard]] std::uint64_t neighbours(const std::uint64_t* at) const noexcept {
        const auto column = [this](const std::uint64_t* p) {
            return above_below(*p, p[-word_stride], kCausal ? 0 : p[word_stride]);
        };
        const std::uint64_t vertical = column(at);
        const std::uint64_t full = vertical | *at;
        const std::uint64_t left = column(at - 1) | at[-1];
        const std::uint64_t right = column(at + 1) | at[1];
        return vertical | full << 4U | full >> 4U | left >> 60U | right << 60U;
    }

    template <bool kCausal>
    void mark(std::uint64_t* f, unsigned row, std::uint64_t sign) const noexcept {
        const std::uint64_t value = 1U | sign << 32U;
        const unsigned shift = 3 * row;
        add(f, value << (shift + 5), value << (shift + 4), value << (shift + 3));
        // no branches on the row: it is random
        if (!kCausal) {
            const std::uint64_t first = value & (0 - ((std::uint64_t{row} - 1) >> 63U));
            add(f - flag_stride, first << 17U, first << 16U, first << 15U);
        }
        const std::uint64_t last = value & (0 - std::uint64_t{(row + 1) >> 2U});
        add(f + flag_stride, last << 2U, last << 1U, last);
    }

    /// The fences keep the compiler from making one vector of the three: the next look at a flag would wait for it.
    static void add(std::uint64_t* f, std::uint64_t left, std::uint64_t own, std::uint64_t right) noexcept {
        f[-1] |= left;
        std::atomic_signal_fence(std::memory_order_seq_cst);
        f[0] |= own;
        std::atomic_signal_fence(std::memory_order_seq_cst);
        f[1] |= right;
    }

    [[gnu::always_inline]] std::uint64_t sign_of(MqDecoder& mq, std::uint64_t around) const noexcept {
        const unsigned entry = kSignContexts[(around & 0xAAU) | (around >> 33U & 0x55U)];
        return (mq.decode_flat(contexts[entry >> 1U]) ^ entry) & 1U;
    }

    template <bool kCausal>
    void significance(MqDecoder& shared, unsigned plane) const noexcept;
    template <bool kCausal>
    void significance_raw(RawDecoder& raw, unsigned plane) const noexcept;
    template <bool kCausal>
    void refinement(MqDecoder& shared, unsigned plane) const noexcept;
    void refinement_raw(RawDecoder& raw, unsigned plane) const noexcept;
    template <bool kCausal>
    void cleanup(MqDecoder& shared, unsigned plane) const noexcept;
    void skip_segmentation_symbol(MqDecoder& mq) const noexcept;
};

/// D.3.1
template <bool kCausal>
void Passes::significance(MqDecoder& shared, unsigned plane) const noexcept {
    MqDecoder mq = shared;
    const std::uint32_t value = 3U << plane;
    for (unsigned s = 0; s < stripes; ++s) {
        for (unsigned k = 0; k < words; ++k) {
            std::uint64_t* word = significant + s * word_stride + k;
            const std::uint64_t allowed = valid(s, k);
            std::uint64_t found = *word;
            std::uint64_t todo = neighbours<kCausal>(word) & ~found & allowed;
            std::uint64_t seen = 0;
            std::uint64_t* const f = flags + s * flag_stride + 16 * k;
            std::uint32_t* const out = values + (std::size_t{s} * words + k) * 64;
            // the next candidate's context is looked up before this one's symbol is known: where the processor guesses
            // the symbol wrong, at least that is done
            auto p = static_cast<unsigned>(std::countr_zero(todo));
            std::uint64_t around = f[p >> 2U] >> (3 * (p & 3U));
            while (todo != 0) {
                MqState& context = contexts[zero_contexts[around & 0x1FFU]];
                const std::uint64_t bit = todo & -todo;
                todo ^= bit;
                seen |= bit;
                const unsigned here = p;
                const std::uint64_t around_here = around;
                p = static_cast<unsigned>(std::countr_zero(todo));
                around = f[p >> 2U] >> (3 * (p & 3U));
                if (mq.decode_flat(context) != 0) {
                    const std::uint64_t sign = sign_of(mq, around_here);
                    const unsigned row = here & 3U;
                    out[here] = value | static_cast<std::uint32_t>(sign << 31U);
                    found |= bit;
                    todo |= (kLater[row] << here) & allowed & ~found;
                    mark<kCausal>(f + (here >> 2U), row, sign);
                    p = static_cast<unsigned>(std::countr_zero(todo));
                    around = f[p >> 2U] >> (3 * (p & 3U));
                }
            }
            *word = found;
            visited[s * word_stride + k] = seen;
        }
    }
    shared = mq;
}

template <bool kCausal>
void Passes::significance_raw(RawDecoder& raw, unsigned plane) const noexcept {
    const std::uint32_t value = 3U << plane;
    for (unsigned s = 0; s < stripes; ++s) {
        for (unsigned k = 0; k < words; ++k) {
            std::uint64_t* word = significant + s * word_stride + k;
            const std::uint64_t allowed = valid(s, k);
            std::uint64_t found = *word;
            std::uint64_t todo = neighbours<kCausal>(word) & ~found & allowed;
            std::uint64_t seen = 0;
            while (todo != 0) {
                const auto p = static_cast<unsigned>(std::countr_zero(todo));
                const std::uint64_t bit = todo & -todo;
                const unsigned row = p & 3U;
                todo ^= bit;
                seen |= bit;
                if (raw.bit() != 0) {
                    const std::uint64_t sign = raw.bit();
                    values[(std::size_t{s} * words + k) * 64 + p] = value | static_cast<std::uint32_t>(sign << 31U);
                    found |= bit;
                    todo |= (kLater[row] << p) & allowed & ~found;
                    mark<kCausal>(flags + s * flag_stride + 16 * k + (p >> 2U), row, sign);
                }
            }
            *word = found;
            visited[s * word_stride + k] = seen;
        }
    }
}

/// D.3.3. The bit above the last known one is the middle of the interval: it is replaced and moves down by one.
template <bool kCausal>
void Passes::refinement(MqDecoder& shared, unsigned plane) const noexcept {
    MqDecoder mq = shared;
    for (unsigned s = 0; s < stripes; ++s) {
        for (unsigned k = 0; k < words; ++k) {
            const std::ptrdiff_t at = s * word_stride + k;
            std::uint64_t todo = significant[at] & ~visited[at];
            if (todo == 0) {
                continue;
            }
            const std::uint64_t before = refined[at];
            refined[at] = before | todo;
            std::uint32_t* const out = values + (std::size_t{s} * words + k) * 64;
            if ((todo & ~before) == 0) {
                MqState state = contexts[kMagnitudeContext + 2];
                while (todo != 0) {
                    const auto p = static_cast<unsigned>(std::countr_zero(todo));
                    todo &= todo - 1;
                    out[p] ^= (3U << plane) ^ (mq.decode_flat(state) << (plane + 1));
                }
                contexts[kMagnitudeContext + 2] = state;
                continue;
            }
            const std::uint64_t around = neighbours<kCausal>(significant + at);
            while (todo != 0) {
                const auto p = static_cast<unsigned>(std::countr_zero(todo));
                todo &= todo - 1;
                const unsigned again = before >> p & 1U;
                const unsigned context = again != 0 ? 2U : static_cast<unsigned>(around >> p & 1U);
                out[p] ^= (3U << plane) ^ (mq.decode_flat(contexts[kMagnitudeContext + context]) << (plane + 1));
            }
        }
    }
    shared = mq;
}

void Passes::refinement_raw(RawDecoder& raw, unsigned plane) const noexcept {
    for (unsigned s = 0; s < stripes; ++s) {
        for (unsigned k = 0; k < words; ++k) {
            const std::ptrdiff_t at = s * word_stride + k;
            std::uint64_t todo = significant[at] & ~visited[at];
            refined[at] |= todo;
            while (todo != 0) {
                const auto p = static_cast<unsigned>(std::countr_zero(todo));
                todo &= todo - 1;
                values[(std::size_t{s} * words + k) * 64 + p] ^= (3U << plane) ^ (raw.bit() << (plane + 1));
            }
        }
    }
}

/// D.3.4
template <bool kCausal>
void Passes::cleanup(MqDecoder& shared, unsigned plane) const noexcept {
    MqDecoder mq = shared;
    const std::uint32_t value = 3U << plane;
    for (unsigned s = 0; s < stripes; ++s) {
        const bool whole = height - 4 * s >= 4;
        for (unsigned k = 0; k < words; ++k) {
            const std::ptrdiff_t at = s * word_stride + k;
            std::uint64_t found = significant[at];
            const std::uint64_t allowed = valid(s, k);
            std::uint64_t todo = ~found & ~visited[at] & allowed;
            std::uint64_t* const f = flags + s * flag_stride + 16 * k;
            std::uint32_t* const out = values + (std::size_t{s} * words + k) * 64;
            if (todo == 0) {
                continue;
            }
            // first bits of the columns that have nothing in or near them: run-length mode
            std::uint64_t quiet = neighbours<kCausal>(significant + at) | found;
            quiet = whole ? ~(quiet | quiet >> 1U | quiet >> 2U | quiet >> 3U) & kTop & allowed : 0;
            auto p = static_cast<unsigned>(std::countr_zero(todo));
            std::uint64_t around = f[p >> 2U] >> (3 * (p & 3U));
            while (todo != 0) {
                unsigned here = p;
                std::uint64_t around_here = around;
                if ((quiet >> p & 1U) != 0) {
                    const auto columns = static_cast<unsigned>(std::countr_zero(~(quiet >> p) & kTop));
                    const unsigned passed = 4 * mq.skip_zeros(contexts[kRunContext], columns / 4);
                    todo &= ~std::uint64_t{0} << (p + passed) % 64;
                    if (p + passed >= 64) {
                        break;
                    }
                    if (passed == columns) {
                        p = static_cast<unsigned>(std::countr_zero(todo));
                        around = f[p >> 2U] >> (3 * (p & 3U));
                        continue;
                    }
                    here = p + passed;
                    todo &= ~(kColumn << here);
                    p = static_cast<unsigned>(std::countr_zero(todo));
                    around = f[p >> 2U] >> (3 * (p & 3U));
                    if (mq.decode_flat(contexts[kRunContext]) == 0) {
                        continue;
                    }
                    unsigned run = mq.decode_flat(contexts[kUniformContext]) << 1U;
                    run |= mq.decode_flat(contexts[kUniformContext]);
                    todo |= (kColumn & ~((std::uint64_t{2} << run) - 1)) << here;
                    here += run;
                    around_here = 0;
                } else {
                    todo &= todo - 1;
                    MqState& context = contexts[zero_contexts[around_here & 0x1FFU]];
                    p = static_cast<unsigned>(std::countr_zero(todo));
                    around = f[p >> 2U] >> (3 * (p & 3U));
                    if (mq.decode_flat(context) == 0) {
                        continue;
                    }
                }
                const std::uint64_t sign = sign_of(mq, around_here);
                out[here] = value | static_cast<std::uint32_t>(sign << 31U);
                found |= std::uint64_t{1} << here;
                quiet &= ~((std::uint64_t{0x111} << (here & ~3U)) >> 4U);
                quiet &= ~(std::uint64_t{0x10} << (here & ~3U));
                mark<kCausal>(f + (here >> 2U), here & 3U, sign);
                p = static_cast<unsigned>(std::countr_zero(todo));
                around = f[p >> 2U] >> (3 * (p & 3U));
            }
            significant[at] = found;
        }
    }
    shared = mq;
}

/// D.5. Its value says nothing: encoders that cut a pass behind its last useful byte cut the symbol too.
void Passes::skip_segmentation_symbol(MqDecoder& mq) const noexcept {
    for (unsigned i = 0; i < 4; ++i) {
        (void)mq.decode_flat(contexts[kUniformContext]);
    }
}

namespace {

void reset_contexts(std::array<MqState, 19>& contexts) noexcept {
    contexts.fill(kMqStates[0]);
    contexts[0] = kMqStates[2 * 4];
    contexts[kRunContext] = kMqStates[2 * 3];
    contexts[kUniformContext] = kMqStates[2 * 46];
}

}  // namespace

BlockDecoder::BlockDecoder() : buffers_(std::make_unique_for_overwrite<Buffers>()) {}

void BlockDecoder::clear() noexcept {
    const std::size_t word_count = std::size_t{stripes_ + 2} * (words_ + 2);
    std::fill_n(buffers_->values.data(), std::size_t{stripes_} * words_ * 64, 0U);
    std::fill_n(buffers_->flags.data(), std::size_t{stripes_ + 2} * (width_ + 2), 0U);
    std::fill_n(buffers_->significant.data(), word_count, 0U);
    std::fill_n(buffers_->visited.data(), word_count, 0U);
    std::fill_n(buffers_->refined.data(), word_count, 0U);
}

template <unsigned kOrientation, bool kCausal>
void BlockDecoder::run(std::span<const Segment> segments, unsigned style, unsigned planes) noexcept {
    const std::size_t first = (words_ + 2) + 1;
    const Passes passes{buffers_->values.data(),
                        buffers_->flags.data() + (width_ + 2) + 1,
                        buffers_->significant.data() + first,
                        buffers_->visited.data() + first,
                        buffers_->refined.data() + first,
                        contexts_.data(),
                        static_cast<std::ptrdiff_t>(words_ + 2),
                        static_cast<std::ptrdiff_t>(width_ + 2),
                        words_,
                        stripes_,
                        width_,
                        height_,
                        kZeroContexts[kOrientation].data()};
    reset_contexts(contexts_);
    unsigned type = 2;  // the first bit-plane has a cleanup pass only
    unsigned plane = planes - 1;
    for (const Segment& segment : segments) {
        const bool raw_segment = (style & kBypass) != 0 && plane + 4 < planes && type < 2;
        MqDecoder mq;
        RawDecoder raw;
        if (raw_segment) {
            raw = RawDecoder(segment.data, segment.data + segment.bytes);
        } else {
            mq = MqDecoder(segment.data, segment.data + segment.bytes);
        }
        for (unsigned pass = 0; pass < segment.passes; ++pass) {
            if (type == 0) {
                raw_segment ? passes.significance_raw<kCausal>(raw, plane) : passes.significance<kCausal>(mq, plane);
            } else if (type == 1) {
                raw_segment ? passes.refinement_raw(raw, plane) : passes.refinement<kCausal>(mq, plane);
            } else {
                passes.cleanup<kCausal>(mq, plane);
                if ((style & kSegmentation) != 0) {
                    passes.skip_segmentation_symbol(mq);
                }
            }
            if ((style & kReset) != 0) {
                reset_contexts(contexts_);
            }
            if (++type == 3) {
                if (plane == 0) {
                    return;
                }
                type = 0;
                --plane;
            }
        }
    }
}

void BlockDecoder::decode(const BlockShape& shape, std::span<const Segment> segments) noexcept {
    width_ = shape.width;
    height_ = shape.height;
    words_ = (width_ + 15) / 16;
    stripes_ = (height_ + 3) / 4;
    clear();
    const bool causal = (shape.style & kVerticallyCausal) != 0;
    switch (shape.orientation) {
        case 1:
            causal ? run<1, true>(segments, shape.style, shape.planes)
                   : run<1, false>(segments, shape.style, shape.planes);
            return;
        case 3:
            causal ? run<2, true>(segments, shape.style, shape.planes)
                   : run<2, false>(segments, shape.style, shape.planes);
            return;
        default:
            causal ? run<0, true>(segments, shape.style, shape.planes)
                   : run<0, false>(segments, shape.style, shape.planes);
            return;
    }
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
