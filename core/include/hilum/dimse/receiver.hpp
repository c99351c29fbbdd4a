// SPDX-License-Identifier: Apache-2.0
// DIMSE messages of an established association: fragments in, whole messages out. The data set of a C-STORE request
// becomes an object that is scanned and hashed and ready for its pack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hilum/dicom/scan_file.hpp"
#include "hilum/dimse/arriving.hpp"
#include "hilum/dimse/command.hpp"
#include "hilum/dimse/pdu_reader.hpp"
#include "hilum/error.hpp"

namespace hilum::dimse {

struct ReceiverSettings {
    std::map<std::uint8_t, std::string> contexts;   ///< transfer syntax of each accepted presentation context
    std::uint64_t max_pdu_bytes = 0;                ///< see PduReader
    std::uint64_t max_data_set_bytes = 16U << 20U;  ///< of a message that brings no object
    SpoolSettings spool;
    Implementation implementation;
};

/// The object of a C-STORE request: complete, or why it is none.
struct ReceivedObject {
    std::uint64_t size = 0;              ///< bytes of the data set
    std::optional<Error> error;          ///< it could not be received, or it cannot be stored
    std::shared_ptr<ObjectBytes> bytes;  ///< one of these two, unless there is an error
    std::shared_ptr<SpoolFile> file;
    std::optional<dicom::HashedScan> scan;
};

struct Message {
    std::uint8_t context_id = 0;
    std::vector<std::byte> command;
    std::vector<std::byte> data;  ///< data set of a message that brings no object
    bool has_data = false;
    bool too_long = false;  ///< the data set was above max_data_set_bytes; `data` is empty
    std::optional<ReceivedObject> object;
};

enum class Happened {
    nothing,  ///< more bytes are needed
    message,  ///< see take()
    release_request,
    release_response,
    abort,
};

/// Throws ProtocolError where the peer must be aborted; what had arrived of a message is gone then.
class Receiver {
public:
    Receiver(ReceiverSettings settings, std::shared_ptr<MemoryBudget> budget);
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;

    /// Takes bytes off the front of `input` until something has happened or all are used up.
    [[nodiscard]] Happened feed(std::span<const std::byte>& input);
    /// Where the next bytes of the stream belong, so that they can be read there at once; empty if they are not the
    /// bytes of an object. Never more than the current fragment has.
    [[nodiscard]] std::span<std::byte> room();
    /// The first `count` bytes of room() were read.
    [[nodiscard]] Happened filled(std::size_t count);
    /// The message that was announced.
    [[nodiscard]] Message take();

    /// Whether a PDU or a message has begun and is not complete.
    [[nodiscard]] bool in_message() const noexcept { return began_ || !reader_.between_pdus(); }
    [[nodiscard]] const PduReader& reader() const noexcept { return reader_; }

private:
    void begin_fragment(const Token& token);
    void begin_data_set();
    void take_data(std::span<const std::byte> data);
    void to_object(std::span<const std::byte> data);
    [[nodiscard]] Happened end_fragment();
    void finish_object();
    void refuse_object(const Error& error);
    void count_fragment(std::uint32_t length);

    ReceiverSettings settings_;
    std::shared_ptr<MemoryBudget> budget_;
    PduReader reader_;
    bool began_ = false;        // the first fragment of a message has come
    bool in_data_set_ = false;  // its command set is complete
    bool last_ = false;         // of the current fragment
    std::uint64_t fragments_ = 0;
    std::uint64_t empty_ = 0;
    std::uint64_t bytes_ = 0;  // in fragments of this message
    std::uint64_t data_bytes_ = 0;
    Command command_;
    Message message_;
    std::unique_ptr<Arriving> arriving_;  // none: memory, or the object was refused
    std::size_t expected_ = 0;
};

}  // namespace hilum::dimse
