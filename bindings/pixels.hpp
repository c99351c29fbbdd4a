// SPDX-License-Identifier: Apache-2.0
// The pixel description and the fragments of a frame, from Python's tuple and buffers.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "convert.hpp"
#include "hilum/codec/codec.hpp"

namespace hilum::bindings {

/// (rows, columns, samples_per_pixel, planar_configuration, bits_allocated, bits_stored, high_bit,
/// pixel_representation, photometric_interpretation, number_of_frames, keyword), the order of
/// hilum.types.PixelDescription.
[[nodiscard]] codec::PixelDescription to_description(const py::object& fields);

/// One buffer or a list/tuple of buffers. Create with the GIL; `spans()` may be used without it.
class Fragments {
public:
    explicit Fragments(const py::object& source);
    [[nodiscard]] std::span<const std::span<const std::byte>> spans() const noexcept { return spans_; }

private:
    std::vector<std::unique_ptr<BufferView>> views_;
    std::vector<std::span<const std::byte>> spans_;
};

}  // namespace hilum::bindings
