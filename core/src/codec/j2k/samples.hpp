// SPDX-License-Identifier: Apache-2.0
// Rows of reconstructed components to stored samples: inverse component transform (ISO/IEC 15444-1 Annex G), level
// shift, rounding, clamping.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "codestream.hpp"

namespace hilum::codec::j2k {

/// Three rows of `n` at `out`, one after the other. G.2 for integers, G.3 for floats.
void undo_rct(const std::array<const std::int32_t*, 3>& rows, std::size_t n, std::int32_t* out) noexcept;
void undo_ict(const std::array<const float*, 3>& rows, std::size_t n, float* out) noexcept;

/// Three rows of one precision to interleaved bytes.
void store_pixels(const std::array<const std::int32_t*, 3>& rows, std::size_t n, const Component& component,
                  std::byte* out) noexcept;

/// One component's row into every `step`-th sample of `container` bytes at `out`.
void store_row(const std::int32_t* row, std::size_t n, const Component& component, unsigned container, unsigned step,
               std::byte* out) noexcept;
void store_row(const float* row, std::size_t n, const Component& component, unsigned container, unsigned step,
               std::byte* out) noexcept;

}  // namespace hilum::codec::j2k
