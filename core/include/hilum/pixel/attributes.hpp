// SPDX-License-Identifier: Apache-2.0
// What a header says about how one frame is to be shown, plain and as functional groups (PS3.3 C.7.6.16).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "hilum/pixel/render.hpp"

namespace hilum::pixel {

/// Reads `header` (an object's bytes up to its pixel data, or the whole object) for frame `frame`, from 0. What the
/// frame's own functional groups say goes before the shared ones, and these before plain attributes. Values that no
/// image can mean (a slope of 0, a window of width 0, text that is no number) count as absent. Errors: those of the
/// element reader; bad_value for look-up tables that contradict themselves.
[[nodiscard]] RenderingAttributes read_rendering_attributes(std::span<const std::byte> header, std::uint32_t frame);

}  // namespace hilum::pixel
