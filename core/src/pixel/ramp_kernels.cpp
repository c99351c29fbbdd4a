// SPDX-License-Identifier: Apache-2.0
// 16-bit containers through a ramp: scalar, AVX2 with FMA, AVX-512. All compute trunc(fma(value - low, scale, offset +
// 0.5)) in float and limit the result to what a sample holds, so that an image does not depend on the machine.
//
// The vector variants need neither `high` nor a minimum: packing saturates. Where values below `low` go does not matter
// either, since `offset` is the line's value at `low`, which is black unless nothing is below it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "hilum/cpu.hpp"
#include "hilum/pixel/voi_lut.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hilum::pixel::kernels {
namespace {

/// Vectors keep a value in the upper bits of its 16, times 2^right. Signed differences fit only where the ramp is not
/// wider than half of all values; else the sign bit is exchanged and they are unsigned ones.
enum class Difference : std::uint8_t { is_unsigned, is_signed, exchanged };

/// What has to be done until a value is in the upper bits, with zeros below. Unsigned ones that are in the lower bits
/// may stay there: `mask`.
enum class Place : std::uint8_t { there, shift, shift_and_mask, mask };

/// The constants of a ramp in that form.
struct Scaled {
    short low;
    short mask;
    float scale;
    float offset;
};

Scaled scaled(Difference kind, Place place, Extraction e, const Ramp& ramp) noexcept {
    const bool stays = place == Place::mask;
    const unsigned right = stays ? 0U : e.right;
    const auto low = static_cast<std::uint16_t>(static_cast<unsigned>(ramp.low) << right);
    const float unit = kind == Difference::is_signed ? 65536.0F : 1.0F;
    return {static_cast<short>(kind == Difference::exchanged ? low ^ 0x8000U : low),
            static_cast<short>(stays ? 0xFFFFU >> e.left : 0xFFFFU << right),
            ramp.scale / (unit * static_cast<float>(1U << right)), ramp.offset + 0.5F};
}

/// Steeper ramps could leave the 32 bits in which vectors convert.
constexpr float kSteepest = 8192.0F;

}  // namespace

namespace scalar {

template <bool Signed, typename Out>
void ramp_16(const std::byte* in, std::size_t count, Extraction e, const Ramp& ramp, Out* out) noexcept {
    constexpr auto kFull = static_cast<float>(std::numeric_limits<Out>::max());
    const float offset = ramp.offset + 0.5F;
    for (std::size_t i = 0; i < count; ++i) {
        std::uint16_t raw = 0;
        std::memcpy(&raw, in + 2 * i, sizeof(raw));
        const auto shifted = static_cast<std::uint16_t>(raw << e.left);
        const std::int32_t value = Signed ? static_cast<std::int16_t>(shifted) >> e.right : shifted >> e.right;
        const float shown = std::fma(static_cast<float>(std::max(value - ramp.low, 0)), ramp.scale, offset);
        const float limited = shown > 0.0F ? std::min(shown, kFull) : 0.0F;
        out[i] = static_cast<Out>(static_cast<Out>(limited) ^ ramp.flip);
    }
}

}  // namespace scalar

#if defined(__x86_64__)
HILUM_TARGET_BEGIN("avx2,fma")
namespace avx2 {

struct Constants {
    __m128i left;
    __m256i mask, low, exchange, zero, flip;
    __m256 scale, offset;
};

Constants constants(Difference kind, Place place, Extraction e, const Ramp& ramp) noexcept {
    const Scaled s = scaled(kind, place, e, ramp);
    return {_mm_cvtsi32_si128(e.left), _mm256_set1_epi16(s.mask),
            _mm256_set1_epi16(s.low),  _mm256_set1_epi16(static_cast<short>(0x8000)),
            _mm256_setzero_si256(),    _mm256_set1_epi16(static_cast<short>(ramp.flip)),
            _mm256_set1_ps(s.scale),   _mm256_set1_ps(s.offset)};
}

__m256i line(__m256i half, const Constants& c) noexcept {
    return _mm256_cvttps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(half), c.scale, c.offset));
}

