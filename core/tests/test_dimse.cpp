// SPDX-License-Identifier: Apache-2.0
// The receive path: streams built by hand after PS3.8 9.3 and PS3.7 E, cut at every byte.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "hilum/checksum.hpp"
#include "hilum/dimse/receiver.hpp"
#include "hilum/dimse/sender.hpp"
#include "hilum/dimse/stream.hpp"
#include "hilum/limits.hpp"

using namespace hilum;
using namespace hilum::dimse;

namespace {

using Bytes = std::string;
using namespace std::string_literals;

std::span<const std::byte> view(const Bytes& bytes) {
    return std::as_bytes(std::span(bytes));
}

Bytes number(std::uint64_t value, int bytes, bool big) {
    Bytes out;
    for (int i = 0; i < bytes; ++i) {
        out += static_cast<char>(value >> (8 * (big ? bytes - 1 - i : i)) & 0xFFU);
    }
    return out;
}

Bytes fragment(std::uint8_t context, std::uint8_t control, const Bytes& payload) {
    return number(payload.size() + 2, 4, true) + static_cast<char>(context) + static_cast<char>(control) + payload;
}

Bytes pdu(std::uint8_t type, const Bytes& body) {
    return Bytes(1, static_cast<char>(type)) + '\0' + number(body.size(), 4, true) + body;
}

Bytes data_pdu(std::uint8_t context, std::uint8_t control, const Bytes& payload) {
    return pdu(4, fragment(context, control, payload));
}

Bytes element(std::uint16_t tag, const Bytes& value) {
    return number(0, 2, false) + number(tag, 2, false) + number(value.size(), 4, false) + value;
}

Bytes command(std::uint16_t field, bool with_data, const Bytes& instance = "1.2.3.4"s + '\0') {
    return element(2, "1.2.840.10008.5.1.4.1.1.2"s + '\0') + element(0x100, number(field, 2, false)) +
           element(0x110, number(7, 2, false)) + element(0x800, number(with_data ? 0 : 0x101, 2, false)) +
           element(0x1000, instance);
}

Bytes explicit_element(std::uint16_t group, std::uint16_t tag, const char* vr, Bytes value) {
    if (value.size() % 2 != 0) {
        value += '\0';
    }
    return number(group, 2, false) + number(tag, 2, false) + vr + number(value.size(), 2, false) + value;
}

Bytes data_set(std::size_t padding) {
    Bytes set = explicit_element(8, 0x16, "UI", "1.2.840.10008.5.1.4.1.1.2") +
                explicit_element(8, 0x18, "UI", "1.2.3.4") + explicit_element(0x20, 0xD, "UI", "1.2.3") +
                explicit_element(0x20, 0xE, "UI", "1.2.3.1");
    while (padding > 0) {
        const std::size_t step = std::min<std::size_t>(padding, 60000);
        set += explicit_element(0x21, static_cast<std::uint16_t>(0x1000 + padding / 60000), "LT", Bytes(step, 'x'));
        padding -= step;
    }
    return set;
}

ReceiverSettings settings() {
    ReceiverSettings found;
    found.contexts = {{1, "1.2.840.10008.1.2.1"}, {3, "1.2.840.10008.1.2"}};
    found.max_pdu_bytes = 1U << 17U;
    found.max_data_set_bytes = 4096;
    found.implementation = {"2.25.1", "TEST"};
    return found;
}

std::shared_ptr<MemoryBudget> budget(std::uint64_t limit = 1U << 26U) {
    return std::make_shared<MemoryBudget>(limit);
}

struct Folder {
    std::string path = [] {
        std::string name = "/tmp/hilum-dimse-XXXXXX";
        return std::string(::mkdtemp(name.data()));
    }();
    ~Folder() { std::filesystem::remove_all(path); }
    [[nodiscard]] std::size_t files() const {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator()));
    }
};

Message received(Receiver& receiver, const Bytes& stream) {
    std::span<const std::byte> input = view(stream);
    HILUM_CHECK(receiver.feed(input) == Happened::message);
    HILUM_CHECK(input.empty());
    return receiver.take();
}

