// SPDX-License-Identifier: Apache-2.0
// Overlay planes (PS3.3 C.9.2) and display shutters (C.7.6.11, C.7.6.15) as a header has them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "hilum/dicom/element.hpp"
#include "hilum/pixel/render.hpp"

namespace hilum::pixel {

/// Collects elements, then makes sense of them together. Borrows the header.
class Graphics {
public:
    /// False when the element is none of theirs.
    bool read_overlay(const dicom::Element& element);
    bool read_shutter(const dicom::Element& element);
    /// A functional group speaks of shutters: what was read before does not hold for this frame.
    void forget_shutter() { shutter_ = {}; }

    /// Overlays of `frame` (from 0) and the shutter; what contradicts itself becomes a defect.
    void put(std::uint32_t frame, RenderingAttributes& attributes) const;

private:
    struct RawOverlay {
        std::uint32_t rows = 0;
        std::uint32_t columns = 0;
        std::optional<double> frames;
        std::optional<std::uint32_t> first_frame;
        std::int32_t row = 1;
        std::int32_t column = 1;
        std::uint32_t bits_allocated = 1;
        std::uint32_t bit_position = 0;
        bool is_roi = false;
        bool swapped = false;
        std::span<const std::byte> data;
    };
    struct RawShutter {
        bool rectangle = false, circle = false, polygon = false, bitmap = false, unknown = false;
        std::optional<double> left, right, upper, lower, radius;
        std::vector<double> center, vertices;
        std::uint16_t value = 0;
        std::optional<std::uint32_t> group;
        std::optional<Rgb> colour;
    };

    static std::optional<FileOverlay> build(std::uint16_t group, const RawOverlay& raw, std::uint32_t frame);
    void put_shutter(RenderingAttributes& attributes) const;

    std::map<std::uint16_t, RawOverlay> overlays_;
    RawShutter shutter_;
};

}  // namespace hilum::pixel