/// Sixteen samples to two times eight results, lanes 0-3 and 8-11, then 4-7 and 12-15.
template <Difference Kind, Place P>
void results(const std::byte* in, const Constants& c, __m256i& first, __m256i& second) noexcept {
    __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
    value = P == Place::there || P == Place::mask ? value : _mm256_sll_epi16(value, c.left);
    value = P == Place::shift_and_mask || P == Place::mask ? _mm256_and_si256(value, c.mask) : value;
    if constexpr (Kind == Difference::is_signed) {  // in the upper half of 32 bits: the sign needs no step of its own
        value = _mm256_subs_epi16(value, c.low);
        first = line(_mm256_unpacklo_epi16(c.zero, value), c);
        second = line(_mm256_unpackhi_epi16(c.zero, value), c);
    } else {
        value = Kind == Difference::exchanged ? _mm256_xor_si256(value, c.exchange) : value;
        value = _mm256_subs_epu16(value, c.low);
        first = line(_mm256_unpacklo_epi16(value, c.zero), c);
        second = line(_mm256_unpackhi_epi16(value, c.zero), c);
    }
}

template <Difference Kind, Place P, bool Flips>
std::size_t run(const std::byte* in, std::size_t count, const Constants& given, std::uint8_t* out) noexcept {
    const Constants c = given;  // in registers: bytes that are written might be them
    std::size_t i = 0;
    for (; i + 32 <= count; i += 32) {
        __m256i a, b, d, e;
        results<Kind, P>(in + 2 * i, c, a, b);
        results<Kind, P>(in + 2 * i + 32, c, d, e);
        const __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(d, e));
        const __m256i ordered = _mm256_permute4x64_epi64(bytes, _MM_SHUFFLE(3, 1, 2, 0));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), Flips ? _mm256_xor_si256(ordered, c.flip) : ordered);
    }
    return i;
}

template <Difference Kind, Place P, bool Flips>
std::size_t run(const std::byte* in, std::size_t count, const Constants& given, std::uint16_t* out) noexcept {
    const Constants c = given;
    std::size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        __m256i a, b;
        results<Kind, P>(in + 2 * i, c, a, b);
        const __m256i words = _mm256_packus_epi32(a, b);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), Flips ? _mm256_xor_si256(words, c.flip) : words);
    }
    return i;
}

}  // namespace avx2
HILUM_TARGET_END
HILUM_TARGET_BEGIN("avx512f,avx512bw")
namespace avx512 {

struct Constants {
    __m128i left;
    __m512i mask, low, exchange, zero, flip, order;
    __m512 scale, offset;
};

Constants constants(Difference kind, Place place, Extraction e, const Ramp& ramp) noexcept {
    const Scaled s = scaled(kind, place, e, ramp);
    return {_mm_cvtsi32_si128(e.left),
            _mm512_set1_epi16(s.mask),
            _mm512_set1_epi16(s.low),
            _mm512_set1_epi16(static_cast<short>(0x8000)),
            _mm512_setzero_si512(),
            _mm512_set1_epi16(static_cast<short>(ramp.flip)),
            _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7),
            _mm512_set1_ps(s.scale),
            _mm512_set1_ps(s.offset)};
}

__m512i line(__m512i half, const Constants& c) noexcept {
    const __m512 value = _mm512_maskz_cvtepi32_ps(0xFFFF, half);  // unmasked, GCC 12 warns of its own header
    return _mm512_maskz_cvttps_epi32(0xFFFF, _mm512_fmadd_ps(value, c.scale, c.offset));
}

template <Difference Kind, Place P>
__m512i results(const std::byte* in, const Constants& c) noexcept {
    __m512i value = _mm512_loadu_si512(in);
    value = P == Place::there || P == Place::mask ? value : _mm512_sll_epi16(value, c.left);
    value = P == Place::shift_and_mask || P == Place::mask ? _mm512_and_si512(value, c.mask) : value;
    if constexpr (Kind == Difference::is_signed) {
        value = _mm512_subs_epi16(value, c.low);
        return _mm512_packs_epi32(line(_mm512_unpacklo_epi16(c.zero, value), c),
                                  line(_mm512_unpackhi_epi16(c.zero, value), c));
    } else {
        value = Kind == Difference::exchanged ? _mm512_xor_si512(value, c.exchange) : value;
        value = _mm512_subs_epu16(value, c.low);
        return _mm512_packs_epi32(line(_mm512_unpacklo_epi16(value, c.zero), c),
                                  line(_mm512_unpackhi_epi16(value, c.zero), c));
    }
}

