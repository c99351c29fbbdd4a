// SPDX-License-Identifier: Apache-2.0
#include "hilum/dimse/sender.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "hilum/error.hpp"

namespace hilum::dimse {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kHeaderBytes = 12;  // of a PDU and of the only fragment in it
constexpr std::size_t kPdusAtOnce = 256;  // two pieces each: below IOV_MAX

std::array<std::byte, kHeaderBytes> header_of(std::uint8_t context_id, std::size_t length, unsigned control) {
    const auto pdu = static_cast<std::uint32_t>(length + 6);
    const auto pdv = static_cast<std::uint32_t>(length + 2);
    std::array<std::byte, kHeaderBytes> out{std::byte{4}, std::byte{0}};
    for (unsigned i = 0; i < 4; ++i) {
        out[2 + i] = static_cast<std::byte>(pdu >> (24U - 8U * i));
        out[6 + i] = static_cast<std::byte>(pdv >> (24U - 8U * i));
    }
    out[10] = static_cast<std::byte>(context_id);
    out[11] = static_cast<std::byte>(control);
    return out;
}

/// Gathers PDUs and sends them.
class Sender {
public:
    Sender(int descriptor, Clock::time_point until) : descriptor_(descriptor), until_(until) {
        headers_.reserve(kPdusAtOnce);
        pieces_.reserve(2 * kPdusAtOnce);
    }

    /// One part of a message as fragments of `room` bytes.
    Sent add(std::uint8_t context_id, std::span<const std::byte> part, unsigned control, std::size_t room) {
        do {
            if (headers_.size() == kPdusAtOnce) {
                if (const Sent sent = flush(); sent != Sent::all) {
                    return sent;
                }
            }
            const auto fragment = part.first(std::min(room, part.size()));
            part = part.subspan(fragment.size());
            headers_.push_back(header_of(context_id, fragment.size(), control | (part.empty() ? 2U : 0U)));
            pieces_.push_back({headers_.back().data(), kHeaderBytes});
            if (!fragment.empty()) {
                pieces_.push_back({const_cast<std::byte*>(fragment.data()), fragment.size()});
            }
        } while (!part.empty());
        return Sent::all;
    }

    Sent flush() {
        std::span<iovec> left(pieces_);
        while (!left.empty()) {
            msghdr message{};
            message.msg_iov = left.data();
            message.msg_iovlen = left.size();
            const ssize_t result = ::sendmsg(descriptor_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (result >= 0) {
                left = after(left, static_cast<std::size_t>(result));
            } else if (errno == EAGAIN) {
                if (!wait()) {
                    return Sent::slow;
                }
            } else if (errno != EINTR) {
                return Sent::closed;
            }
        }
        headers_.clear();
        pieces_.clear();
        return Sent::all;
    }

private:
    static std::span<iovec> after(std::span<iovec> pieces, std::size_t sent) {
        std::size_t whole = 0;
        while (whole < pieces.size() && sent >= pieces[whole].iov_len) {
            sent -= pieces[whole].iov_len;
            ++whole;
        }
        pieces = pieces.subspan(whole);
        if (!pieces.empty()) {
            pieces[0].iov_base = static_cast<std::byte*>(pieces[0].iov_base) + sent;
            pieces[0].iov_len -= sent;
        }
        return pieces;
    }

    /// Until the peer takes more; false: not in time.
    [[nodiscard]] bool wait() const {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until_ - Clock::now()).count();
        pollfd wanted{descriptor_, POLLOUT, 0};
        return left > 0 && ::poll(&wanted, 1, static_cast<int>(std::min<std::int64_t>(left, 1 << 30))) != 0;
    }

    int descriptor_;
    Clock::time_point until_;
    std::vector<std::array<std::byte, kHeaderBytes>> headers_;
    std::vector<iovec> pieces_;
};

}  // namespace

Sent send_message(int descriptor, const OutgoingMessage& message, std::chrono::milliseconds patience) {
    const std::size_t most = message.max_pdu == 0 ? kLongestPdv : message.max_pdu;
    const std::size_t room = most < 8 ? 0 : std::min(most - 6, kLongestPdv) & ~std::size_t{1};
    if (room == 0) {
        throw Error(Errc::invalid_argument, "the peer's maximum PDU length leaves no room for data");
    }
    Sender sender(descriptor, Clock::now() + patience);
    Sent sent = sender.add(message.context_id, message.command, 1, room);
    if (sent == Sent::all && message.has_data) {
        sent = sender.add(message.context_id, message.data, 0, room);
    }
    return sent == Sent::all ? sender.flush() : sent;
}

}  // namespace hilum::dimse
