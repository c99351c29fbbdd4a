// SPDX-License-Identifier: Apache-2.0
// A receiver on a descriptor: waits, reads to where the bytes belong, and keeps the deadlines.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "hilum/dimse/receiver.hpp"

namespace hilum::dimse {

/// How a wait for the next message ended.
enum class Outcome {
    message,
    release_request,
    release_response,
    abort,   ///< by the peer
    closed,  ///< the peer has gone
    idle,    ///< nothing came in time
    slow,    ///< a PDU did not arrive in time
    woken,   ///< the wake descriptor has something to read
};

struct Deadlines {
    std::chrono::milliseconds idle{60'000};  ///< until a PDU begins
    std::chrono::milliseconds pdu{30'000};   ///< from its first byte to its last
};

class Stream {
public:
    /// `descriptor` must not block. It stays the caller's, as `wake` (-1: none) does.
    Stream(Receiver& receiver, int descriptor, int wake) noexcept
        : receiver_(receiver), descriptor_(descriptor), wake_(wake) {}

    /// Waits for the next message or end. Throws ProtocolError; after a message the stream goes on where it was.
    [[nodiscard]] Outcome next(const Deadlines& deadlines);

private:
    [[nodiscard]] Outcome wait(std::chrono::steady_clock::time_point until) const;
    void acknowledge() const noexcept;

    Receiver& receiver_;
    int descriptor_;
    int wake_;
    std::vector<std::byte> scratch_;  // headers, and what was read beyond the current fragment
    std::span<const std::byte> pending_;
};

}  // namespace hilum::dimse
