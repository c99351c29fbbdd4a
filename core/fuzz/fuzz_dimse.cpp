// SPDX-License-Identifier: Apache-2.0
// The receive path on a hostile stream: every split of the bytes, and reading straight to where they belong, gives the
// same messages, objects, ends and refusals as all bytes at once. The first bytes choose limits and splits; a quarter
// of the inputs is wrapped into well-formed PDUs, so that messages and objects are reached.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "hilum/byte_order.hpp"
#include "hilum/checksum.hpp"
#include "hilum/dimse/receiver.hpp"

using namespace hilum;
using namespace hilum::dimse;

namespace {

using Bytes = std::vector<std::byte>;

std::string spool_folder() {
    static const std::string folder = [] {
        std::string name = "/tmp/hilum-fuzz-dimse-XXXXXX";
        return ::mkdtemp(name.data()) != nullptr ? name : std::string();
    }();
    return folder;
}

ReceiverSettings settings_of(unsigned choice) {
    ReceiverSettings settings;
    settings.contexts = {{1, "1.2.840.10008.1.2.1"}, {3, "1.2.840.10008.1.2"}, {5, "1.2.840.10008.1.2.1.99"}};
    settings.max_pdu_bytes = (choice & 1U) != 0 ? 0 : 20000;
    settings.max_data_set_bytes = 600;
    settings.spool.spool_above_bytes = (choice & 2U) != 0 ? 700 : 1U << 20U;
    settings.spool.max_object_bytes = (choice & 4U) != 0 ? 2000 : 1U << 20U;
    settings.spool.folder = (choice & 8U) != 0 ? spool_folder() : std::string();
    settings.implementation = {"2.25.1", "FUZZ"};
    return settings;
}

template <typename Value>
void note(std::string& trace, const Value& value) {
    trace += std::to_string(value) + ";";
}

void note_message(std::string& trace, const Message& message) {
    note(trace, message.context_id);
    note(trace, crc32c(message.command));
    note(trace, message.has_data);
    note(trace, message.too_long);
    note(trace, crc32c(message.data));
    if (!message.object) {
        return;
    }
    const ReceivedObject& object = *message.object;
    note(trace, object.size);
    if (object.error) {
        trace += object.error->what();
        return;
    }
    if (!object.scan || !object.scan->sha256 || (object.bytes == nullptr) == (object.file == nullptr)) {
        std::abort();
    }
    if (object.bytes) {
        const std::span<const std::byte> bytes = object.bytes->bytes();
        if (sha256(bytes) != *object.scan->sha256 || crc32c(bytes) != *object.scan->crc32c) {
            std::abort();
        }
    }
    note(trace, *object.scan->crc32c);
    trace += object.scan->result.sop_instance_uid;
}

/// What happens when the stream comes in pieces; a piece of even size is read to where it belongs, if it belongs
/// somewhere.
std::string run(const Bytes& stream, unsigned choice, std::span<const std::byte> splits) {
    const auto budget = std::make_shared<MemoryBudget>((choice & 16U) != 0 ? 300'000 : 1U << 26U);
    std::string trace;
    {
        Receiver receiver(settings_of(choice), budget);
        std::size_t at = 0;
        std::size_t turn = 0;
        try {
            while (at < stream.size()) {
                std::size_t piece = stream.size();
                if (!splits.empty()) {
                    piece = 1 + std::to_integer<std::size_t>(splits[turn++ % splits.size()]);
                }
                piece = std::min(piece, stream.size() - at);
                Happened happened{};
                const std::span<std::byte> room = piece % 2 == 0 ? receiver.room() : std::span<std::byte>();
                if (!room.empty()) {
                    const std::size_t count = std::min(piece, room.size());
                    std::copy_n(stream.begin() + static_cast<std::ptrdiff_t>(at), count, room.begin());
                    happened = receiver.filled(count);
                    at += count;
                } else {
                    std::span<const std::byte> input = std::span(stream).subspan(at, piece);
                    happened = receiver.feed(input);
                    at += piece - input.size();
                }
                if (happened != Happened::nothing) {
                    note(trace, static_cast<int>(happened));
                }
                if (happened == Happened::message) {
                    note_message(trace, receiver.take());
                }
            }
            note(trace, receiver.in_message());
        } catch (const ProtocolError& error) {
            trace += error.what();
            note(trace, static_cast<int>(error.reason()));
        }
    }
    if (budget->used() != 0) {
        std::abort();  // something is still held
    }
    return trace;
}

void append_pdu(Bytes& stream, std::uint8_t context, std::uint8_t control, std::span<const std::byte> payload) {
    const auto length = static_cast<std::uint32_t>(payload.size());
    std::array<std::byte, 12> head{std::byte{4}};
    const std::array<std::uint32_t, 2> lengths{length + 6, length + 2};
    for (std::size_t n = 0; n < 2; ++n) {
        for (std::size_t i = 0; i < 4; ++i) {
            head[2 + 4 * n + i] = static_cast<std::byte>(lengths[n] >> (24 - 8 * i));
        }
    }
    head[10] = std::byte{context};
    head[11] = std::byte{control};
    stream.insert(stream.end(), head.begin(), head.end());
    stream.insert(stream.end(), payload.begin(), payload.end());
}

/// Messages whose fragments are made of the input: the first byte of each says how.
Bytes wrapped(std::span<const std::byte> input) {
    static const std::string store(
        "\0\0\0\0\4\0\0\0\0\0\0\0"
        "\0\0\2\0\6\0\0\0001.2.3\0\0\0\0\1\2\0\0\0\1\0\0\0\20\1\2\0\0\0\1\0\0\0\0\10\2\0\0\0\0\0\0\0\0\20\6\0\0\0001.2."
        "4\0",
        70);
    Bytes stream;
    while (!input.empty()) {
        const auto how = std::to_integer<unsigned>(input.front());
        const std::size_t size = std::min<std::size_t>(input.size(), 1 + (how >> 3U) * 40);
        if ((how & 7U) == 0) {
            append_pdu(stream, 1, 3, std::as_bytes(std::span(store)));
        } else if ((how & 7U) == 7) {
            stream.insert(stream.end(), input.begin(), input.begin() + static_cast<std::ptrdiff_t>(size));
        } else {
            append_pdu(stream, (how & 7U) == 6 ? 3 : 1, (how & 3U) == 3 ? 2 : 0, input.first(size));
        }
        input = input.subspan(size);
    }
    return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) {
        return 0;
    }
    const std::span<const std::byte> input = std::as_bytes(std::span(data, size));
    const auto choice = std::to_integer<unsigned>(input[0]);
    const std::size_t count = std::min<std::size_t>(1 + std::to_integer<std::size_t>(input[1]) % 8, size - 2);
    const std::span<const std::byte> splits = input.subspan(2, count);
    const std::span<const std::byte> rest = input.subspan(2 + count);
    const Bytes stream = (choice & 96U) == 0 ? wrapped(rest) : Bytes(rest.begin(), rest.end());
    const std::string whole = run(stream, choice, {});
    constexpr std::array<std::byte, 1> kSingle{std::byte{0}};
    if (run(stream, choice, splits) != whole || run(stream, choice, kSingle) != whole) {
        std::abort();
    }
    return 0;
}
