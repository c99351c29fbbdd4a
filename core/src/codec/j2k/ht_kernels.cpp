// SPDX-License-Identifier: Apache-2.0
// MagSgn of HT code-blocks (ISO/IEC 15444-15, 7.3.2 and 7.3.7) and the way out of the buffers: scalar and AVX2.
#include <algorithm>
#include <bit>
#include <cstring>

#include "hilum/cpu.hpp"
#include "ht_block.hpp"
#include "ht_streams.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hilum::codec::j2k::ht {
namespace {

constexpr std::uint32_t kSign = 0x80000000U;

/// Behind the last byte all bits are ones. True where the next `end` bits are there, or now are.
void fill_up_to(MagSgnJob& job, std::size_t end) noexcept {
    if (end > job.bits) {
        const std::size_t from = job.bits / 8 + 1;  // finish() wrote the ones of the byte that was begun
        const std::size_t to = std::min(end / 8 + 32, job.b.magsgn.size());
        if (to > from) {
            std::memset(job.b.magsgn.data() + from, 0xFF, to - from);
            job.bits = 8 * (to - 32);
        }
    }
}

namespace scalar {

/// U of each quad in place of u, and where its bits begin; `place` goes behind them. False where a U is too great.
bool prepare(MagSgnJob& job, std::uint32_t* quads, bool first_row, std::size_t& place) noexcept {
    const std::uint32_t* const lower = job.b.lower.data();
    for (unsigned i = 0; i < 2 * job.grid.pairs; ++i) {
        const std::uint32_t quad = quads[i];
        const unsigned rho = quad >> 4U & 15U;
        unsigned bound = quad >> 16U;
        if (!first_row) {
            unsigned kappa = 1;
            if ((rho & (rho - 1)) != 0) {
                const std::uint32_t* const e = lower + std::size_t{2} * i;
                kappa =
                    static_cast<unsigned>(std::max(2, static_cast<int>(std::bit_width(e[0] | e[1] | e[2] | e[3])))) - 1;
            }
            bound += kappa;
        }
        if (bound > job.most_exponent) {
            return false;
        }
        quads[i] = (quad & 0xFFFFU) | bound << 16U;
        job.b.places[i] = static_cast<std::uint32_t>(place);
        const int known = std::popcount(quad >> 12U & 15U);
        place += static_cast<unsigned>(std::popcount(rho)) * bound - static_cast<unsigned>(known);
    }
    return true;
}

void magnitudes(MagSgnJob& job, const std::uint32_t* quads, std::uint32_t* top, std::uint32_t* bottom) noexcept {
    const std::byte* const data = job.b.magsgn.data();
    std::uint32_t* const lower = job.b.lower.data() + 1;
    for (unsigned i = 0; i < 2 * job.grid.pairs; ++i) {
        const std::uint32_t quad = quads[i];
        const unsigned bound = quad >> 16U;
        std::size_t at = job.b.places[i];
        for (unsigned s = 0; s < 4; ++s) {
            std::uint32_t value = 0;
            std::uint32_t exponent = 0;
            if ((quad >> (4 + s) & 1U) != 0) {
                const unsigned bits = bound - (quad >> (12 + s) & 1U);
                std::uint64_t code = (load64(data + at / 8) >> (at % 8)) & ((std::uint64_t{1} << bits) - 1);
                code |= std::uint64_t{quad >> (8 + s) & 1U} << (bound - 1);
                at += bits;
                const auto v = static_cast<std::uint32_t>(code);
                exponent = v | 1U;
                value = (exponent + 2) << job.plane | v << 31U;
            }
            const std::size_t x = std::size_t{2} * i + s / 2;
            std::uint32_t* const row = s % 2 == 0 ? top : bottom;
            row[x] = value;
            if (s % 2 != 0) {
                lower[x] = exponent;
            }
        }
    }
}

/// As they are wanted: bits of an integer, rounded to zero, or of a float.
std::uint32_t wanted(std::uint32_t value, float step) noexcept {
    const auto magnitude = static_cast<std::int32_t>(value & ~kSign);
    const bool negative = (value & kSign) != 0;
    if (step == 0) {
        const std::int32_t whole = magnitude >> 1;
        return static_cast<std::uint32_t>(negative ? -whole : whole);
    }
    return std::bit_cast<std::uint32_t>(static_cast<float>(negative ? -magnitude : magnitude) * step);
}

void convert(const std::uint32_t* row, unsigned count, std::uint32_t* out, float step) noexcept {
    std::transform(row, row + count, out, [step](std::uint32_t v) { return wanted(v, step); });
}

template <typename Convert>
void store_rows(const MagSgnJob& job, Convert convert_row) noexcept {
    for (std::size_t y = 0; y < job.grid.height; ++y) {
        convert_row(job.b.values.data() + y * job.grid.stride, job.grid.width, job.out + y * job.stride, job.step);
    }
}

}  // namespace scalar

/// Both rows of each row of quads: where they go, and a spare one for what is below the block.
template <typename Prepare, typename Magnitudes>
bool run(MagSgnJob& job, Prepare prepare, Magnitudes magnitudes) noexcept {
    std::size_t place = 0;
    std::fill_n(job.b.lower.data() + 1 + std::size_t{4} * job.grid.pairs, 16, 0U);  // of a block before
    std::uint32_t* const out = job.out != nullptr ? job.out : job.b.values.data();
    const std::size_t stride = job.out != nullptr ? job.stride : job.grid.stride;
    for (unsigned y = 0; y < job.grid.rows; ++y) {
        std::uint32_t* const quads = job.b.quads.data() + std::size_t{y} * job.grid.quad_stride;
        if (!prepare(job, quads, y == 0, place)) {
            return false;
        }
        fill_up_to(job, place);
        std::uint32_t* const top = out + std::size_t{2} * y * stride;
        const bool below = job.out != nullptr && 2 * y + 1 == job.grid.height;
        magnitudes(job, quads, top, below ? job.b.values.data() : top + stride);
    }
    return true;
}

bool scalar_magsgn(MagSgnJob& job) noexcept {
    return run(job, &scalar::prepare, [](MagSgnJob& j, const std::uint32_t* quads, auto* top, auto* bottom) {
        scalar::magnitudes(j, quads, top, bottom);
        if (j.out != nullptr) {
            scalar::convert(top, j.grid.width, top, j.step);
            scalar::convert(bottom, j.grid.width, bottom, j.step);
        }
    });
}

void scalar_store(const MagSgnJob& job) noexcept {
    scalar::store_rows(job, &scalar::convert);
}

#if defined(__x86_64__)
HILUM_TARGET_BEGIN("avx2")
namespace avx2 {

constexpr unsigned kMostBits = 25;  // that four bytes hold at any bit

__m256i load(const std::uint32_t* from) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

/// For each of eight quads the greatest exponent, less one, of what is above it: of columns 2i - 1 to 2i + 2.
__m256i exponents(const std::uint32_t* lower) noexcept {
    __m256i a = _mm256_or_si256(load(lower), load(lower + 2));
    __m256i b = _mm256_or_si256(load(lower + 8), load(lower + 10));
    a = _mm256_or_si256(a, _mm256_srli_epi64(a, 32));
    b = _mm256_or_si256(b, _mm256_srli_epi64(b, 32));
    __m256i v = _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));
    v = _mm256_permute4x64_epi64(v, 0xD8);
    v = _mm256_andnot_si256(_mm256_srli_epi32(v, 8), v);  // not rounded up to the next power of two
    v = _mm256_srli_epi32(_mm256_castps_si256(_mm256_cvtepi32_ps(v)), 23);
    return _mm256_sub_epi32(v, _mm256_set1_epi32(127));
}

