// SPDX-License-Identifier: Apache-2.0
// Messages onto a descriptor: the headers of PDUs beside the bytes where they lie, so that nothing is put together.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hilum::dimse {

constexpr std::size_t kLongestPdv = 256U << 10U;  ///< fragments are not longer, also where the peer sets no limit

struct OutgoingMessage {
    std::uint8_t context_id = 0;
    std::span<const std::byte> command;
    std::span<const std::byte> data;
    bool has_data = false;
    std::size_t max_pdu = 0;  ///< what the peer takes (PS3.8 D.1); 0: any length
};

enum class Sent {
    all,
    closed,  ///< the peer has gone
    slow,    ///< it did not take everything in time
};

/// Sends a message as P-DATA-TF PDUs (PS3.8 9.3.5), one fragment in each, within `patience`. Never blocks longer,
/// whether the descriptor blocks or not. Throws Error(invalid_argument) when `max_pdu` leaves no room for data.
[[nodiscard]] Sent send_message(int descriptor, const OutgoingMessage& message, std::chrono::milliseconds patience);

}  // namespace hilum::dimse
