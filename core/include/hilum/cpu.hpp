// SPDX-License-Identifier: Apache-2.0
// What the processor can do, asked once. HILUM_CPU=scalar forces the scalar twin of every kernel, HILUM_CPU=avx2 leaves
// AVX-512 unused.
#pragma once

namespace hilum::cpu {

struct Features {
    bool sse42 = false;
    bool avx2 = false;
    bool fma = false;
    bool bmi2 = false;  ///< with BMI and LZCNT
    bool avx512bw = false;
    bool sha = false;
};

/// Thread-safe; reads the environment at the first call only.
[[nodiscard]] const Features& features() noexcept;

}  // namespace hilum::cpu
