// SPDX-License-Identifier: Apache-2.0
// Rows of reconstructed components to stored samples: inverse component transform (ISO/IEC 15444-1 Annex G), level
// shift, rounding, clamping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "codestream.hpp"

namespace hilum::codec::j2k {

/// In place on three rows. G.2 for integers, G.3 for floats.
void undo_rct(std::int32_t* y, std::int32_t* u, std::int32_t* v, std::size_t n) noexcept;
void undo_ict(float* y, float* u, float* v, std::size_t n) noexcept;

/// One component's row into every `step`-th sample of `container` bytes at `out`.
void store_row(const std::int32_t* row, std::size_t n, const Component& component, unsigned container, unsigned step,
               std::byte* out) noexcept;
void store_row(const float* row, std::size_t n, const Component& component, unsigned container, unsigned step,
               std::byte* out) noexcept;

}  // namespace hilum::codec::j2k
