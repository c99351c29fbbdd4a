// SPDX-License-Identifier: Apache-2.0
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <vector>

#include "convert.hpp"
#include "hilum/pack/reader.hpp"
#include "hilum/pack/writer.hpp"
#include "module.hpp"

namespace hilum::bindings {
namespace {

using namespace py::literals;
using namespace hilum::pack;

/// 16 or 32 bytes of a buffer.
template <typename Array>
Array fixed(const py::object& source, const char* what) {
    const BufferView view(source);
    Array out{};
    if (view.bytes().size() != out.size()) {
        throw Error(Errc::invalid_argument, std::string(what) + " must have " + std::to_string(out.size()) + " bytes");
    }
    std::copy(view.bytes().begin(), view.bytes().end(), out.begin());
    return out;
}

py::tuple to_tuple(const Placed& placed) {
    return py::make_tuple(placed.offset, placed.length, to_bytes(placed.sha256), placed.crc, placed.sequence);
}

/// (kind, flags, received_ns, pieces, sha256 | None, crc32c | None); the views keep the pieces alive.
NewRecord to_record(const py::tuple& fields, std::vector<std::unique_ptr<BufferView>>& views) {
    if (fields.size() != 6) {
        throw Error(Errc::invalid_argument, "a record has six fields");
    }
    NewRecord record;
    record.kind = fields[0].cast<std::uint16_t>();
    record.flags = fields[1].cast<std::uint32_t>();
    record.received_ns = fields[2].cast<std::uint64_t>();
    for (const py::handle piece : fields[3]) {
        views.push_back(std::make_unique<BufferView>(py::reinterpret_borrow<py::object>(piece)));
        record.pieces.push_back(views.back()->bytes());
    }
    if (!fields[4].is_none()) {
        record.sha256 = fixed<Digest>(fields[4], "sha256");
    }
    if (!fields[5].is_none()) {
        record.crc = fields[5].cast<std::uint32_t>();
    }
    return record;
}

py::list append(PackWriter& writer, const py::object& source) {
    std::vector<std::unique_ptr<BufferView>> views;
    std::vector<NewRecord> records;
    for (const py::handle each : source) {
        records.push_back(to_record(each.cast<py::tuple>(), views));
    }
    std::vector<Placed> placed;
    {
        const py::gil_scoped_release unlocked;
        placed = writer.append(records);
    }
    py::list result;
    for (const Placed& each : placed) {
        result.append(to_tuple(each));
    }
    return result;
}

void write(PackWriter& writer, const py::object& data) {
    const BufferView view(data);
    const py::gil_scoped_release unlocked;
    writer.write(view.bytes());
}

py::tuple finish(PackWriter& writer) {
    Placed placed;
    {
        const py::gil_scoped_release unlocked;
        placed = writer.finish();
    }
    return to_tuple(placed);
}

py::tuple append_from(PackWriter& writer, int fd, std::uint16_t kind, std::uint32_t flags, std::uint64_t received_ns,
                      std::uint64_t length) {
    Placed placed;
    {
        const py::gil_scoped_release unlocked;
        placed = writer.append_from(fd, kind, flags, received_ns, length);
    }
    return to_tuple(placed);
}

void seal(PackWriter& writer, std::uint32_t reason) {
    writer.seal(static_cast<SealReason>(reason));
}

std::unique_ptr<PackWriter> create(const std::string& directory, std::uint64_t number, const py::object& archive) {
    const Uuid uuid = fixed<Uuid>(archive, "archive UUID");
    const py::gil_scoped_release unlocked;
    return PackWriter::create(directory, number, uuid);
}

const char* name_of(Recovery::State state) {
    constexpr std::array<const char*, 6> kNames{"open", "sealed", "locked", "unborn", "damaged", "gone"};
    return kNames[static_cast<std::size_t>(state)];
}

py::tuple adopt(const std::string& directory, std::uint64_t number, const py::object& archive, std::uint64_t known,
                bool writing) {
    const Uuid uuid = fixed<Uuid>(archive, "archive UUID");
    Recovery recovery;
    std::unique_ptr<PackWriter> writer;
    {
        const py::gil_scoped_release unlocked;
        writer = PackWriter::adopt(directory, number, uuid, known, writing, recovery);
    }
    return py::make_tuple(py::cast(std::move(writer)), name_of(recovery.state), recovery.end, recovery.cut,
                          recovery.suspect, recovery.missing);
}

py::bytes read(PackReader& reader, std::uint64_t number, std::uint64_t offset, std::uint64_t length,
               std::uint64_t start, std::uint64_t count, std::optional<std::uint32_t> crc) {
    if (start > length || count > length - start) {
        throw Error(Errc::out_of_range, "the range ends after the end of the record", start);
    }
    // An uninitialised bytes object that is filled before anyone else sees it.
    PyObject* raw = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(count));
    if (raw == nullptr) {
        throw py::error_already_set();
    }
    auto result = py::reinterpret_steal<py::bytes>(raw);
    const std::span<std::byte> out(reinterpret_cast<std::byte*>(PyBytes_AS_STRING(raw)),
                                   static_cast<std::size_t>(count));
    const py::gil_scoped_release unlocked;
    reader.read(number, offset, length, start, out, crc);
    return result;
}

/// Null if the payload's bytes match everything in its header, else what is wrong.
py::object check(PackReader& reader, std::uint64_t number, std::uint64_t offset, std::uint64_t length) {
    const char* reason = nullptr;
    {
        const py::gil_scoped_release unlocked;
        const auto pack = reader.file(number);
        const RecordHeader header = reader.header(number, offset, length);
        reason = check_payload(FileSource(pack->fd()), header, true);
    }
    return reason == nullptr ? py::object(py::none()) : py::object(py::str(reason));
}

/// None if bad without a whole header, else the fields of RecordInfo after `pack`.
py::object header_tuple(const Step& step) {
    if (!step.has_header) {
        return py::none();
    }
    const RecordHeader& h = step.header;
    return py::make_tuple(h.kind, h.offset + kRecordHeaderBytes, h.payload_length, to_bytes(h.sha256), h.payload_crc,
                          h.received_ns, h.flags, h.sequence, step.end);
}

/// A walk over one pack, which stays open as long as the walk lives. Not thread-safe.
class PackWalk {
public:
    PackWalk(std::shared_ptr<const PackFile> pack, std::uint64_t start, Walker::Options options)
        : pack_(std::move(pack)), source_(pack_->fd()), walker_(source_, pack_->salt(), start, options) {}

