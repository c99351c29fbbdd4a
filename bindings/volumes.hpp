// SPDX-License-Identifier: Apache-2.0
// What bindings of volumes have in common: layouts and sample types from Python.
#pragma once

#include <array>
#include <span>
#include <string>

#include "convert.hpp"
#include "hilum/volume/bricks.hpp"

namespace hilum::bindings {

/// The name of numpy's dtype: "int16".
[[nodiscard]] SampleType to_sample_type(const py::object& name);
[[nodiscard]] const char* name_of(SampleType type) noexcept;
/// A tuple of three ints: z, y, x.
[[nodiscard]] std::array<std::uint32_t, 3> to_extent(const py::object& value, const char* name);
/// (shape, dtype, fill, slope, intercept, affine): shape (z, y, x), affine 16 numbers, row by row.
[[nodiscard]] volume::Layout to_layout(const py::object& fields);

/// float32 (bz, by, bx, 2) as bytes.
[[nodiscard]] py::bytes to_bytes(std::span<const volume::BrickRange> ranges);

}  // namespace hilum::bindings
