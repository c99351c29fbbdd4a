// SPDX-License-Identifier: Apache-2.0
// What the processor can do, asked once. HILUM_CPU=scalar forces the scalar twin of every kernel, HILUM_CPU=avx2 leaves
// AVX-512 unused.
#pragma once

// Functions between these two are compiled for instruction sets that the processor may lack; features() says whether
// they may run. All files of an extension are built with the same flags, and standard headers have to come before.
#define HILUM_PRAGMA(...) _Pragma(#__VA_ARGS__)
#if defined(__clang__)
#define HILUM_TARGET_BEGIN(sets) HILUM_PRAGMA(clang attribute push(__attribute__((target(sets))), apply_to = function))
#define HILUM_TARGET_END HILUM_PRAGMA(clang attribute pop)
#else
#define HILUM_TARGET_BEGIN(sets) HILUM_PRAGMA(GCC push_options) HILUM_PRAGMA(GCC target(sets))
#define HILUM_TARGET_END HILUM_PRAGMA(GCC pop_options)
#endif

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