AbortReason refused(const Bytes& stream, ReceiverSettings with = settings()) {
    Receiver receiver(std::move(with), budget());
    std::span<const std::byte> input = view(stream);
    try {
        while (receiver.feed(input) != Happened::nothing) {
            static_cast<void>(receiver.take());
        }
    } catch (const ProtocolError& error) {
        return error.reason();
    }
    HILUM_CHECK(false);
    return AbortReason::not_specified;
}

Bytes expected_object(const Bytes& set) {
    return part10_prefix("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2.840.10008.1.2.1", {"2.25.1", "TEST"}) + set;
}

}  // namespace

HILUM_TEST("echo has no data", {
    Receiver receiver(settings(), budget());
    const Message message = received(receiver, data_pdu(3, 3, command(0x30, false)));
    HILUM_CHECK(message.context_id == 3 && !message.has_data && !message.object);
    HILUM_CHECK(message.command.size() == command(0x30, false).size());
});

HILUM_TEST("object is prefixed scanned and hashed", {
    const Bytes set = data_set(300);
    Receiver receiver(settings(), budget());
    const Message message = received(receiver, data_pdu(1, 3, command(1, true)) + data_pdu(1, 0, set.substr(0, 100)) +
                                                   data_pdu(1, 2, set.substr(100)));
    HILUM_CHECK(message.object && !message.object->error && message.object->bytes);
    const Bytes whole = expected_object(set);
    HILUM_CHECK(message.object->size == set.size());
    HILUM_CHECK(std::ranges::equal(message.object->bytes->bytes(), view(whole)));
    HILUM_CHECK(message.object->scan->sha256 == sha256(view(whole)));
    HILUM_CHECK(message.object->scan->crc32c == crc32c(view(whole)));
    HILUM_CHECK(message.object->scan->result.study_instance_uid == "1.2.3");
});

HILUM_TEST("several fragments in one pdu and messages in a row", {
    const Bytes set = data_set(10);
    const Bytes one = pdu(4, fragment(1, 1, command(1, true).substr(0, 20)) +
                                 fragment(1, 3, command(1, true).substr(20)) + fragment(1, 2, set));
    Receiver receiver(settings(), budget());
    const Bytes stream = one + one + pdu(5, Bytes(4, '\0'));
    std::span<const std::byte> input = view(stream);
    for (int i = 0; i < 2; ++i) {
        HILUM_CHECK(receiver.feed(input) == Happened::message);
        HILUM_CHECK(receiver.take().object->scan.has_value());
    }
    HILUM_CHECK(receiver.feed(input) == Happened::release_request);
});

HILUM_TEST("every cut gives the same", {
    const Bytes set = data_set(200);
    const Bytes stream = data_pdu(1, 3, command(1, true)) + data_pdu(1, 0, set.substr(0, 50)) + data_pdu(1, 0, "") +
                         data_pdu(1, 2, set.substr(50)) + data_pdu(3, 3, command(0x20, true)) + data_pdu(3, 2, "abcd");
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        Receiver receiver(settings(), budget());
        std::vector<Message> messages;
        for (const Bytes& part : {stream.substr(0, cut), stream.substr(cut)}) {
            std::span<const std::byte> input = view(part);
            while (receiver.feed(input) == Happened::message) {
                messages.push_back(receiver.take());
            }
        }
        HILUM_CHECK(messages.size() == 2);
        HILUM_CHECK(messages[0].object->scan->sha256 == sha256(view(expected_object(set))));
        HILUM_CHECK(messages[1].data.size() == 4);
    }
});

