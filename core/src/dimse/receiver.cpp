// SPDX-License-Identifier: Apache-2.0
#include "hilum/dimse/receiver.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "hilum/limits.hpp"

namespace hilum::dimse {

Receiver::Receiver(ReceiverSettings settings, std::shared_ptr<MemoryBudget> budget)
    : settings_(std::move(settings)), budget_(std::move(budget)), reader_(settings_.max_pdu_bytes) {}

Happened Receiver::feed(std::span<const std::byte>& input) {
    for (;;) {
        const Token token = reader_.next(input);
        switch (token.what) {
            case Token::What::none:
                return Happened::nothing;
            case Token::What::fragment:
                begin_fragment(token);
                break;
            case Token::What::data:
                take_data(token.data);
                break;
            case Token::What::control:
                arriving_.reset();  // what came of an unfinished message counts for nothing
                began_ = false;
                return token.type == PduType::abort             ? Happened::abort
                       : token.type == PduType::release_request ? Happened::release_request
                                                                : Happened::release_response;
        }
        if (reader_.payload_left() == 0) {
            const Happened happened = end_fragment();
            if (happened != Happened::nothing) {
                return happened;
            }
        }
    }
}

std::span<std::byte> Receiver::room() {
    if (!arriving_ || reader_.payload_left() == 0) {
        return {};
    }
    try {
        const std::span<std::byte> room = arriving_->room(reader_.payload_left());
        return room.first(std::min(room.size(), reader_.payload_left()));
    } catch (const Error& error) {
        refuse_object(error);
        return {};
    }
}

Happened Receiver::filled(std::size_t count) {
    if (count == 0) {
        return Happened::nothing;
    }
    reader_.took(count);
    data_bytes_ += count;
    try {
        arriving_->filled(count);
    } catch (const Error& error) {
        refuse_object(error);
    }
    return reader_.payload_left() == 0 ? end_fragment() : Happened::nothing;
}

Message Receiver::take() {
    Message message = std::move(message_);
    message_ = {};
    return message;
}

void Receiver::count_fragment(std::uint32_t length) {
    ++fragments_;
    bytes_ += length;
    empty_ += length == 0 ? 1 : 0;
    if (empty_ > limits::kMaxEmptyFragments ||
        (fragments_ > limits::kManyFragments && bytes_ / fragments_ < limits::kLeastFragmentBytes)) {
        throw ProtocolError(AbortReason::not_specified, "a message of too many fragments");
    }
}

void Receiver::begin_fragment(const Token& token) {
    if (settings_.contexts.find(token.context_id) == settings_.contexts.end()) {
        throw ProtocolError(AbortReason::unrecognized_parameter,
                            "a fragment of a presentation context that was not accepted");
    }
    if (!began_) {
        began_ = true;
        in_data_set_ = false;
        fragments_ = empty_ = bytes_ = data_bytes_ = 0;
        message_ = {};
        message_.context_id = token.context_id;
    }
    if (token.context_id != message_.context_id || token.command == in_data_set_) {
        throw ProtocolError(AbortReason::unexpected_parameter, "a fragment that does not continue its message");
    }
    count_fragment(token.length);
    last_ = token.last;
}

void Receiver::take_data(std::span<const std::byte> data) {
    if (!in_data_set_) {
        if (message_.command.size() + data.size() > limits::kMaxCommandBytes) {
            throw ProtocolError(AbortReason::not_specified, "a command set without end");
        }
        message_.command.insert(message_.command.end(), data.begin(), data.end());
        return;
    }
    data_bytes_ += data.size();
    if (message_.object) {
        to_object(data);
    } else if (message_.data.size() + data.size() > settings_.max_data_set_bytes || message_.too_long) {
        message_.too_long = true;
        message_.data = {};
        if (data_bytes_ / 4 > settings_.max_data_set_bytes) {
            throw ProtocolError(AbortReason::not_specified, "a data set without end");
        }
    } else {
        message_.data.insert(message_.data.end(), data.begin(), data.end());
    }
}

void Receiver::to_object(std::span<const std::byte> data) {
    if (arriving_) {
        try {
            arriving_->write(data);
        } catch (const Error& error) {
            refuse_object(error);
        }
        return;
    }
    // The rest of an object that was refused is read and forgotten, so that the sender gets its answer; not for ever.
    if (data_bytes_ / 2 > settings_.spool.max_object_bytes) {
        throw ProtocolError(AbortReason::not_specified, "a data set without end");
    }
}

void Receiver::refuse_object(const Error& error) {
    message_.object->error.emplace(error);
    arriving_.reset();
}

void Receiver::begin_data_set() {
    in_data_set_ = true;
    message_.has_data = true;
    if (command_.field != kStoreRequest) {
        return;
    }
    message_.object.emplace();
    arriving_ = std::make_unique<Arriving>(settings_.spool, budget_, expected_);
    const std::string prefix = part10_prefix(command_.affected_sop_class_uid, command_.affected_sop_instance_uid,
                                             settings_.contexts.at(message_.context_id), settings_.implementation);
    to_object(std::as_bytes(std::span(prefix)));
}

Happened Receiver::end_fragment() {
    if (!last_) {
        return Happened::nothing;
    }
    if (!in_data_set_) {
        command_ = read_command(message_.command);
        if (command_.data_set_type != kNoDataSet) {
            begin_data_set();
            return Happened::nothing;
        }
    } else if (message_.object) {
        message_.object->size = data_bytes_;
        if (arriving_) {
            finish_object();
        }
    }
    began_ = false;
    return Happened::message;
}

void Receiver::finish_object() {
    ReceivedObject& object = *message_.object;
    const std::unique_ptr<Arriving> arrived = std::move(arriving_);
    expected_ = static_cast<std::size_t>(arrived->size());
    try {
        arrived->finish();
        if (arrived->file()) {
            object.scan.emplace(dicom::scan_file(arrived->file()->path(), 0).scan);
        } else {
            object.scan.emplace(dicom::scan_and_hash(arrived->bytes()->bytes(), false));
        }
        object.scan->sha256 = arrived->sha256();
        object.scan->crc32c = arrived->crc32c();
        object.bytes = arrived->bytes();
        object.file = arrived->file();
    } catch (const Error& error) {
        object.error.emplace(error);
    } catch (const std::bad_alloc&) {
        object.error.emplace(Errc::out_of_memory, "not enough memory to describe an object");
    }
}

}  // namespace hilum::dimse