    /// At most `limit` steps or about `budget` bytes of records; ended() afterwards if fewer are left.
    [[nodiscard]] std::vector<Step> next(std::size_t limit, std::uint64_t budget) {
        std::vector<Step> steps;
        for (std::uint64_t bytes = 0; !ended_ && steps.size() < limit && bytes < budget;) {
            const Step step = walker_.next();
            ended_ = step.what == Step::What::end;
            if (!ended_) {
                bytes += step.end - step.offset;
                steps.push_back(step);
            }
        }
        return steps;
    }
    [[nodiscard]] bool ended() const noexcept { return ended_; }
    [[nodiscard]] std::uint64_t position() const noexcept { return walker_.position(); }
    [[nodiscard]] std::uint64_t tail() const noexcept {
        return source_.size() > position() ? source_.size() - position() : 0;
    }
    [[nodiscard]] bool suspect() const noexcept { return walker_.tail() == Tail::suspect; }

private:
    std::shared_ptr<const PackFile> pack_;
    FileSource source_;
    Walker walker_;
    bool ended_ = false;
};

std::unique_ptr<PackWalk> walk(PackReader& reader, std::uint64_t number, std::uint64_t start, bool check, bool hash) {
    const py::gil_scoped_release unlocked;
    return std::make_unique<PackWalk>(reader.file(number), start, Walker::Options{check, hash, false});
}

/// Steps are (offset, end, reason, header fields | None).
py::list next_steps(PackWalk& walk, std::size_t limit, std::uint64_t budget) {
    std::vector<Step> steps;
    {
        const py::gil_scoped_release unlocked;
        steps = walk.next(limit, budget);
    }
    py::list result;
    for (const Step& step : steps) {
        result.append(
            py::make_tuple(step.offset, step.end, step.what == Step::What::bad ? step.reason : "", header_tuple(step)));
    }
    return result;
}

/// (size, created_ns, damage of the file header, seal: None | (reason, records, payload bytes, suspect from)).
py::tuple info(PackReader& reader, std::uint64_t number) {
    std::shared_ptr<const PackFile> pack;
    std::uint64_t size = 0;
    std::optional<SealPayload> seal;
    {
        const py::gil_scoped_release unlocked;
        pack = reader.file(number);
        const FileSource source(pack->fd());
        size = source.size();
        seal = find_seal(source, pack->salt());
    }
    const py::object sealed = seal ? py::object(py::make_tuple(static_cast<std::uint32_t>(seal->reason), seal->records,
                                                               seal->payload_bytes, seal->suspect_from))
                                   : py::object(py::none());
    return py::make_tuple(size, pack->created_ns(), pack->header_damage(), sealed);
}

void bind_writer(py::module_& m) {
    using unlocked = py::call_guard<py::gil_scoped_release>;
    py::class_<PackWriter>(m, "PackWriter", "Appends to one pack. Calls must be serialised by the caller.")
        .def_static("create", &create, "directory"_a, "number"_a, "archive"_a,
                    "A new pack, or None if the number is taken.")
        .def_static("adopt", &adopt, "directory"_a, "number"_a, "archive"_a, "known"_a, "writing"_a,
                    "(writer or None, state, end, cut, suspect, missing) after recovery.")
        .def(
            "append", &append, "records"_a,
            "Durable (offset, length, sha256, crc32c, sequence) of (kind, flags, received_ns, pieces, sha256, crc32c).")
        .def("begin", &PackWriter::begin, "kind"_a, "flags"_a, "received_ns"_a, "length"_a, unlocked(),
             "Begin a record that is written in pieces.")
        .def("write", &write, "data"_a, "The next piece.")
        .def("finish", &finish, "Durable (offset, length, sha256, crc32c, sequence).")
        .def("cancel", &PackWriter::cancel, unlocked(), "End the record that was begun without a trace.")
        .def("append_from", &append_from, "fd"_a, "kind"_a, "flags"_a, "received_ns"_a, "length"_a,
             "One record out of the next bytes of a descriptor.")
        .def("seal", &seal, "reason"_a, unlocked(), "End the pack and close it; reasons as in SealReason.")
        .def("close", &PackWriter::close, unlocked(), "Close the pack; it may be adopted by another process.")
        .def("forget", &PackWriter::forget, "In the child of a fork: close without unlocking.")
        .def_property_readonly("number", &PackWriter::number)
        .def_property_readonly("end", &PackWriter::end, "End of the last record.")
        .def_property_readonly("usable", &PackWriter::usable, "False after a failed flush, seal or close.");
}

void bind_reader(py::module_& m) {
    using unlocked = py::call_guard<py::gil_scoped_release>;
    py::class_<PackReader>(m, "PackReader", "Reads the packs of one archive. Thread-safe.")
        .def(py::init([](const std::string& directory, const py::object& archive, std::size_t max_open) {
                 return std::make_unique<PackReader>(directory, fixed<Uuid>(archive, "archive UUID"), max_open);
             }),
             "directory"_a, "archive"_a, "max_open"_a)
        .def("read", &read, "number"_a, "offset"_a, "length"_a, "start"_a, "count"_a, "crc32c"_a,
             "Verified bytes [start, start + count) of a payload.")
        .def("check", &check, "number"_a, "offset"_a, "length"_a, "None, or what is wrong with the record.")
        .def("walk", &walk, "number"_a, "start"_a, "check"_a, "hash"_a, "A walk over the records of a pack.")
        .def("info", &info, "number"_a, "(size, created_ns, header damage, seal or None).")
        .def("drop", &PackReader::drop, "number"_a, unlocked(), "Close one pack.")
        .def("clear", &PackReader::clear, unlocked(), "Close all packs.")
        .def("lock", &PackReader::lock, unlocked(), "Before a fork.")
        .def("unlock", &PackReader::unlock, "After a fork, in both processes.")
        .def("open_files", &PackReader::open_files, unlocked(), "Descriptors in use.");
    py::class_<PackWalk>(m, "PackWalk", "A walk over the records of one pack.")
        .def("next", &next_steps, "limit"_a, "budget"_a, "The next (offset, end, reason, header fields or None).")
        .def_property_readonly("ended", &PackWalk::ended)
        .def_property_readonly("position", &PackWalk::position, "Offset after the last step.")
        .def_property_readonly("tail", &PackWalk::tail, "Bytes after the last step.")
        .def_property_readonly("suspect", &PackWalk::suspect, "The tail is damaged, not merely unfinished.");
}

}  // namespace

void bind_pack(py::module_& m) {
    m.attr("PACK_FILE_HEADER") = kFileHeaderBytes;
    m.attr("PACK_RECORD_HEADER") = kRecordHeaderBytes;
    m.attr("PACK_BLOCK") = kBlockBytes;
    m.attr("PACK_FORMAT_VERSION") = kFormatVersion;
    bind_writer(m);
    bind_reader(m);
}

}  // namespace hilum::bindings
