// SPDX-License-Identifier: Apache-2.0
// Many frames in one call: out of memory and out of packs.
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "convert.hpp"
#include "hilum/codec/batch.hpp"
#include "hilum/error.hpp"
#include "hilum/pack/frames.hpp"
#include "hilum/parallel.hpp"
#include "module.hpp"
#include "pixels.hpp"

namespace hilum::bindings {
namespace {

/// Frames are (data, transfer syntax UID, pixels, bit offset).
void decode_frames(const py::object& frames, const py::object& out, const py::object& threads) {
    std::deque<FrameArguments> arguments;
    std::vector<codec::EncodedFrame> encoded;
    for (const py::handle item : frames) {
        const py::tuple fields = to_tuple(item, 4, "a frame");
        const FrameArguments& last = arguments.emplace_back(fields[0], fields[1], fields[2], fields[3]);
        encoded.push_back({last.frame(), &last.syntax, &last.description});
    }
    const unsigned wanted = to_number(threads, "threads");
    const BufferView target(out, true);
    const py::gil_scoped_release unlocked;
    codec::decode_frames(encoded, target.writable(), wanted);
}

/// Objects are (pack, offset, length, frame table, transfer syntax UID, pixels); refs are pairs of 32-bit numbers:
/// which object, which of its frames.
void decode_stored_frames(pack::PackReader& reader, const py::object& objects, const py::object& refs,
                          const py::object& out, const py::object& threads) {
    const StoredObjects stored(objects);
    const BufferView pairs(refs);
    std::vector<pack::FrameRef> wanted(pairs.bytes().size() / sizeof(pack::FrameRef));
    if (pairs.bytes().size() % sizeof(pack::FrameRef) != 0) {
        throw Error(Errc::invalid_argument, "refs must be pairs of 32-bit numbers");
    }
    std::memcpy(wanted.data(), pairs.bytes().data(), pairs.bytes().size());
    const unsigned count = to_number(threads, "threads");
    const BufferView target(out, true);
    const py::gil_scoped_release unlocked;
    pack::decode_frames(reader, stored.all(), wanted, target.writable(), count);
}

}  // namespace

void bind_frames(py::module_& m) {
    using namespace py::literals;
    m.def("decode_frames", &decode_frames, "frames"_a, py::kw_only(), "out"_a, "threads"_a = 0,
          "Stored values of frames (data, transfer syntax UID, pixels, bit offset) into out: (frames, rows, columns[, "
          "samples]).");
    m.def("decode_stored_frames", &decode_stored_frames, "reader"_a, "objects"_a, "refs"_a, py::kw_only(), "out"_a,
          "threads"_a = 0,
          "The same out of packs: objects (pack, offset, length, frame table, transfer syntax UID, pixels), refs "
          "(frames, 2) uint32: object, frame.");
    m.def("default_threads", &parallel::default_threads,
          "Threads of a call that does not say: HILUM_THREADS, else the processors that the process may run on.");
}

}  // namespace hilum::bindings
