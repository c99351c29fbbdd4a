// SPDX-License-Identifier: Apache-2.0
// The coding passes of one code-block (Annex D), for processors with and without BMI2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mq.hpp"

namespace hilum::codec::j2k {

/// Bytes of one terminated run of coding passes.
struct Segment {
    const std::byte* data = nullptr;
    std::size_t bytes = 0;
    unsigned passes = 0;
};

/// Views of the buffers that the passes of one block share, and how it is coded; sizes in words and columns of it.
struct PassBuffers {
    std::uint32_t* values;
    std::uint64_t* flags;  ///< of stripe 0, column 0
    std::uint64_t* significant;
    std::uint64_t* visited;
    std::uint64_t* refined;
    MqState* contexts;
    std::ptrdiff_t word_stride, flag_stride;
    unsigned words, stripes, width, height;
    const std::uint8_t* zero_contexts;
    unsigned style, planes;
};

/// All passes of a block whose buffers are clear.
using RunPasses = void (*)(const PassBuffers& buffers, std::span<const Segment> segments) noexcept;

/// Plain C++, the twin of what other processors get.
void run_passes_scalar(const PassBuffers& buffers, std::span<const Segment> segments) noexcept;

[[nodiscard]] RunPasses best_passes() noexcept;

}  // namespace hilum::codec::j2k
