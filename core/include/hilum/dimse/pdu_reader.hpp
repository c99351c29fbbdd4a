// SPDX-License-Identifier: Apache-2.0
// PDUs of an established association (PS3.8 9.3) out of a stream of bytes that may be cut anywhere. Payloads are not
// kept: they are passed on as they come, or read by the caller to where they belong.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "hilum/error.hpp"

namespace hilum::dimse {

/// Reason of an A-ABORT by the service provider (PS3.8 Table 9-26).
enum class AbortReason : std::uint8_t {
    not_specified = 0,
    unrecognized_pdu = 1,
    unexpected_pdu = 2,
    unrecognized_parameter = 4,
    unexpected_parameter = 5,
    invalid_parameter = 6,
};

/// The peer breaks the protocol; the association must be aborted.
class ProtocolError : public Error {
public:
    ProtocolError(AbortReason reason, const std::string& message) : Error(Errc::bad_pdu, message), reason_(reason) {}
    [[nodiscard]] AbortReason reason() const noexcept { return reason_; }

private:
    AbortReason reason_;
};

enum class PduType : std::uint8_t { data = 4, release_request = 5, release_response = 6, abort = 7 };

/// What a piece of the stream is.
struct Token {
    enum class What {
        none,      ///< all that was given is used up
        fragment,  ///< header of a presentation data value (PS3.8 9.3.5.1); its `length` bytes follow
        data,      ///< some of the bytes of the fragment
        control,   ///< a whole A-RELEASE-RQ, A-RELEASE-RP or A-ABORT
    };
    What what = What::none;
    std::uint8_t context_id = 0;      ///< of a fragment
    bool command = false;             ///< of a fragment: part of a command set, else of a data set (PS3.8 E.2)
    bool last = false;                ///< of a fragment: nothing of the set follows it
    std::uint32_t length = 0;         ///< of a fragment, bytes
    std::span<const std::byte> data;  ///< of data: borrowed from the input
    PduType type = PduType::data;     ///< of a control PDU
};

class PduReader {
public:
    /// `max_pdu` bytes may follow the header of a P-DATA-TF PDU; 0: limits::kMaxPduBytes.
    explicit PduReader(std::uint64_t max_pdu) noexcept;

    /// Takes the next token off the front of `input`. Throws ProtocolError; nothing may be asked of the reader then.
    [[nodiscard]] Token next(std::span<const std::byte>& input);
    /// Bytes of the current fragment that are still to come.
    [[nodiscard]] std::size_t payload_left() const noexcept { return payload_left_; }
    /// `count` <= payload_left() of them were read by the caller.
    void took(std::size_t count) noexcept { payload_left_ -= count; }
    /// Whether the stream stands between two PDUs.
    [[nodiscard]] bool between_pdus() const noexcept;
    /// PDUs that have begun.
    [[nodiscard]] std::uint64_t pdus() const noexcept { return pdus_; }

private:
    enum class State { pdu_header, fragment_header, payload, control };

    [[nodiscard]] bool fill(std::span<const std::byte>& input, std::size_t count) noexcept;
    void begin_pdu();
    [[nodiscard]] Token begin_fragment();

    std::uint64_t max_pdu_;
    State state_ = State::pdu_header;
    std::array<std::byte, 6> head_{};
    std::size_t have_ = 0;
    std::uint64_t pdu_left_ = 0;  // bytes of the PDU behind the current fragment
    std::size_t payload_left_ = 0;
    std::uint64_t pdus_ = 0;
};

}  // namespace hilum::dimse