template <Difference Kind, Place P, bool Flips>
std::size_t run(const std::byte* in, std::size_t count, const Constants& given, std::uint8_t* out) noexcept {
    const Constants c = given;  // in registers: bytes that are written might be them
    std::size_t i = 0;
    for (; i + 64 <= count; i += 64) {
        const __m512i bytes =
            _mm512_packus_epi16(results<Kind, P>(in + 2 * i, c), results<Kind, P>(in + 2 * i + 64, c));
        const __m512i ordered = _mm512_maskz_permutexvar_epi64(0xFF, c.order, bytes);
        _mm512_storeu_si512(out + i, Flips ? _mm512_xor_si512(ordered, c.flip) : ordered);
    }
    return i;
}

}  // namespace avx512
HILUM_TARGET_END
#endif

namespace {

template <Difference Kind, Place P, bool Flips, typename Out>
std::size_t vectors_of(const std::byte* in, std::size_t count, Extraction e, const Ramp& ramp, Out* out) noexcept {
#if defined(__x86_64__)
    const cpu::Features& features = cpu::features();
    if constexpr (sizeof(Out) == 1) {
        if (features.avx512bw) {
            return avx512::run<Kind, P, Flips>(in, count, avx512::constants(Kind, P, e, ramp), out);
        }
    }
    if (features.avx2 && features.fma) {
        return avx2::run<Kind, P, Flips>(in, count, avx2::constants(Kind, P, e, ramp), out);
    }
#endif
    return 0;
}

/// One operation less of some 25 where nothing is inverted.
template <Difference Kind, Place P, typename Out>
std::size_t vectors(const std::byte* in, std::size_t count, Extraction e, const Ramp& ramp, Out* out) noexcept {
    return ramp.flip != 0 ? vectors_of<Kind, P, true>(in, count, e, ramp, out)
                          : vectors_of<Kind, P, false>(in, count, e, ramp, out);
}

template <Difference Kind, typename Out>
std::size_t place(const std::byte* in, std::size_t count, Extraction e, const Ramp& ramp, Out* out) noexcept {
    if (e.left != e.right) {
        return vectors<Kind, Place::shift_and_mask>(in, count, e, ramp, out);
    }
    if (e.left == 0) {
        return vectors<Kind, Place::there>(in, count, e, ramp, out);
    }
    constexpr Place kPlace = Kind == Difference::is_unsigned ? Place::mask : Place::shift;
    return vectors<Kind, kPlace>(in, count, e, ramp, out);
}

template <typename Out>
void run(const std::byte* in, std::size_t count, Extraction e, const Ramp& ramp, Out* out) noexcept {
    std::size_t done = 0;
    if (ramp.scale < kSteepest) {
        if (!e.is_signed) {
            done = place<Difference::is_unsigned>(in, count, e, ramp, out);
        } else if (((ramp.high - ramp.low) << e.right) <= 0x7FFF) {
            done = place<Difference::is_signed>(in, count, e, ramp, out);
        } else {
            done = place<Difference::exchanged>(in, count, e, ramp, out);
        }
    }
    in += 2 * done;
    e.is_signed ? scalar::ramp_16<true>(in, count - done, e, ramp, out + done)
                : scalar::ramp_16<false>(in, count - done, e, ramp, out + done);
}

}  // namespace

void ramp_16(const std::byte* in, std::size_t count, Extraction extraction, const Ramp& ramp,
             std::uint8_t* out) noexcept {
    run(in, count, extraction, ramp, out);
}

void ramp_16(const std::byte* in, std::size_t count, Extraction extraction, const Ramp& ramp,
             std::uint16_t* out) noexcept {
    run(in, count, extraction, ramp, out);
}

}  // namespace hilum::pixel::kernels
