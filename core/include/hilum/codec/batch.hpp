// SPDX-License-Identifier: Apache-2.0
// Many frames in one call, each into its part of the caller's buffer, on several threads.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "hilum/codec/registry.hpp"
#include "hilum/error.hpp"

namespace hilum::codec {

/// An error and the frame that gave it, by its position in the request.
class FrameError : public Error {
public:
    FrameError(std::size_t frame, const Error& cause)
        : Error(cause.code(), "frame " + std::to_string(frame) + " of the request: " + cause.what(), cause.offset()),
          frame_(frame) {}

    [[nodiscard]] std::size_t frame() const noexcept { return frame_; }

private:
    std::size_t frame_;
};

/// A frame in memory.
struct EncodedFrame {
    StoredFrame frame;
    const Syntax* syntax = nullptr;
    const PixelDescription* description = nullptr;
};

/// Where frame `index` of `count` goes. Throws buffer_too_small unless `out` is `count` frames of this description.
[[nodiscard]] std::span<std::byte> part_of(std::span<std::byte> out, std::size_t index, std::size_t count,
                                           const PixelDescription& description);

/// Decodes all into `out`, one after the other without gaps. Throws the FrameError of the first frame that fails;
/// nothing of `out` may be used then. `threads` as for parallel::run.
void decode_frames(std::span<const EncodedFrame> frames, std::span<std::byte> out, unsigned threads);

}  // namespace hilum::codec
