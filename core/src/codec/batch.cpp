// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/batch.hpp"

#include <string>

#include "hilum/parallel.hpp"

namespace hilum::codec {

std::span<std::byte> part_of(std::span<std::byte> out, std::size_t index, std::size_t count,
                             const PixelDescription& description) {
    check_description(description);
    const std::uint64_t bytes = frame_bytes(description);
    if (out.size() / count != bytes || out.size() % count != 0) {
        throw Error(Errc::buffer_too_small, "the output has " + std::to_string(out.size()) + " bytes for " +
                                                std::to_string(count) + " frames, this one needs " +
                                                std::to_string(bytes));
    }
    return out.subspan(index * bytes, bytes);
}

void decode_frames(std::span<const EncodedFrame> frames, std::span<std::byte> out, unsigned threads) {
    parallel::for_each(frames.size(), threads, [&](std::size_t index) {
        const EncodedFrame& each = frames[index];
        try {
            decode_frame(each.frame, *each.syntax, *each.description,
                         part_of(out, index, frames.size(), *each.description));
        } catch (const Error& error) {
            throw FrameError(index, error);
        }
    });
}

}  // namespace hilum::codec