HILUM_TEST("large objects go to a file that goes with them", {
    const Folder folder;
    const Bytes set = data_set(400'000);
    ReceiverSettings with = settings();
    with.spool = {folder.path, 100'000, 1U << 20U};
    const auto shared = budget();
    {
        Receiver receiver(with, shared);
        Bytes stream = data_pdu(1, 3, command(1, true));
        for (std::size_t at = 0; at < set.size(); at += 50'000) {
            stream += data_pdu(1, at + 50'000 >= set.size() ? 2 : 0, set.substr(at, 50'000));
        }
        const Message message = received(receiver, stream);
        HILUM_CHECK(message.object->file && !message.object->bytes && folder.files() == 1);
        HILUM_CHECK(std::filesystem::file_size(message.object->file->path()) == expected_object(set).size());
        HILUM_CHECK(message.object->scan->sha256 == sha256(view(expected_object(set))));
        HILUM_CHECK(shared->used() == 0);
    }
    HILUM_CHECK(folder.files() == 0);
});

HILUM_TEST("a spent budget goes to files and a cut leaves nothing", {
    const Folder folder;
    ReceiverSettings with = settings();
    with.spool.folder = folder.path;
    const auto shared = budget(1);
    {
        Receiver receiver(with, shared);
        const Bytes stream = data_pdu(1, 3, command(1, true)) + data_pdu(1, 0, data_set(1000));
        std::span<const std::byte> input = view(stream);
        HILUM_CHECK(receiver.feed(input) == Happened::nothing);
        HILUM_CHECK(folder.files() == 1 && receiver.in_message());
        const Bytes release = pdu(5, Bytes(4, '\0'));
        input = view(release);
        HILUM_CHECK(receiver.feed(input) == Happened::release_request);
        HILUM_CHECK(folder.files() == 0);
    }
    HILUM_CHECK(shared->used() == 0);
});

HILUM_TEST("an object above the limit is read to its end and refused", {
    ReceiverSettings with = settings();
    with.spool.max_object_bytes = 1000;
    Receiver receiver(with, budget());
    const Message message =
        received(receiver, data_pdu(1, 3, command(1, true)) + data_pdu(1, 0, Bytes(900, 'x')) + data_pdu(1, 2, "yy"));
    HILUM_CHECK(message.object->error && message.object->error->code() == Errc::limit_exceeded);
    HILUM_CHECK(received(receiver, data_pdu(3, 3, command(0x30, false))).context_id == 3);
});

HILUM_TEST("a disk that cannot be written is an error of the object", {
    ReceiverSettings with = settings();
    with.spool = {"/nonexistent/folder/of/spools", 100, 1U << 20U};
    Receiver receiver(with, budget());
    const Message message =
        received(receiver, data_pdu(1, 3, command(1, true)) + data_pdu(1, 0, data_set(500)) + data_pdu(1, 2, ""));
    HILUM_CHECK(message.object->error.has_value() && !message.object->scan);
});

HILUM_TEST("what is no object is said so", {
    Receiver receiver(settings(), budget());
    const Message message = received(receiver, data_pdu(1, 3, command(1, true)) + data_pdu(1, 2, "no data set"));
    HILUM_CHECK(message.object->error.has_value() && message.object->size == 11);
    const Message empty = received(receiver, data_pdu(1, 3, command(1, true)) + data_pdu(1, 2, ""));
    HILUM_CHECK(empty.object->size == 0);
});

HILUM_TEST("a data set too long is said so", {
    Receiver receiver(settings(), budget());
    const Message message = received(receiver, data_pdu(1, 3, command(0x20, true)) + data_pdu(1, 2, Bytes(5000, 'x')));
    HILUM_CHECK(message.too_long && message.data.empty());
});

HILUM_TEST("broken protocol is refused", {
    const Bytes store = data_pdu(1, 3, command(1, true));
    HILUM_CHECK(refused(pdu(1, Bytes(70, '\0'))) == AbortReason::unexpected_pdu);
    HILUM_CHECK(refused("GET / HTTP/1.1\r\n"s) == AbortReason::unrecognized_pdu);
    HILUM_CHECK(refused("\4\0\xFF\xFF\xFF\xFF"s) == AbortReason::invalid_parameter);
    ReceiverSettings unlimited = settings();
    unlimited.max_pdu_bytes = 0;
    HILUM_CHECK(refused("\4\0\xFF\xFF\xFF\xFF"s, unlimited) == AbortReason::invalid_parameter);
    HILUM_CHECK(refused(pdu(4, "abc")) == AbortReason::invalid_parameter);
    HILUM_CHECK(refused(pdu(5, "")) == AbortReason::invalid_parameter);
    HILUM_CHECK(refused(pdu(4, "\0\0\0\1\1\3"s)) == AbortReason::invalid_parameter);
    HILUM_CHECK(refused(pdu(4, "\0\0\0\xFF\1\3"s)) == AbortReason::invalid_parameter);
    HILUM_CHECK(refused(pdu(4, fragment(1, 3, command(0x30, false)) + "abc")) == AbortReason::invalid_parameter);
    HILUM_CHECK(refused(data_pdu(9, 3, command(0x30, false))) == AbortReason::unrecognized_parameter);
    HILUM_CHECK(refused(data_pdu(1, 2, "data without a command")) == AbortReason::unexpected_parameter);
    HILUM_CHECK(refused(store + data_pdu(1, 3, command(0x30, false))) == AbortReason::unexpected_parameter);
    HILUM_CHECK(refused(store + data_pdu(3, 2, "x")) == AbortReason::unexpected_parameter);
    HILUM_CHECK(refused(data_pdu(1, 3, "cut")) == AbortReason::invalid_parameter);
    HILUM_CHECK(refused(data_pdu(1, 3, element(2, "x").substr(0, 8))) == AbortReason::invalid_parameter);
    HILUM_CHECK(refused(data_pdu(1, 3, "\1\0\0\0\0\0\0\0"s)) == AbortReason::invalid_parameter);
});

HILUM_TEST("endless messages are refused", {
    Bytes empty;
    for (std::uint64_t i = 0; i <= limits::kMaxEmptyFragments; ++i) {
        empty += fragment(1, 1, "");
    }
    HILUM_CHECK(refused(pdu(4, empty)) == AbortReason::not_specified);
    Bytes commands;
    for (int i = 0; i < 5; ++i) {
        commands += data_pdu(1, 1, Bytes(1U << 14U, '\0'));
    }
    HILUM_CHECK(refused(commands) == AbortReason::not_specified);
    Bytes tiny = data_pdu(1, 3, command(1, true));
    for (std::uint64_t i = 0; i <= limits::kManyFragments; ++i) {
        tiny += data_pdu(1, 0, "x");
    }
    HILUM_CHECK(refused(tiny) == AbortReason::not_specified);
    ReceiverSettings small = settings();
    small.spool.max_object_bytes = 1000;
    Bytes object = data_pdu(1, 3, command(1, true));
    for (int i = 0; i < 30; ++i) {
        object += data_pdu(1, 0, Bytes(100, 'x'));
    }
    HILUM_CHECK(refused(object, small) == AbortReason::not_specified);
    Bytes query = data_pdu(1, 3, command(0x20, true));
    for (int i = 0; i < 30; ++i) {
        query += data_pdu(1, 0, Bytes(1000, 'x'));
    }
    HILUM_CHECK(refused(query) == AbortReason::not_specified);
});

HILUM_TEST("stream reads a descriptor", {
    std::array<int, 2> pair{};
    HILUM_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()) == 0);
    const Bytes set = data_set(300'000);
    Bytes bytes = data_pdu(1, 3, command(1, true));
    for (std::size_t at = 0; at < set.size(); at += 100'000) {
        bytes += data_pdu(1, at + 100'000 >= set.size() ? 2 : 0, set.substr(at, 100'000));
    }
    bytes += data_pdu(3, 3, command(0x30, false)) + pdu(5, Bytes(4, '\0')) + "\4\0";
    std::thread sender([&] {
        std::size_t at = 0;
        while (at < bytes.size()) {
            const ssize_t count = ::write(pair[1], bytes.data() + at, std::min<std::size_t>(bytes.size() - at, 7001));
            if (count > 0) {
                at += static_cast<std::size_t>(count);
            } else {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
    });
    Receiver receiver(settings(), budget());
    Stream stream(receiver, pair[0], -1);
    const Deadlines deadlines{std::chrono::seconds(20), std::chrono::seconds(20)};
    HILUM_CHECK(stream.next(deadlines) == Outcome::message);
    HILUM_CHECK(receiver.take().object->scan->sha256 == sha256(view(expected_object(set))));
    HILUM_CHECK(stream.next(deadlines) == Outcome::message);
    HILUM_CHECK(receiver.take().context_id == 3);
    HILUM_CHECK(stream.next(deadlines) == Outcome::release_request);
    sender.join();
    const Deadlines short_ones{std::chrono::seconds(20), std::chrono::milliseconds(20)};
    HILUM_CHECK(stream.next(short_ones) == Outcome::slow);
    ::close(pair[1]);
    HILUM_CHECK(stream.next(deadlines) == Outcome::closed);
    ::close(pair[0]);
});

HILUM_TEST("stream ends when nothing comes or it is woken", {
    std::array<int, 2> pair{};
    std::array<int, 2> wake{};
    HILUM_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()) == 0);
    HILUM_CHECK(::pipe(wake.data()) == 0);
    Receiver receiver(settings(), budget());
    Stream stream(receiver, pair[0], wake[0]);
    HILUM_CHECK(stream.next({std::chrono::milliseconds(10), std::chrono::seconds(20)}) == Outcome::idle);
    HILUM_CHECK(::write(wake[1], "x", 1) == 1);
    HILUM_CHECK(stream.next({}) == Outcome::woken);
    for (const int fd : {pair[0], pair[1], wake[0], wake[1]}) {
        ::close(fd);
    }
});

