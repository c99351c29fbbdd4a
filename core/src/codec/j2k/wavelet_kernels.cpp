// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hilum/cpu.hpp"
#include "wavelet.hpp"

namespace hilum::codec::j2k {
namespace {

// Damaged data may overflow: sums wrap.
constexpr std::uint32_t bits(std::int32_t value) noexcept {
    return static_cast<std::uint32_t>(value);
}
constexpr std::int32_t wrap(std::uint32_t value) noexcept {
    return static_cast<std::int32_t>(value);
}

namespace scalar {
#include "wavelet_kernels.inc"
}  // namespace scalar

constexpr WaveletKernels kScalar{&scalar::horizontal53, &scalar::horizontal97, &scalar::update53, &scalar::predict53,
                                 &scalar::lift97};

#if defined(__x86_64__)
// without fma: OpenJPEG rounds products, and so do we
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace avx2 {
#include "wavelet_kernels.inc"
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

constexpr WaveletKernels kAvx2{&avx2::horizontal53, &avx2::horizontal97, &avx2::update53, &avx2::predict53,
                               &avx2::lift97};
#endif

}  // namespace

const WaveletKernels& wavelet_kernels() noexcept {
#if defined(__x86_64__)
    if (cpu::features().avx2) {
        return kAvx2;
    }
#endif
    return kScalar;
}

}  // namespace hilum::codec::j2k