bool prepare(MagSgnJob& job, std::uint32_t* quads, bool first_row, std::size_t& place) noexcept {
    const __m256i ones = _mm256_set1_epi32(1);
    const __m256i most = _mm256_set1_epi32(static_cast<int>(job.most_exponent));
    const __m256i counts = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i nibble = _mm256_set1_epi32(15);
    __m256i carry = _mm256_set1_epi32(static_cast<int>(place));
    __m256i bad = _mm256_setzero_si256();
    for (unsigned i = 0; i < 2 * job.grid.pairs; i += 8) {
        auto* const at = reinterpret_cast<__m256i*>(quads + i);
        const __m256i quad = _mm256_loadu_si256(at);
        const __m256i rho = _mm256_and_si256(_mm256_srli_epi32(quad, 4), nibble);
        __m256i bound = _mm256_srli_epi32(quad, 16);
        if (!first_row) {
            const __m256i several = _mm256_and_si256(rho, _mm256_sub_epi32(rho, ones));
            const __m256i one_only = _mm256_cmpeq_epi32(several, _mm256_setzero_si256());
            const __m256i above = exponents(job.b.lower.data() + std::size_t{2} * i);
            bound = _mm256_add_epi32(bound, _mm256_max_epi32(_mm256_andnot_si256(one_only, above), ones));
        }
        bad = _mm256_or_si256(bad, _mm256_cmpgt_epi32(bound, most));
        _mm256_storeu_si256(at, _mm256_blend_epi16(quad, _mm256_slli_epi32(bound, 16), 0xAA));
        const __m256i known = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi32(quad, 12), nibble));
        const __m256i total = _mm256_sub_epi32(_mm256_mullo_epi16(_mm256_shuffle_epi8(counts, rho), bound), known);
        __m256i sum = _mm256_add_epi32(total, _mm256_slli_si256(total, 4));
        sum = _mm256_add_epi32(sum, _mm256_slli_si256(sum, 8));
        const __m256i low = _mm256_permutevar8x32_epi32(sum, _mm256_set1_epi32(3));
        sum = _mm256_add_epi32(sum, _mm256_blend_epi32(_mm256_setzero_si256(), low, 0xF0));
        sum = _mm256_add_epi32(sum, carry);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(job.b.places.data() + i), _mm256_sub_epi32(sum, total));
        carry = _mm256_permutevar8x32_epi32(sum, _mm256_set1_epi32(7));
    }
    place = static_cast<std::uint32_t>(_mm256_cvtsi256_si32(carry));
    return _mm256_testz_si256(bad, bad) != 0;
}

