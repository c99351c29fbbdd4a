// SPDX-License-Identifier: Apache-2.0
// The 256 cases of marching cubes, made from one rule instead of a list of numbers.
#pragma once

#include <array>
#include <cstdint>

namespace hilum::mesh {

/// Corner c of a cell is at x = c & 1, y = c >> 1 & 1, z = c >> 2. Edge 4 * axis + n runs along `axis`; n counts the
/// other two axes, the lower one first.
struct Case {
    std::uint8_t triangles = 0;
    std::array<std::uint8_t, 24> edges{};  ///< three of each triangle, counter-clockwise seen from outside
};

/// By which corners are inside: bit c of the index.
[[nodiscard]] const std::array<Case, 256>& cases() noexcept;

}  // namespace hilum::mesh
