// SPDX-License-Identifier: Apache-2.0
#include <pybind11/stl.h>

#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "convert.hpp"
#include "hilum/dimse/receiver.hpp"
#include "hilum/dimse/sender.hpp"
#include "hilum/dimse/stream.hpp"
#include "module.hpp"

namespace hilum::bindings {
namespace {

using dimse::MemoryBudget;
using dimse::Message;
using dimse::ObjectBytes;
using dimse::ReceivedObject;
using dimse::Receiver;

const char* name_of(dimse::Happened happened) {
    constexpr const char* kNames[] = {"", "message", "release_request", "release_response", "abort"};
    return kNames[static_cast<std::size_t>(happened)];
}

const char* name_of(dimse::Outcome outcome) {
    constexpr const char* kNames[] = {
        "message", "release_request", "release_response", "abort", "closed", "idle", "slow", "woken"};
    return kNames[static_cast<std::size_t>(outcome)];
}

std::unique_ptr<Receiver> make_receiver(std::shared_ptr<MemoryBudget> budget,
                                        std::map<std::uint8_t, std::string> contexts, std::uint64_t max_pdu_bytes,
                                        std::uint64_t max_data_set_bytes, const std::string& folder,
                                        std::uint64_t spool_above_bytes, std::uint64_t max_object_bytes,
                                        const std::string& class_uid, const std::string& version_name) {
    dimse::ReceiverSettings settings;
    settings.contexts = std::move(contexts);
    settings.max_pdu_bytes = max_pdu_bytes;
    settings.max_data_set_bytes = max_data_set_bytes;
    settings.spool = {folder, spool_above_bytes, max_object_bytes};
    settings.implementation = {class_uid, version_name};
    return std::make_unique<Receiver>(std::move(settings), std::move(budget));
}

py::tuple feed(Receiver& receiver, const py::object& data) {
    const BufferView view(data);
    std::span<const std::byte> input = view.bytes();
    dimse::Happened happened{};
    {
        const py::gil_scoped_release release;
        happened = receiver.feed(input);
    }
    return py::make_tuple(view.bytes().size() - input.size(), name_of(happened));
}

std::chrono::milliseconds milliseconds(double seconds) {
    return std::chrono::milliseconds(std::llround(seconds * 1000));
}

const char* send(int descriptor, std::uint8_t context_id, const py::object& command, const py::object& data,
                 std::size_t max_pdu, double seconds) {
    constexpr const char* kNames[] = {"all", "closed", "slow"};
    const BufferView head(command);
    const BufferView body(data.is_none() ? command : data);
    const bool has_data = !data.is_none();
    const dimse::OutgoingMessage message{context_id, head.bytes(), body.bytes(), has_data, max_pdu};
    const py::gil_scoped_release release;
    return kNames[static_cast<std::size_t>(dimse::send_message(descriptor, message, milliseconds(seconds)))];
}

const char* next(dimse::Stream& stream, double idle_seconds, double pdu_seconds) {
    const dimse::Deadlines deadlines{milliseconds(idle_seconds), milliseconds(pdu_seconds)};
    const py::gil_scoped_release release;
    return name_of(stream.next(deadlines));
}

py::object scan_of(const ReceivedObject& object) {
    return object.error || !object.scan ? py::object(py::none()) : py::cast(*object.scan);
}

void bind_messages(py::module_& m) {
    py::class_<ObjectBytes, std::shared_ptr<ObjectBytes>> buffer(m, "ObjectBuffer", py::buffer_protocol(),
                                                                 "Bytes of an object that was received.");
    buffer
        .def_buffer([](const ObjectBytes& self) {
            return py::buffer_info(const_cast<std::byte*>(self.bytes().data()), 1, "B", 1,
                                   {static_cast<py::ssize_t>(self.bytes().size())}, {1}, true);
        })
        .def("__len__", [](const ObjectBytes& self) { return self.bytes().size(); });
#if PY_VERSION_HEX < 0x030C0000  // PEP 688: later versions define it by themselves
    buffer.def(
        "__buffer__", [](const py::object& self, int) { return py::memoryview(self); }, py::arg("flags"),
        py::pos_only(), "As the buffer protocol.");
#endif
    py::class_<ReceivedObject>(m, "ReceivedObject", "The object of a C-STORE request. Read-only.")
        .def_readonly("size", &ReceivedObject::size, "Bytes of the data set.")
        .def_property_readonly(
            "error",
            [](const ReceivedObject& self) { return self.error ? to_exception(*self.error) : py::object(py::none()); },
            "The HilumError that says why it is none, not raised, or None.")
        .def_property_readonly("scan", &scan_of, "Scan with checksums of all bytes, or None.")
        .def_property_readonly(
            "buffer", [](const ReceivedObject& self) { return self.bytes; }, "ObjectBuffer, or None.")
        .def_property_readonly(
            "path",
            [](const ReceivedObject& self) {
                return self.file ? py::object(py::str(self.file->path())) : py::object(py::none());
            },
            "File with the bytes, deleted with this object, or None.")
        .def(
            "discard",
            [](ReceivedObject& self) {
                self.bytes.reset();
                self.file.reset();
            },
            "Let go of the bytes and the file.");
    py::class_<Message>(m, "DimseMessage", "A message that was received. Read-only.")
        .def_readonly("context_id", &Message::context_id, "Presentation context.")
        .def_property_readonly(
            "command", [](const Message& self) { return to_bytes(self.command); }, "Command set.")
        .def_property_readonly(
            "data", [](const Message& self) { return to_bytes(self.data); }, "Data set that is no object.")
        .def_readonly("has_data", &Message::has_data, "Whether a data set came with it.")
        .def_readonly("too_long", &Message::too_long, "Whether the data set was above max_data_set_bytes.")
        .def_property_readonly(
            "object",
            [](py::object self) {
                auto& message = self.cast<Message&>();
                return message.object ? py::cast(&*message.object, py::return_value_policy::reference_internal, self)
                                      : py::object(py::none());
            },
            "ReceivedObject of a C-STORE request, or None.");
}

}  // namespace

void bind_dimse(py::module_& m) {
    bind_messages(m);
    py::class_<MemoryBudget, std::shared_ptr<MemoryBudget>>(m, "MemoryBudget", "Memory of all arriving objects.")
        .def(py::init<std::uint64_t>(), py::arg("limit"))
        .def_property_readonly("used", &MemoryBudget::used, "Bytes in memory now.");
    py::class_<Receiver>(m, "DimseReceiver", "DIMSE messages out of a stream of bytes. For one thread.")
        .def(py::init(&make_receiver), py::arg("budget"), py::arg("contexts"), py::arg("max_pdu_bytes"),
             py::arg("max_data_set_bytes"), py::arg("folder"), py::arg("spool_above_bytes"),
             py::arg("max_object_bytes"), py::arg("class_uid"), py::arg("version_name"))
        .def("feed", &feed, py::arg("data"), "(bytes used, what happened or ''); DataError: abort the association.")
        .def("take", &Receiver::take, "The message that was announced.")
        .def_property_readonly("in_message", &Receiver::in_message, "Whether something has begun and is incomplete.")
        .def_property_readonly(
            "between_pdus", [](const Receiver& self) { return self.reader().between_pdus(); },
            "Whether none has begun.")
        .def_property_readonly(
            "pdus", [](const Receiver& self) { return self.reader().pdus(); }, "PDUs that have begun.");
    py::class_<dimse::Stream>(m, "DimseStream", "A receiver on a descriptor that does not block. For one thread.")
        .def(py::init<Receiver&, int, int>(), py::arg("receiver"), py::arg("descriptor"), py::arg("wake") = -1,
             py::keep_alive<1, 2>())
        .def("next", &next, py::arg("idle_seconds"), py::arg("pdu_seconds"),
             "Wait; how it ended. DataError: abort the association.");
    m.def("send_message", &send, py::arg("descriptor"), py::arg("context_id"), py::arg("command"), py::arg("data"),
          py::arg("max_pdu"), py::arg("seconds"), "Send a message, data set or None; whether 'all' was sent in time.");
    m.def(
        "part10_prefix",
        [](const std::string& sop_class, const std::string& instance, const std::string& syntax,
           const std::string& class_uid, const std::string& version_name) {
            return py::bytes(dimse::part10_prefix(sop_class, instance, syntax, {class_uid, version_name}));
        },
        py::arg("sop_class_uid"), py::arg("sop_instance_uid"), py::arg("transfer_syntax_uid"), py::arg("class_uid"),
        py::arg("version_name"), "Preamble and file meta information of an object that came by C-STORE.");
}

}  // namespace hilum::bindings
