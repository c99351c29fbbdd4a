// SPDX-License-Identifier: Apache-2.0
#include "hilum/dimse/pdu_reader.hpp"

#include <algorithm>

#include "hilum/byte_order.hpp"
#include "hilum/limits.hpp"

namespace hilum::dimse {
namespace {

constexpr std::size_t kHeader = 6;       // of a PDU: type, reserved, length
constexpr std::size_t kFragment = 6;     // length, context, message control header
constexpr std::size_t kControlBody = 4;  // of A-RELEASE and A-ABORT (PS3.8 9.3.6 to 9.3.8)

}  // namespace

PduReader::PduReader(std::uint64_t max_pdu) noexcept : max_pdu_(max_pdu == 0 ? limits::kMaxPduBytes : max_pdu) {}

bool PduReader::between_pdus() const noexcept {
    return (state_ == State::pdu_header && have_ == 0) ||
           (state_ == State::payload && payload_left_ == 0 && pdu_left_ == 0);
}

bool PduReader::fill(std::span<const std::byte>& input, std::size_t count) noexcept {
    const std::size_t taken = std::min(count - have_, input.size());
    std::copy_n(input.begin(), taken, head_.begin() + static_cast<std::ptrdiff_t>(have_));
    input = input.subspan(taken);
    have_ += taken;
    if (have_ < count) {
        return false;
    }
    have_ = 0;
    return true;
}

void PduReader::begin_pdu() {
    ++pdus_;
    const auto type = std::to_integer<std::uint8_t>(head_[0]);
    const std::uint32_t length = load<std::uint32_t>(&head_[2], true);
    if (type == static_cast<std::uint8_t>(PduType::data)) {
        if (length > max_pdu_) {
            throw ProtocolError(AbortReason::invalid_parameter, "a PDU is longer than was negotiated");
        }
        pdu_left_ = length;
        state_ = State::fragment_header;
    } else if (type >= static_cast<std::uint8_t>(PduType::release_request) &&
               type <= static_cast<std::uint8_t>(PduType::abort)) {
        if (length != kControlBody) {
            throw ProtocolError(AbortReason::invalid_parameter, "a PDU has a length that its type cannot have");
        }
        pdu_left_ = type;  // until its body is complete
        state_ = State::control;
    } else if (type >= 1 && type <= 3) {
        throw ProtocolError(AbortReason::unexpected_pdu, "an A-ASSOCIATE PDU on an established association");
    } else {
        throw ProtocolError(AbortReason::unrecognized_pdu, "a PDU of unknown type");
    }
    if (state_ == State::fragment_header && pdu_left_ < kFragment) {
        throw ProtocolError(AbortReason::invalid_parameter, "a P-DATA PDU is too short for a fragment");
    }
}

Token PduReader::begin_fragment() {
    const std::uint64_t length = load<std::uint32_t>(head_.data(), true);
    if (length < 2 || 4 + length > pdu_left_) {
        throw ProtocolError(AbortReason::invalid_parameter, "the lengths in a P-DATA PDU contradict each other");
    }
    pdu_left_ -= 4 + length;
    if (pdu_left_ != 0 && pdu_left_ < kFragment) {
        throw ProtocolError(AbortReason::invalid_parameter, "a P-DATA PDU has bytes behind its last fragment");
    }
    payload_left_ = static_cast<std::size_t>(length - 2);
    state_ = State::payload;
    const auto control = std::to_integer<unsigned>(head_[5]);
    Token token;
    token.what = Token::What::fragment;
    token.context_id = std::to_integer<std::uint8_t>(head_[4]);
    token.command = (control & 1U) != 0;
    token.last = (control & 2U) != 0;
    token.length = static_cast<std::uint32_t>(payload_left_);
    return token;
}

Token PduReader::next(std::span<const std::byte>& input) {
    for (;;) {
        switch (state_) {
            case State::pdu_header:
                if (!fill(input, kHeader)) {
                    return {};
                }
                begin_pdu();
                break;
            case State::fragment_header:
                if (!fill(input, kFragment)) {
                    return {};
                }
                return begin_fragment();
            case State::payload: {
                if (payload_left_ == 0) {
                    state_ = pdu_left_ == 0 ? State::pdu_header : State::fragment_header;
                    break;
                }
                if (input.empty()) {
                    return {};
                }
                Token token;
                token.what = Token::What::data;
                token.data = input.first(std::min(payload_left_, input.size()));
                input = input.subspan(token.data.size());
                payload_left_ -= token.data.size();
                return token;
            }
            case State::control: {
                if (!fill(input, kControlBody)) {
                    return {};
                }
                Token token;
                token.what = Token::What::control;
                token.type = static_cast<PduType>(pdu_left_);
                pdu_left_ = 0;
                state_ = State::pdu_header;
                return token;
            }
        }
    }
}

}  // namespace hilum::dimse
