// SPDX-License-Identifier: Apache-2.0
// Modality values to display values 0-255 (PS3.3 C.11.2), and the kernels that do it for whole rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hilum/image_view.hpp"
#include "hilum/pixel/modality_lut.hpp"

namespace hilum::pixel {

/// VOI LUT Function (0028,1056).
enum class VoiFunction : std::uint8_t { linear, linear_exact, sigmoid };

struct Window {
    double center = 0.0;
    double width = 1.0;
    VoiFunction function = VoiFunction::linear;
};

/// PS3.3 C.11.2.1.2: width at least 1 for LINEAR, above 0 for the others; both finite.
[[nodiscard]] bool is_valid(const Window& window) noexcept;

/// The window's output for a modality value, 0.0 to `full`, not rounded.
[[nodiscard]] double apply(const Window& window, double value, double full = 255.0) noexcept;

/// Where a container keeps the stored value: shift left, then right (arithmetic when signed).
struct Extraction {
    std::uint8_t left = 0;
    std::uint8_t right = 0;
    bool is_signed = false;
};

/// Integers of up to 16 bits to 0-255 or 0-65535: clamp to [low, high], subtract low, multiply, add, round,
/// exclusive-or.
/// A linear window on rescaled values is always of this form, which needs no table.
struct Ramp {
    std::int32_t low = 0;
    std::int32_t high = 0;
    float scale = 0.0F;
    float offset = 0.0F;
    std::uint16_t flip = 0;  ///< all ones inverts
};

/// The ramp for `window` on rescaled integers in [minimum, maximum]. The window is linear or linear_exact and valid;
/// `full` is 255 or 65535.
[[nodiscard]] Ramp make_ramp(const Window& window, const Rescale& rescale, std::int32_t minimum, std::int32_t maximum,
                             bool invert, double full = 255.0) noexcept;

struct Range {
    double minimum = 0.0;
    double maximum = 0.0;
    bool empty = true;
};

/// Row kernels. `in` is little endian, unaligned; `count` samples. All variants give the same bytes.
namespace kernels {
/// 16-bit containers through a ramp.
void ramp_16(const std::byte* in, std::size_t count, Extraction extraction, const Ramp& ramp,
             std::uint8_t* out) noexcept;
void ramp_16(const std::byte* in, std::size_t count, Extraction extraction, const Ramp& ramp,
             std::uint16_t* out) noexcept;
/// 16-bit containers through a table with an entry for each extracted bit pattern (table size is a power of two).
void table_16(const std::byte* in, std::size_t count, Extraction extraction, const std::uint8_t* table,
              std::uint8_t* out) noexcept;
void table_16(const std::byte* in, std::size_t count, Extraction extraction, const std::uint16_t* table,
              std::uint16_t* out) noexcept;
/// Resampled values through a ramp.
void ramp_float(const float* in, std::size_t count, const Ramp& ramp, std::uint8_t* out) noexcept;
void ramp_float(const float* in, std::size_t count, const Ramp& ramp, std::uint16_t* out) noexcept;
/// Least and greatest extracted value of 16-bit containers, as int32.
void range_16(const std::byte* in, std::size_t count, Extraction extraction, std::int32_t& low,
              std::int32_t& high) noexcept;
}  // namespace kernels

}  // namespace hilum::pixel