enum class Out { half_units, integers, floats };

/// Sign in the lowest bit of `code`, magnitude without the half at the end.
template <Out kOut>
__m256i wanted(__m256i code, __m256i odd, __m256i empty, __m128i plane, __m256 step) noexcept {
    __m256i value = _mm256_sll_epi32(_mm256_add_epi32(odd, _mm256_set1_epi32(2)), plane);
    const __m256i sign = _mm256_slli_epi32(code, 31);
    if constexpr (kOut == Out::half_units) {
        return _mm256_andnot_si256(empty, _mm256_or_si256(value, sign));
    }
    const __m256i factor = _mm256_andnot_si256(empty, _mm256_or_si256(sign, _mm256_set1_epi32(1)));  // -1, 0, 1
    if constexpr (kOut == Out::integers) {
        return _mm256_sign_epi32(_mm256_srli_epi32(value, 1), factor);
    }
    return _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sign_epi32(value, factor)), step));
}

/// Two quads at once, one in each half: samples 0 to 3 down, then right.
template <Out kOut>
void magnitudes(MagSgnJob& job, const std::uint32_t* quads, std::uint32_t* top, std::uint32_t* bottom) noexcept {
    const __m256 step = _mm256_set1_ps(job.step);
    const std::byte* const data = job.b.magsgn.data();
    const std::uint32_t* const places = job.b.places.data();
    std::uint32_t* const lower = job.b.lower.data() + 1;
    const __m256i zero = _mm256_setzero_si256();
    const __m256i ones = _mm256_set1_epi32(1);
    const __m256i spread = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const __m256i rows = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    const __m256i own = _mm256_setr_epi32(0x1110, 0x2220, 0x4440, 0x8880, 0x1110, 0x2220, 0x4440, 0x8880);
    const __m256i align = _mm256_setr_epi32(3, 2, 1, 0, 3, 2, 1, 0);
    const __m256i first_byte =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
    const __m256i next_bytes = _mm256_set1_epi32(0x03020100);
    const __m128i plane = _mm_cvtsi32_si128(static_cast<int>(job.plane));
    for (unsigned i = 0; i < 2 * job.grid.pairs; i += 2) {
        const __m128i two = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(quads + i));
        const __m256i quad = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(two), spread);
        // e_k in bit 15, e_1 in bit 11, rho in bit 7
        __m256i flags = _mm256_and_si256(quad, own);
        const __m256i empty = _mm256_cmpeq_epi32(flags, zero);
        flags = _mm256_sllv_epi32(flags, align);
        const __m256i bound = _mm256_srli_epi32(quad, 16);
        const __m256i known = _mm256_srli_epi32(flags, 15);
        const __m256i bits = _mm256_andnot_si256(empty, _mm256_sub_epi32(bound, known));
        __m256i behind = _mm256_add_epi32(bits, _mm256_slli_si256(bits, 4));
        behind = _mm256_add_epi32(behind, _mm256_slli_si256(behind, 8));

        const __m128i place = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(places + i));
        __m256i from = _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(place), spread);
        from = _mm256_and_si256(from, _mm256_set1_epi32(7));
        from = _mm256_add_epi32(from, _mm256_sub_epi32(behind, bits));
        const auto* const left = reinterpret_cast<const __m128i*>(data + places[i] / 8);
        const auto* const right = reinterpret_cast<const __m128i*>(data + places[i + 1] / 8);
        const __m256i both =
            _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(left)), _mm_loadu_si128(right), 1);
        const __m256i bytes = _mm256_add_epi32(_mm256_shuffle_epi8(_mm256_srli_epi32(from, 3), first_byte), next_bytes);
        __m256i code = _mm256_shuffle_epi8(both, bytes);
        code = _mm256_srlv_epi32(code, _mm256_and_si256(from, _mm256_set1_epi32(7)));

        const __m256i unit =
            _mm256_sllv_epi32(_mm256_sub_epi32(_mm256_set1_epi32(2), known), _mm256_sub_epi32(bound, ones));
        code = _mm256_and_si256(code, _mm256_sub_epi32(unit, ones));
        const __m256i no_e1 = _mm256_cmpeq_epi32(_mm256_and_si256(flags, _mm256_set1_epi32(0x800)), zero);
        code = _mm256_or_si256(code, _mm256_andnot_si256(no_e1, unit));
        const __m256i odd = _mm256_or_si256(code, ones);
        const __m256i value = _mm256_permutevar8x32_epi32(wanted<kOut>(code, odd, empty, plane, step), rows);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(top + std::size_t{2} * i), _mm256_castsi256_si128(value));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(bottom + std::size_t{2} * i), _mm256_extracti128_si256(value, 1));
        const __m256i exponent = _mm256_permutevar8x32_epi32(_mm256_andnot_si256(empty, odd), rows);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(lower + std::size_t{2} * i), _mm256_extracti128_si256(exponent, 1));
    }
}

