// SPDX-License-Identifier: Apache-2.0
// Where frames lie in the patient and what tells them apart: read once from headers, plain and as functional groups.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "hilum/pack/reader.hpp"

namespace hilum::volume {

inline constexpr double kAbsent = std::numeric_limits<double>::quiet_NaN();

/// Of one frame; what its header does not say is NaN. Lengths in mm, times in ms or as said; doubles only, so that an
/// array of these is an array of numbers.
struct FrameGeometry {
    std::array<double, 3> position{kAbsent, kAbsent, kAbsent};  ///< Image Position (Patient): centre of the first pixel
    /// Image Orientation (Patient): direction of a row (i grows), of a column (j grows).
    std::array<double, 6> orientation{kAbsent, kAbsent, kAbsent, kAbsent, kAbsent, kAbsent};
    std::array<double, 2> spacing{kAbsent, kAbsent};  ///< Pixel Spacing: between rows, between columns
    double slice_thickness = kAbsent;
    double spacing_between_slices = kAbsent;
    double slope = 1.0;  ///< Rescale Slope
    double intercept = 0.0;
    double temporal_position = kAbsent;  ///< Temporal Position Identifier or Index
    double trigger_time = kAbsent;       ///< Trigger Time, Nominal Cardiac Trigger Delay Time
    double echo_time = kAbsent;
    double b_value = kAbsent;
    double acquisition_number = kAbsent;
    double acquisition_time = kAbsent;  ///< seconds, of a clock that starts anywhere but is the same for an object
    double instance_number = kAbsent;
    double segment_number = kAbsent;  ///< Referenced Segment Number
    double padding = kAbsent;         ///< Pixel Padding Value, as stored
    double label = 0.0;               ///< index into Geometry::labels
};

inline constexpr std::size_t kGeometryFields = sizeof(FrameGeometry) / sizeof(double);

/// Of all frames of an object.
struct Geometry {
    std::vector<FrameGeometry> frames;
    /// Texts that tell stacks apart: Image Type or Frame Type, Stack ID, Rescale Type or Units, a line feed after each.
    std::vector<std::string> labels;
    std::string frame_of_reference_uid;
};

/// Reads `header` (an object's bytes up to its pixel data, or the whole object) of an image of `frames` frames. The
/// frame's own functional groups go before the shared ones, these before plain attributes. Frames of RT doses are
/// placed by Grid Frame Offset Vector and rescaled by Dose Grid Scaling; those of reconstructed NM are placed by
/// Spacing Between Slices. Errors: those of the element reader.
[[nodiscard]] Geometry read_geometry(std::span<const std::byte> header, std::uint32_t frames);

/// An object in a pack and how much of it is header.
struct HeaderPlace {
    std::uint64_t pack = 0;
    std::uint64_t offset = 0;  ///< of the payload
    std::uint64_t length = 0;
    std::uint64_t header_length = 0;  ///< `length` for deflated objects
    std::uint32_t frames = 0;
};

/// read_geometry of many objects, on the threads of one call. Errors: those of PackReader::read and read_geometry of
/// the first object that fails.
[[nodiscard]] std::vector<Geometry> read_geometries(pack::PackReader& reader, std::span<const HeaderPlace> places,
                                                    unsigned threads);

}  // namespace hilum::volume
