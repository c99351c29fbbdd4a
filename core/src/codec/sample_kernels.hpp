// SPDX-License-Identifier: Apache-2.0
// Moving samples about: planes to pixels, bytes to samples, bits to bytes. Each has a scalar twin, which
// HILUM_CPU=scalar forces, and gives the same bytes.
#pragma once

#include <cstddef>

namespace hilum::codec {

struct SampleKernels {
    const char* name;
    /// Three planes of bytes to interleaved bytes.
    void (*interleave_3)(const std::byte* first, const std::byte* second, const std::byte* third, std::size_t pixels,
                         std::byte* out) noexcept;
    /// The same of 16-bit samples; `pixels` of them.
    void (*interleave_3_words)(const std::byte* first, const std::byte* second, const std::byte* third,
                               std::size_t pixels, std::byte* out) noexcept;
    /// Y1 Y2 CB CR for each two pixels of bytes to Y1 CB CR Y2 CB CR.
    void (*expand_422)(const std::byte* in, std::size_t pairs, std::byte* out) noexcept;
    /// A plane of high and one of low bytes to little endian 16-bit samples.
    void (*merge_2)(const std::byte* high, const std::byte* low, std::size_t pixels, std::byte* out) noexcept;
    /// Bits, lowest first, to bytes 0 and 1; eight for each byte of `packed`.
    void (*expand_bits)(const std::byte* packed, std::size_t bytes, std::byte* out) noexcept;
    /// Packed 12-bit samples, lowest bits first, to 16-bit ones; two for each three bytes of `packed`.
    void (*expand_12)(const std::byte* packed, std::size_t pairs, std::byte* out) noexcept;
    /// Copies 16-bit words with their bytes exchanged.
    void (*swap_16)(const std::byte* in, std::size_t words, std::byte* out) noexcept;
    /// The same with 32-bit words.
    void (*swap_32)(const std::byte* in, std::size_t words, std::byte* out) noexcept;
    /// 16-bit words, in place: shifted left, then right; the latter repeats the sign if `is_signed`.
    void (*shift_16)(std::byte* samples, std::size_t words, bool is_signed, unsigned left, unsigned right) noexcept;
};

extern const SampleKernels kScalarSamples;

/// The best for this processor.
[[nodiscard]] const SampleKernels& sample_kernels() noexcept;

}  // namespace hilum::codec