bool magsgn(MagSgnJob& job) noexcept {
    if (job.most_exponent > kMostBits) {
        return scalar_magsgn(job);
    }
    if (job.out == nullptr) {
        return run(job, &prepare, &magnitudes<Out::half_units>);
    }
    return job.step == 0 ? run(job, &prepare, &magnitudes<Out::integers>)
                         : run(job, &prepare, &magnitudes<Out::floats>);
}

void convert(const std::uint32_t* row, unsigned count, std::uint32_t* out, float step) noexcept {
    const __m256 factor = _mm256_set1_ps(step);
    const __m256i magnitudes = _mm256_set1_epi32(0x7FFFFFFF);
    unsigned x = 0;
    for (; x + 8 <= count; x += 8) {
        const __m256i value = load(row + x);
        const __m256i sign = _mm256_or_si256(value, _mm256_set1_epi32(1));
        __m256i out_value = _mm256_and_si256(value, magnitudes);
        if (step == 0) {
            out_value = _mm256_sign_epi32(_mm256_srli_epi32(out_value, 1), sign);
        } else {
            const __m256 number = _mm256_cvtepi32_ps(_mm256_sign_epi32(out_value, sign));
            out_value = _mm256_castps_si256(_mm256_mul_ps(number, factor));
        }
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + x), out_value);
    }
    scalar::convert(row + x, count - x, out + x, step);
}

void store(const MagSgnJob& job) noexcept {
    scalar::store_rows(job, &convert);
}

}  // namespace avx2
HILUM_TARGET_END

constexpr Kernels kAvx2{&avx2::magsgn, &avx2::store};
#endif

}  // namespace

const Kernels kScalarKernels{&scalar_magsgn, &scalar_store};

const Kernels& kernels() noexcept {
#if defined(__x86_64__)
    if (cpu::features().avx2) {
        return kAvx2;
    }
#endif
    return kScalarKernels;
}

}  // namespace hilum::codec::j2k::ht
