// SPDX-License-Identifier: Apache-2.0
// What the processor can do, asked once. HILUM_CPU=scalar forces the scalar twin of every kernel.
#pragma once

namespace hilum::cpu {

struct Features {
    bool sse42 = false;
    bool avx2 = false;
    bool sha = false;
};

/// Thread-safe; reads the environment at the first call only.
[[nodiscard]] const Features& features() noexcept;

}  // namespace hilum::cpu
