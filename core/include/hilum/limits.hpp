// SPDX-License-Identifier: Apache-2.0
// Every size that a file may claim is checked against one of these before it is multiplied or allocated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hilum::limits {

inline constexpr unsigned kMaxNesting = 64;                       ///< sequence levels
inline constexpr std::uint64_t kMaxInflatedBytes = 256ULL << 20;  ///< deflated data set, inflated
inline constexpr std::uint64_t kMaxInflateRatio = 1032;           ///< zlib's own bound; anything above is forged
inline constexpr std::uint32_t kMaxFrames = 1U << 24;
inline constexpr std::uint32_t kMaxRows = 65535;
inline constexpr std::uint32_t kMaxColumns = 65535;
inline constexpr std::uint64_t kMaxFrameBytes = 4ULL << 30;        ///< one decoded frame
inline constexpr std::uint64_t kMaxRenderedPixels = 256ULL << 20;  ///< one rendered image
inline constexpr std::uint32_t kMaxRaySamples = 1U << 14;          ///< samples of one ray or slab
inline constexpr std::size_t kMaxFusedLayers = 32;                 ///< volumes of one rendering
inline constexpr std::uint64_t kMaxVolumeVoxels = 1ULL << 36;      ///< one time point of a volume
inline constexpr std::uint32_t kMaxShutterVertices = 16384;        ///< of a polygonal shutter
inline constexpr std::uint64_t kMaxShutterWork = 1ULL << 28;       ///< its vertices times the rows of the image
inline constexpr std::uint64_t kMaxPolygonWork = 1ULL << 28;       ///< points of a polygon times the rows it covers
inline constexpr std::uint64_t kMaxMeshVertices = 1ULL << 24;      ///< of a surface, before it is decimated
inline constexpr std::uint32_t kMaxIndexedValueBytes = 1024;  ///< one attribute in an index record, cut at a character
inline constexpr std::uint64_t kMaxPduBytes = 1ULL << 31;     ///< where none was negotiated
inline constexpr std::size_t kMaxCommandBytes = 1U << 16;     ///< command set of one message
inline constexpr std::uint64_t kMaxEmptyFragments = 1024;     ///< of one message
inline constexpr std::uint64_t kManyFragments = 1U << 16;     ///< of one message; from there on they must be ...
inline constexpr std::uint64_t kLeastFragmentBytes = 32;      ///< ... at least as long as this on average
inline constexpr std::uint64_t kMaxHeaderBytes = 256ULL << 20;  ///< metadata of one object

}  // namespace hilum::limits
