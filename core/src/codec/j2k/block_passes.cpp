// SPDX-License-Identifier: Apache-2.0
#include "block_passes.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>

#include "block_tables.hpp"
#include "codestream.hpp"
#include "hilum/cpu.hpp"

namespace hilum::codec::j2k {
namespace {

constexpr std::uint64_t kTop = 0x1111111111111111ULL;
constexpr std::uint64_t kBottom = kTop << 3U;
constexpr std::uint64_t kColumn = 0xF;

/// What becomes a candidate of the same pass when a coefficient of this row turns significant, relative to it: those
/// behind it in the scan.
constexpr std::array<std::uint64_t, 4> kLater{0x32, 0x3A, 0x3A, 0x18};

/// Which bit of a neighbourhood, over that of the row, a coefficient is for a column so far to its right.
constexpr std::array<std::uint8_t, 17> kToTheRight{0x10, 0x08};

/// Vertical neighbours of a word of 16 columns, without itself.
std::uint64_t above_below(std::uint64_t word, std::uint64_t above, std::uint64_t below) noexcept {
    return (word & ~kBottom) << 1U | (word >> 1U & ~kBottom) | (above & kBottom) >> 3U | (below & kTop) << 3U;
}

void reset_contexts(MqState* contexts) noexcept {
    std::fill_n(contexts, 19, kMqStates[0]);
    contexts[0] = kMqStates[2 * 4];
    contexts[kRunContext] = kMqStates[2 * 3];
    contexts[kUniformContext] = kMqStates[2 * 46];
}

namespace scalar {
using Mq = MqDecoder<false>;
#include "block_passes.inc"
}  // namespace scalar

#if defined(__x86_64__)
HILUM_TARGET_BEGIN("bmi,bmi2,lzcnt")
namespace bmi2 {
using Mq = MqDecoder<true>;
#include "block_passes.inc"
}  // namespace bmi2
HILUM_TARGET_END
#endif

}  // namespace

void run_passes_scalar(const PassBuffers& buffers, std::span<const Segment> segments) noexcept {
    scalar::run_passes(buffers, segments);
}

RunPasses best_passes() noexcept {
#if defined(__x86_64__)
    if (cpu::features().bmi2) {
        return &bmi2::run_passes;
    }
#endif
    return &run_passes_scalar;
}

}  // namespace hilum::codec::j2k
