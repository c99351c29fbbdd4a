// SPDX-License-Identifier: Apache-2.0
// Transfer functions and light as tables.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "grid.hpp"
#include "hilum/render/raycast.hpp"

namespace hilum::render {

inline constexpr float kMostColour = 1023.0F;  ///< of a part of a colour in the table

/// Colour and opacity of stored values: entry index = value * scale + offset, limited to the table and rounded.
struct TransferTable {
    static constexpr std::int32_t kEntries = 4096;

    TransferTable(const volume::BrickView& view, const TransferFunction& function, double step);

    float scale = 0.0F;
    float offset = 0.0F;
    std::vector<float> opacity;         ///< of one step
    std::vector<std::uint32_t> colour;  ///< red << 20 | green << 10 | blue, 10 bits each

    [[nodiscard]] std::size_t entry(float value) const noexcept {
        const float place = value * scale + offset;
        return static_cast<std::size_t>(std::min(place > 0.0F ? place : 0.0F, static_cast<float>(kEntries - 1)) + 0.5F);
    }
    /// Whether values from `least` to `greatest` may be visible.
    [[nodiscard]] bool may_show(float least, float greatest) const noexcept;
    /// 1 for every cell whose values may be visible.
    [[nodiscard]] std::vector<std::uint8_t> active(const CellGrid& cells) const;

private:
    std::vector<std::int32_t> visible_before_;  ///< how many entries before this one have an opacity
};

/// Light from the viewer on the surface whose normal is the gradient, in terms of voxels.
struct Light {
    static constexpr std::int32_t kEntries = 1024;

    Light(const Grid& grid, const Shading& shading);

    /// Unit vector to the viewer such that its product with a voxel gradient is that of the normal in mm.
    [[nodiscard]] std::array<float, 3> toward(const Grid& grid, const Vec3& step) const noexcept;

    float ambient;
    float diffuse;
    std::array<float, 6> metric;        ///< |gradient in mm|² = g' M g: xx, yy, zz, 2xy, 2xz, 2yz
    std::array<float, kEntries> gloss;  ///< specular light by the cosine
};

}  // namespace hilum::render