HILUM_TEST("a message is sent in PDUs of the peer's length, however slowly it is taken", {
    const Bytes set = data_set(1'000'003);
    const Bytes head = command(1, true);
    for (const std::size_t most : {std::size_t{0}, std::size_t{8}, std::size_t{4097}, std::size_t{1} << 20U}) {
        std::array<int, 2> pair{};
        HILUM_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()) == 0);
        const Bytes sent = most == 8 ? set.substr(0, 1001) : set;  // fragments of two bytes
        Sent outcome = Sent::slow;
        std::thread sender([&] {
            outcome = send_message(pair[1], {1, view(head), view(sent), true, most}, std::chrono::seconds(20));
        });
        Bytes came;
        const std::size_t step = most == 0 ? kLongestPdv - 6 : std::min((most - 6) & ~std::size_t{1}, kLongestPdv);
        for (std::size_t at = 0; at < head.size(); at += step) {
            came += data_pdu(1, at + step >= head.size() ? 3 : 1, head.substr(at, step));
        }
        for (std::size_t at = 0; at < sent.size(); at += step) {
            came += data_pdu(1, at + step >= sent.size() ? 2 : 0, sent.substr(at, step));
        }
        Bytes got;
        while (got.size() < came.size()) {
            std::array<char, 9973> some{};
            const ssize_t count = ::read(pair[0], some.data(), some.size());
            if (count > 0) {
                got.append(some.data(), static_cast<std::size_t>(count));
            } else {
                std::this_thread::sleep_for(std::chrono::microseconds(100));
            }
        }
        sender.join();
        HILUM_CHECK(outcome == Sent::all);
        HILUM_CHECK(got == came);
        ::close(pair[0]);
        ::close(pair[1]);
    }
});

