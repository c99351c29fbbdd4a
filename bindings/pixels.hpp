// SPDX-License-Identifier: Apache-2.0
// The pixel description and the fragments of a frame, from Python's tuple and buffers.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convert.hpp"
#include "hilum/codec/codec.hpp"
#include "hilum/codec/registry.hpp"
#include "hilum/pack/frames.hpp"
#include "hilum/pixel/render.hpp"

namespace hilum::bindings {

/// (rows, columns, samples_per_pixel, planar_configuration, bits_allocated, bits_stored, high_bit,
/// pixel_representation, photometric_interpretation, number_of_frames, keyword), the order of
/// hilum.types.PixelDescription.
[[nodiscard]] codec::PixelDescription to_description(const py::object& fields);

// Arguments beside buffers are taken as py::object and converted here: pybind11's own type errors print every argument,
// and with it the pixels of patients.
[[nodiscard]] std::string to_text(const py::object& value, const char* name);
[[nodiscard]] std::uint32_t to_number(const py::object& value, const char* name);
[[nodiscard]] std::uint64_t to_long_number(const py::object& value, const char* name);
/// Throws unless it is a tuple of `size` fields.
[[nodiscard]] py::tuple to_tuple(const py::handle& value, std::size_t size, const char* name);
[[nodiscard]] double to_real(const py::object& value, const char* name);
[[nodiscard]] bool to_bool(const py::object& value);
[[nodiscard]] const pixel::RenderingAttributes& to_attributes(const py::object& value);
[[nodiscard]] const char* name_of(pixel::VoiFunction function) noexcept;
/// The fields of hilum.pixels.settings.RenderSettings, checked.
[[nodiscard]] pixel::RenderRequest to_request(const py::object& settings);
[[nodiscard]] const pixel::RenderRequest& as_request(const py::object& value);

/// One buffer or a list/tuple of buffers. Create with the GIL; `spans()` may be used without it.
class Fragments {
public:
    explicit Fragments(const py::object& source);
    [[nodiscard]] std::span<const std::span<const std::byte>> spans() const noexcept { return spans_; }

private:
    std::vector<std::unique_ptr<BufferView>> views_;
    std::vector<std::span<const std::byte>> spans_;
};

/// A frame and what is needed to decode it.
struct FrameArguments {
    FrameArguments(const py::object& data, const py::object& transfer_syntax_uid, const py::object& pixels,
                   const py::object& frame_bit_offset)
        : description(to_description(pixels)),
          syntax(codec::require_syntax(to_text(transfer_syntax_uid, "transfer_syntax_uid"))),
          bit_offset(to_number(frame_bit_offset, "frame_bit_offset")),
          fragments(data) {}

    [[nodiscard]] codec::StoredFrame frame() const noexcept { return {fragments.spans(), bit_offset}; }

    codec::PixelDescription description;
    const codec::Syntax& syntax;
    unsigned bit_offset;
    Fragments fragments;
};

/// Objects in packs: an iterable of (pack, offset, length, frame table, transfer syntax UID, pixels). Create with the
/// GIL; `all()` may be used without it.
class StoredObjects {
public:
    explicit StoredObjects(const py::object& objects);
    [[nodiscard]] std::span<const pack::StoredObject> all() const noexcept { return objects_; }

private:
    std::deque<BufferView> tables_;
    std::vector<pack::StoredObject> objects_;
};

}  // namespace hilum::bindings
