// SPDX-License-Identifier: Apache-2.0
#include "hilum/pack/frames.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "hilum/codec/native.hpp"
#include "hilum/limits.hpp"
#include "hilum/parallel.hpp"

namespace hilum::pack {
namespace {

/// Where a frame is in its object.
struct Place {
    std::vector<dicom::Fragment> fragments;
    std::uint64_t bytes = 0;
    unsigned bit_offset = 0;
};

/// A native frame may be longer than the 32 bits of a fragment: it is the only one of its list, `bytes` long.
[[nodiscard]] Place place_of(const dicom::FrameTable& table, std::uint32_t frame) {
    if (frame >= table.frames()) {
        throw Error(Errc::out_of_range, "there is no such frame: the object has " + std::to_string(table.frames()));
    }
    Place place;
    if (table.kind() == dicom::FrameKind::native) {
        const std::uint64_t first_bit = std::uint64_t{frame} * table.frame_bits();
        place.bit_offset = static_cast<unsigned>(first_bit % 8);
        place.bytes = (place.bit_offset + table.frame_bits() + 7) / 8;
        place.fragments = {{table.first() + first_bit / 8, 0}};
    } else {
        place.fragments = table.fragments(frame);
        for (const dicom::Fragment& fragment : place.fragments) {
            place.bytes += fragment.length;
        }
    }
    if (place.bytes > limits::kMaxFrameBytes) {
        throw Error(Errc::limit_exceeded, "the stored frame is larger than 4 GiB");
    }
    return place;
}

void check_inside(const Place& place, const StoredObject& object) {
    for (const dicom::Fragment& fragment : place.fragments) {
        const std::uint64_t length = object.frames.kind() == dicom::FrameKind::native ? place.bytes : fragment.length;
        if (fragment.offset > object.length || length > object.length - fragment.offset) {
            throw Error(Errc::bad_frame_table, "the frame ends after its object", fragment.offset);
        }
    }
}

/// Bytes of 16-bit words, counted from `first`, in the order of the object (PS3.5 8.1.1): whole words are read.
void read_swapped(PackReader& reader, const StoredObject& object, std::uint64_t offset, std::span<std::byte> out) {
    const std::uint64_t odd = (offset - object.frames.first()) & 1U;
    const std::uint64_t start = offset - odd;
    const std::uint64_t words = (odd + out.size() + 1) / 2 * 2;
    std::vector<std::byte> bytes(static_cast<std::size_t>(words));
    const std::uint64_t stored = std::min(words, object.length - std::min(object.length, start));
    reader.read(object.pack, object.offset, object.length, start, std::span(bytes).first(stored), std::nullopt);
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
        std::swap(bytes[i], bytes[i + 1]);
    }
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(odd), out.size(), out.begin());
}

void read_frame(PackReader& reader, const StoredObject& object, const Place& place, std::span<std::byte> into) {
    if (object.frames.swapped_words()) {
        return read_swapped(reader, object, place.fragments[0].offset, into);
    }
    const bool native = object.frames.kind() == dicom::FrameKind::native;
    for (const dicom::Fragment& fragment : place.fragments) {
        const std::size_t length = native ? into.size() : fragment.length;
        reader.read(object.pack, object.offset, object.length, fragment.offset, into.first(length), std::nullopt);
        into = into.subspan(length);
    }
}

}  // namespace

void decode_frame(PackReader& reader, const StoredObject& object, std::uint32_t frame, std::span<std::byte> out) {
    if (object.frames.inflated()) {
        throw Error(Errc::invalid_argument, "the object is deflated: inflate it first");
    }
    const Place place = place_of(object.frames, frame);
    check_inside(place, object);
    if (object.frames.kind() == dicom::FrameKind::native && place.bytes == out.size() &&
        object.syntax->decoders.front() == &codec::native::kLittleEndian &&
        codec::native::is_plain(object.description)) {
        read_frame(reader, object, place, out);
        codec::extract_stored(out, object.description);
        return;
    }
    const auto stored = std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(place.bytes));
    const std::span<std::byte> bytes(stored.get(), static_cast<std::size_t>(place.bytes));
    read_frame(reader, object, place, bytes);
    const std::span<const std::byte> fragment = bytes;
    codec::decode_frame({{&fragment, 1}, place.bit_offset}, *object.syntax, object.description, out);
}

void decode_frames(PackReader& reader, std::span<const StoredObject> objects, std::span<const FrameRef> refs,
                   std::span<std::byte> out, unsigned threads) {
    parallel::for_each(refs.size(), threads, [&](std::size_t index) {
        const FrameRef ref = refs[index];
        try {
            if (ref.object >= objects.size()) {
                throw Error(Errc::out_of_range, "there is no such object in the request");
            }
            const StoredObject& object = objects[ref.object];
            decode_frame(reader, object, ref.frame, codec::part_of(out, index, refs.size(), object.description));
        } catch (const Error& error) {
            throw codec::FrameError(index, error);
        }
    });
}

}  // namespace hilum::pack
