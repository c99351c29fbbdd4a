// SPDX-License-Identifier: Apache-2.0
#include <deque>
#include <string>
#include <vector>

#include "convert.hpp"
#include "hilum/codec/jpeg.hpp"
#include "hilum/codec/jpeg2000.hpp"
#include "hilum/codec/registry.hpp"
#include "hilum/error.hpp"
#include "module.hpp"
#include "pixels.hpp"

namespace hilum::bindings {
namespace {

py::tuple decode(const py::object& data, const py::object& transfer_syntax_uid, const py::object& pixels,
                 const py::object& frame_bit_offset, const py::object& out) {
    const FrameArguments arguments(data, transfer_syntax_uid, pixels, frame_bit_offset);
    const BufferView target(out, true);
    codec::ImageInfo info;
    {
        const py::gil_scoped_release unlocked;
        info = codec::decode_frame(arguments.frame(), arguments.syntax, arguments.description, target.writable());
    }
    return py::make_tuple(info.precision, info.is_signed);
}

void decode_jpeg2000(const py::object& data, const py::object& pixels, const py::object& discard_levels,
                     const py::object& threads, const py::object& region, const py::object& out) {
    const BufferView source(data, false);
    const codec::PixelDescription description = to_description(pixels);
    codec::jpeg2000::Options options{to_number(discard_levels, "discard_levels"), to_number(threads, "threads")};
    if (!region.is_none()) {
        const py::tuple part = to_tuple(region, 4, "region");
        options.region = codec::jpeg2000::Region{to_number(part[0], "region"), to_number(part[1], "region"),
                                                 to_number(part[2], "region"), to_number(part[3], "region")};
    }
    const BufferView target(out, true);
    const py::gil_scoped_release unlocked;
    const codec::ImageInfo info = codec::jpeg2000::kHilum.probe(source.bytes(), description);
    codec::jpeg2000::decode_with(source.bytes(), description, info, options, target.writable());
}

py::tuple jpeg2000_size(const py::object& data, const py::object& discard_levels) {
    const BufferView source(data, false);
    const auto [rows, columns] =
        codec::jpeg2000::reduced_size(source.bytes(), to_number(discard_levels, "discard_levels"));
    return py::make_tuple(rows, columns);
}

void decode_jpeg_parts(const py::object& parts, const py::object& pixels, const py::object& halvings,
                       const py::object& threads, const py::object& out) {
    const codec::PixelDescription description = to_description(pixels);
    const BufferView target(out, true);
    if (target.raw().ndim != 3 || target.raw().itemsize != 1 || target.raw().shape[2] != 3) {
        throw Error(Errc::invalid_argument, "out must be (rows, columns, 3) of 8 bits");
    }
    std::deque<BufferView> frames;
    std::vector<codec::jpeg::RgbPart> all;
    for (const py::handle item : py::iter(parts)) {
        const py::tuple part = to_tuple(item, 7, "part");
        const std::span<const std::byte> frame = frames.emplace_back(part[0]).bytes();
        all.push_back({frame, to_number(part[1], "x"), to_number(part[2], "y"), to_number(part[3], "columns"),
                       to_number(part[4], "rows"), to_number(part[5], "to_x"), to_number(part[6], "to_y")});
    }
    const auto rows = static_cast<std::uint32_t>(target.raw().shape[0]);
    const auto columns = static_cast<std::uint32_t>(target.raw().shape[1]);
    const unsigned halved = to_number(halvings, "halvings");
    const unsigned workers = to_number(threads, "threads");
    const std::span<std::byte> bytes = target.writable();
    const py::gil_scoped_release unlocked;
    codec::jpeg::decode_rgb_parts(all, description, halved, rows, columns,
                                  {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()}, workers);
}

py::tuple codecs() {
    py::list all;
    for (const codec::Syntax& syntax : codec::syntaxes()) {
        for (const codec::Codec* one : syntax.decoders) {
            all.append(py::make_tuple(syntax.uid, syntax.name, one->name, one->provider));
        }
    }
    return py::tuple(all);
}

}  // namespace

void bind_codec(py::module_& m) {
    using namespace py::literals;
    m.def("decode", &decode, "data"_a, "transfer_syntax_uid"_a, "pixels"_a, "frame_bit_offset"_a = 0, py::kw_only(),
          "out"_a,
          "Stored values of one frame (a buffer, or a list of fragments) into out: (rows, columns[, samples]). Gives "
          "what the code stream says: (bits of a sample, signed).");
    m.def(
        "check_pixels", [](const py::object& pixels) { codec::check_description(to_description(pixels)); }, "pixels"_a,
        "Raises unless every field is one that the decoders and the caller's allocation may trust.");
    m.def(
        "decode_jpeg2000", &decode_jpeg2000, "data"_a, "pixels"_a, "discard_levels"_a = 0, "threads"_a = 1,
        "region"_a = py::none(), py::kw_only(), "out"_a,
        "One JPEG 2000 frame into out: without its highest resolutions, with threads inside. Of jpeg2000_size, or the "
        "region (x, y, columns, rows) of that image.");
    m.def("decode_jpeg_parts", &decode_jpeg_parts, "parts"_a, "pixels"_a, "halvings"_a = 0, "threads"_a = 1,
          py::kw_only(), "out"_a,
          "Parts (frame, x, y, columns, rows, to_x, to_y) of JPEG DCT frames as RGB into out, (rows, columns, 3).");
    m.def("jpeg2000_size", &jpeg2000_size, "data"_a, "discard_levels"_a,
          "(rows, columns) of a JPEG 2000 frame without its highest resolutions: each halves both, rounded up.");
    m.def(
        "codec_libraries",
        [] {
            py::list all;
            for (const auto& [name, version] : codec::libraries()) {
                all.append(py::make_tuple(name, version));
            }
            return py::tuple(all);
        },
        "(name, version) of each library that codecs are built on, or \"left out\".");
    m.def("codecs", &codecs, "(transfer syntax UID, its name, decoder, whose code) for each decoder, best first.");
}

}  // namespace hilum::bindings
