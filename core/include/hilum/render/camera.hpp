// SPDX-License-Identifier: Apache-2.0
// Where rays begin and where they go.
#pragma once

#include <cstdint>
#include <span>

#include "hilum/render/reslice.hpp"
#include "hilum/volume/brick_view.hpp"

namespace hilum::render {

/// A view. The image plane is right x down; the ray of pixel (column c, row r) passes through
/// origin + c * right + r * down: along `direction` when orthographic, from `eye` when in perspective.
struct Camera {
    Vec3 origin{};     ///< centre of the upper left pixel
    Vec3 right{};      ///< mm per column
    Vec3 down{};       ///< mm per row
    Vec3 direction{};  ///< unit vector into the image; in perspective the axis of the view
    Vec3 eye{};        ///< of perspective
    bool perspective = false;
    double step = 1.0;  ///< mm between two samples of a ray
};

/// Points with normal . point >= offset are shown.
struct ClipPlane {
    Vec3 normal{};
    double offset = 0.0;
};

/// Samples of all rays: sample k lies first + k * step mm from the image plane (orthographic) or the eye.
struct DepthRange {
    double first = 0.0;
    std::uint32_t samples = 0;
};

/// The samples that a whole volume needs: `first` is a multiple of the step. Errors: invalid_argument for a camera
/// that is none (not finite, no step, no direction), limit_exceeded above limits::kMaxRaySamples.
[[nodiscard]] DepthRange depth_range(const volume::BrickView& view, const Camera& camera);

struct ImageSize {
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
};

}  // namespace hilum::render