HILUM_TEST("a message without a data set, a peer that takes nothing, one that has gone", {
    std::array<int, 2> pair{};
    HILUM_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()) == 0);
    Receiver receiver(settings(), budget());
    Stream stream(receiver, pair[0], -1);
    const Bytes head = command(0x30, false);
    HILUM_CHECK(send_message(pair[1], {3, view(head), {}, false, 16384}, std::chrono::seconds(1)) == Sent::all);
    HILUM_CHECK(stream.next({}) == Outcome::message);
    HILUM_CHECK(receiver.take().context_id == 3);
    HILUM_CHECK(send_message(pair[1], {1, view(command(1, true)), {}, true, 16384}, std::chrono::seconds(1)) ==
                Sent::all);
    HILUM_CHECK(stream.next({}) == Outcome::message);
    HILUM_CHECK(receiver.take().object->size == 0);
    const Bytes set(4U << 20U, 'x');
    HILUM_CHECK(send_message(pair[1], {1, view(head), view(set), true, 0}, std::chrono::milliseconds(20)) ==
                Sent::slow);
    HILUM_CHECK_THROWS(Errc::invalid_argument,
                       static_cast<void>(send_message(pair[1], {1, view(head), {}, false, 7}, {})));
    ::close(pair[0]);
    HILUM_CHECK(send_message(pair[1], {1, view(head), {}, false, 0}, std::chrono::seconds(1)) == Sent::closed);
    ::close(pair[1]);
});

HILUM_TEST_MAIN
