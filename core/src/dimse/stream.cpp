// SPDX-License-Identifier: Apache-2.0
#include "hilum/dimse/stream.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hilum::dimse {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kScratch = 32U << 10U;

Outcome outcome_of(Happened happened) noexcept {
    switch (happened) {
        case Happened::release_request:
            return Outcome::release_request;
        case Happened::release_response:
            return Outcome::release_response;
        case Happened::abort:
            return Outcome::abort;
        default:
            return Outcome::message;
    }
}

/// Rests the clock on the moment from which the peer must not pause for longer.
class Watch {
public:
    Watch(const Receiver& receiver, const Deadlines& deadlines) noexcept
        : receiver_(receiver), deadlines_(deadlines), pdus_(receiver.reader().pdus()) {}

    void look() noexcept {
        const bool between = receiver_.reader().between_pdus();
        const std::uint64_t pdus = receiver_.reader().pdus();
        if (between != between_ || pdus != pdus_) {
            between_ = between;
            pdus_ = pdus;
            since_ = Clock::now();
        }
    }
    [[nodiscard]] Clock::time_point until() const noexcept {
        return since_ + (between_ ? deadlines_.idle : deadlines_.pdu);
    }
    [[nodiscard]] Outcome expired() const noexcept { return between_ ? Outcome::idle : Outcome::slow; }

private:
    const Receiver& receiver_;
    const Deadlines& deadlines_;
    bool between_ = receiver_.reader().between_pdus();
    std::uint64_t pdus_;
    Clock::time_point since_ = Clock::now();
};

}  // namespace

void Stream::acknowledge() const noexcept {
#ifdef TCP_QUICKACK
    // A sender with Nagle's algorithm on keeps the body of a PDU back until its header is acknowledged.
    const int on = 1;
    static_cast<void>(::setsockopt(descriptor_, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on));
#endif
}

/// message: there is something to read.
Outcome Stream::wait(Clock::time_point until) const {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
        const int timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
        std::array<pollfd, 2> wanted{{{descriptor_, POLLIN, 0}, {wake_, POLLIN, 0}}};
        const int ready = ::poll(wanted.data(), wake_ < 0 ? 1 : 2, timeout);
        if (ready < 0 && errno != EINTR) {
            return Outcome::closed;
        }
        if (wake_ >= 0 && wanted[1].revents != 0) {
            return Outcome::woken;
        }
        if (ready > 0 && wanted[0].revents != 0) {
            return Outcome::message;
        }
        if (Clock::now() >= until) {
            return Outcome::idle;
        }
    }
}

Outcome Stream::next(const Deadlines& deadlines) {
    if (scratch_.empty()) {
        scratch_.resize(kScratch);
    }
    Watch watch(receiver_, deadlines);
    bool drained = false;
    for (;;) {
        if (!pending_.empty()) {
            const Happened happened = receiver_.feed(pending_);
            if (happened != Happened::nothing) {
                return outcome_of(happened);
            }
        }
        watch.look();
        if (drained) {
            if (receiver_.in_message()) {
                acknowledge();
            }
            const Outcome ready = wait(watch.until());
            if (ready != Outcome::message) {
                return ready == Outcome::idle ? watch.expired() : ready;
            }
        }
        const std::span<std::byte> room = receiver_.room();
        std::array<iovec, 2> places{{{room.data(), room.size()}, {scratch_.data(), scratch_.size()}}};
        const bool direct = !room.empty();
        const ssize_t result = ::readv(descriptor_, &places[direct ? 0 : 1], direct ? 2 : 1);
        if (result == 0) {
            return Outcome::closed;
        }
        if (result < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                return Outcome::closed;
            }
            drained = errno == EAGAIN || drained;
            continue;
        }
        const auto count = static_cast<std::size_t>(result);
        const std::size_t placed = std::min(count, room.size());
        pending_ = std::span<const std::byte>(scratch_).first(count - placed);
        drained = count < room.size() + scratch_.size();
        const Happened happened = receiver_.filled(placed);
        if (happened != Happened::nothing) {
            return outcome_of(happened);
        }
    }
}

}  // namespace hilum::dimse
