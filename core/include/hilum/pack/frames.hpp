// SPDX-License-Identifier: Apache-2.0
// Frames out of packs: read, verified and decoded on the threads of one call. Only the bytes of the frames that are
// asked for are read, widened to whole checksum blocks.
#pragma once

#include <cstdint>
#include <span>

#include "hilum/codec/batch.hpp"
#include "hilum/dicom/frames.hpp"
#include "hilum/pack/reader.hpp"

namespace hilum::pack {

/// An object in a pack, as the index knows it.
struct StoredObject {
    std::uint64_t pack = 0;
    std::uint64_t offset = 0;  ///< of the payload
    std::uint64_t length = 0;
    dicom::FrameTable frames;
    const codec::Syntax* syntax = nullptr;
    codec::PixelDescription description;
};

struct FrameRef {
    std::uint32_t object = 0;  ///< index into the objects of the call
    std::uint32_t frame = 0;   ///< from 0
};

/// One frame into `out`, exactly frame_bytes(object.description) bytes. Errors as decode_frames, without the number.
void decode_frame(PackReader& reader, const StoredObject& object, std::uint32_t frame, std::span<std::byte> out);

/// As codec::decode_frames. Offsets in errors of a code stream count from the first byte of the frame. A table whose
/// offsets count in the inflated object gives invalid_argument: inflate once, then decode from memory.
void decode_frames(PackReader& reader, std::span<const StoredObject> objects, std::span<const FrameRef> refs,
                   std::span<std::byte> out, unsigned threads);

}  // namespace hilum::pack
