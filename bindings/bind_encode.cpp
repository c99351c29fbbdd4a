// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "convert.hpp"
#include "hilum/codec/encode.hpp"
#include "hilum/codec/jpeg.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/dicom/rewrite.hpp"
#include "hilum/error.hpp"
#include "module.hpp"
#include "pixels.hpp"

namespace hilum::bindings {
namespace {

codec::EncodeOptions to_options(const py::object& quality, const py::object& near, const py::object& step) {
    return {static_cast<int>(to_number(quality, "quality") & 0x7FFFU),
            static_cast<int>(to_number(near, "near") & 0x7FFFU), to_real(step, "step")};
}

py::bytes encode(const py::object& samples, const py::object& transfer_syntax_uid, const py::object& pixels,
                 const py::object& quality, const py::object& near, const py::object& step) {
    const codec::PixelDescription d = to_description(pixels);
    const codec::Encoder& encoder = codec::require_encoder(to_text(transfer_syntax_uid, "transfer_syntax_uid"));
    const codec::EncodeOptions options = to_options(quality, near, step);
    codec::check_description(d);
    encoder.check(d, options);
    const BufferView source(samples);
    const std::size_t room = encoder.bound(d);
    std::unique_ptr<std::byte[]> out;
    std::size_t size = 0;
    {
        const py::gil_scoped_release unlocked;
        out = std::make_unique_for_overwrite<std::byte[]>(room);
        size = codec::encode_frame(source.bytes(), encoder, d, options, {out.get(), room});
    }
    return to_bytes({out.get(), size});
}

void check_encode(const py::object& transfer_syntax_uid, const py::object& pixels, const py::object& quality,
                  const py::object& near, const py::object& step) {
    const codec::PixelDescription d = to_description(pixels);
    codec::check_description(d);
    codec::require_encoder(to_text(transfer_syntax_uid, "transfer_syntax_uid"))
        .check(d, to_options(quality, near, step));
}

py::tuple encoders() {
    py::list all;
    for (const codec::EncodedSyntax& syntax : codec::encoded_syntaxes()) {
        all.append(py::make_tuple(syntax.uid, syntax.encoder->name, syntax.encoder->provider));
    }
    return py::tuple(all);
}

unsigned precision(const py::object& samples, const py::object& pixels) {
    const codec::PixelDescription d = to_description(pixels);
    codec::check_description(d);
    const BufferView source(samples);
    if (source.bytes().size() != codec::frame_bytes(d) || d.bits_allocated == 1) {
        throw Error(Errc::invalid_argument, "the samples are not one frame of integers");
    }
    const py::gil_scoped_release unlocked;
    return codec::precision_of(source.bytes(), d);
}

const char* jpeg_colour(const py::object& data) {
    const BufferView source(data);
    switch (codec::jpeg::colour_of(codec::jpeg::read_markers(source.bytes()))) {
        case codec::ImageInfo::Colour::rgb:
            return "rgb";
        case codec::ImageInfo::Colour::ycc:
            return "ycc";
        default:
            return "";
    }
}

/// Two booleans: (explicit VR, big endian).
dicom::Encoding to_encoding(const py::object& value) {
    if (!PyTuple_Check(value.ptr()) || PyTuple_GET_SIZE(value.ptr()) != 2) {
        throw Error(Errc::invalid_argument, "an encoding is (explicit_vr, big_endian)");
    }
    return {to_bool(value[py::int_(0)]), to_bool(value[py::int_(1)])};
}

py::tuple layout(const py::object& data) {
    const BufferView source(data);
    const dicom::ObjectLayout found = dicom::read_layout(source.bytes());
    return py::make_tuple(found.has_meta, found.meta_offset, found.dataset_offset, found.encoding.explicit_vr,
                          found.encoding.big_endian);
}

py::bytes rewrite(const py::object& data, const py::object& begin, const py::object& from, const py::object& to,
                  const py::object& pixels_signed, const py::object& replacements) {
    const BufferView source(data);
    const std::uint32_t start = to_number(begin, "begin");
    if (start > source.bytes().size()) {
        throw Error(Errc::out_of_range, "begin is beyond the data");
    }
    std::vector<std::unique_ptr<BufferView>> views;
    std::vector<dicom::Replacement> elements;
    for (const py::handle item : replacements) {
        const py::object tag = item[py::int_(0)];
        views.push_back(std::make_unique<BufferView>(item[py::int_(1)]));
        elements.push_back({dicom::Tag(to_number(tag, "tag")), views.back()->bytes()});
    }
    const dicom::Encoding source_encoding = to_encoding(from);
    const dicom::Encoding target_encoding = to_encoding(to);
    const bool is_signed = to_bool(pixels_signed);
    std::vector<std::byte> out;
    {
        const py::gil_scoped_release unlocked;
        out = dicom::rewrite(source.bytes(), start, source_encoding, target_encoding, is_signed, elements);
    }
    return to_bytes(out);
}

}  // namespace

void bind_encode(py::module_& m) {
    using namespace py::literals;
    m.def("encode", &encode, "samples"_a, "transfer_syntax_uid"_a, "pixels"_a, py::kw_only(), "quality"_a = 90,
          "near"_a = 0, "step"_a = 0.0,
          "One frame, C-contiguous (rows, columns[, samples]) in native byte order, as its code stream.");
    m.def("check_encode", &check_encode, "transfer_syntax_uid"_a, "pixels"_a, py::kw_only(), "quality"_a = 90,
          "near"_a = 0, "step"_a = 0.0, "Raises unless the syntax can hold such frames.");
    m.def("encoders", &encoders, "(transfer syntax UID, encoder, whose code) for each encoder of the core.");
    m.def("precision", &precision, "samples"_a, "pixels"_a, "Bits that hold all samples: stored, else allocated.");
    m.def("jpeg_colour", &jpeg_colour, "data"_a,
          "What a JPEG code stream says of its colour: 'rgb', 'ycc', or '' where it does not.");
    m.def("layout", &layout, "data"_a,
          "(has file meta, its offset, offset of the data set, explicit VR, big endian), as found.");
    m.def("rewrite", &rewrite, "data"_a, "begin"_a, "source"_a, "target"_a, "pixels_signed"_a, "replacements"_a,
          "Elements from begin on in another encoding (explicit_vr, big_endian), with (tag, element) replaced.");
}

}  // namespace hilum::bindings
