// SPDX-License-Identifier: Apache-2.0
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "convert.hpp"
#include "hilum/checksum.hpp"
#include "hilum/dicom/attributes.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/dicom/scan_file.hpp"
#include "hilum/error.hpp"
#include "module.hpp"

namespace hilum::bindings {
namespace {

using dicom::FileBytes;
using dicom::HashedScan;
using Scan = HashedScan;

std::string file_path(const py::object& path) {
    const auto encoded = py::reinterpret_steal<py::object>([&] {
        PyObject* converted = nullptr;
        return PyUnicode_FSConverter(path.ptr(), &converted) != 0 ? converted : nullptr;
    }());
    if (!encoded) {
        throw py::error_already_set();
    }
    return {PyBytes_AS_STRING(encoded.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(encoded.ptr()))};
}

Scan scan(const py::object& data, bool hashes, bool storable) {
    const BufferView view(data);
    const py::gil_scoped_release release;
    return dicom::scan_and_hash(view.bytes(), hashes, storable);
}

py::tuple to_pair(dicom::ScannedFile&& file) {
    py::object buffer = py::none();
    if (file.bytes) {
        buffer = py::cast(std::make_shared<FileBytes>(*std::move(file.bytes)));
    }
    return py::make_tuple(py::cast(std::move(file.scan)), buffer);
}

py::tuple scan_file(const py::object& path, std::uint64_t max_bytes) {
    const std::string name = file_path(path);
    std::optional<dicom::ScannedFile> file;
    {
        const py::gil_scoped_release release;
        file.emplace(dicom::scan_file(name, max_bytes));
    }
    return to_pair(*std::move(file));
}

py::list scan_many(const py::object& paths, std::uint64_t max_bytes) {
    std::vector<std::string> names;
    for (const py::handle path : paths) {
        names.push_back(file_path(py::reinterpret_borrow<py::object>(path)));
    }
    std::vector<dicom::FileOutcome> outcomes;
    {
        const py::gil_scoped_release release;
        outcomes = dicom::scan_many(names, max_bytes);
    }
    py::list found;
    for (dicom::FileOutcome& outcome : outcomes) {
        if (outcome.file) {
            found.append(to_pair(*std::move(outcome.file)));
        } else {
            found.append(to_exception(*outcome.error));
        }
    }
    return found;
}

py::bytes extract(const py::object& data, const std::vector<std::string>& tags) {
    const dicom::TagPaths paths(tags);
    const BufferView view(data);
    std::string list;
    {
        const py::gil_scoped_release release;
        list = dicom::extract(view.bytes(), paths.wanted());
    }
    return list;
}

py::bytes inflate(const py::object& data) {
    const BufferView view(data);
    std::vector<std::byte> inflated;
    {
        const py::gil_scoped_release release;
        inflated = dicom::inflate_object(view.bytes(), dicom::read_layout(view.bytes()));
    }
    return to_bytes(inflated);
}

py::bytes sha256_of(const py::object& data) {
    const BufferView view(data);
    Sha256Digest digest;
    {
        const py::gil_scoped_release release;
        digest = sha256(view.bytes());
    }
    return to_bytes(digest);
}

std::uint32_t crc32c_of(const py::object& data, std::uint32_t seed) {
    const BufferView view(data);
    const py::gil_scoped_release release;
    return crc32c(view.bytes(), seed);
}

const char* codec_name(dicom::Codec codec) {
    constexpr const char* kNames[] = {"native",  "plain", "rle",     "jpeg", "jpeg_ls", "jpeg_2000",
                                      "jpeg_xl", "mpeg",  "deflate", "jpip", "smpte",   "unknown"};
    return kNames[static_cast<std::size_t>(codec)];
}

py::tuple transfer_syntaxes() {
    const auto all = dicom::transfer_syntaxes();
    py::tuple rows(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        const dicom::TransferSyntax& row = all[i];
        rows[i] = py::make_tuple(row.uid, row.name, row.encoding.explicit_vr, row.encoding.big_endian, row.deflated,
                                 row.encapsulated(), codec_name(row.codec));
    }
    return rows;
}

std::string dictionary_vr(std::uint32_t tag) {
    return dicom::to_string(dicom::resolve_vr(dicom::dictionary_vr(dicom::Tag{tag}), false));
}

template <typename Checksum>
void update(Checksum& checksum, const py::object& data) {
    const BufferView view(data);
    const py::gil_scoped_release release;
    checksum.update(view.bytes());
}

py::object pixels_of(const Scan& scan) {
    if (!scan.result.has_pixels) {
        return py::none();
    }
    const dicom::PixelDescription& p = scan.result.pixels;
    return py::make_tuple(p.rows, p.columns, p.samples_per_pixel, p.planar_configuration, p.bits_allocated,
                          p.bits_stored, p.high_bit, p.pixel_representation, p.photometric_interpretation,
                          p.number_of_frames, p.keyword());
}

py::bytes attributes_of(const Scan& scan, const std::string& level) {
    constexpr const char* kNames[] = {"patient", "study", "series", "instance"};
    for (std::size_t i = 0; i < dicom::kLevels; ++i) {
        if (level == kNames[i]) {
            return scan.result.attributes[i];
        }
    }
    throw Error(Errc::invalid_argument, "level must be 'patient', 'study', 'series' or 'instance'");
}

void bind_scan(py::module_& m) {
    py::class_<Scan> type(m, "Scan", "What scan() found. Read-only.");
    const auto field = [&type](const char* name, auto dicom::ScanResult::* member, const char* doc) {
        type.def_property_readonly(name, [member](const Scan& scan) { return scan.result.*member; }, doc);
    };
    using Result = dicom::ScanResult;
    field("sop_instance_uid", &Result::sop_instance_uid, "(0008,0018).");
    field("sop_class_uid", &Result::sop_class_uid, "(0008,0016).");
    field("study_instance_uid", &Result::study_instance_uid, "(0020,000D); '' for a DICOMDIR.");
    field("series_instance_uid", &Result::series_instance_uid, "(0020,000E); '' for a DICOMDIR.");
    field("transfer_syntax_uid", &Result::transfer_syntax_uid, "(0002,0010), deduced where the meta is missing.");
    field("has_preamble", &Result::has_preamble, "Whether 128 bytes and 'DICM' come first.");
    field("has_meta", &Result::has_meta, "Whether there is file meta information.");
    field("is_dicomdir", &Result::is_dicomdir, "Media Storage Directory: no study and series.");
    field("deflated", &Result::deflated, "Whether the data set has to be inflated before it is read.");
    field("dataset_offset", &Result::dataset_offset, "First byte after the meta.");
    field("header_length", &Result::header_length, "Bytes up to the pixel data element; all if there is none.");
    type.def_property_readonly("pixels", &pixels_of, "Fields of types.PixelDescription in their order, or None.");
    type.def_property_readonly(
        "frame_table", [](const Scan& s) { return py::bytes(s.result.frame_table); }, "Encoded as frames.hpp says.");
    type.def_property_readonly(
        "sha256", [](const Scan& s) { return s.sha256 ? py::object(to_bytes(*s.sha256)) : py::none(); },
        "Of all bytes (32), or None if not asked for.");
    type.def_property_readonly(
        "crc32c", [](const Scan& s) { return s.crc32c ? py::object(py::int_(*s.crc32c)) : py::none(); },
        "Of all bytes, or None if not asked for.");
    type.def_property_readonly(
        "warnings", [](const Scan& s) { return py::tuple(py::cast(s.result.warnings.names())); },
        "Codes of what was odd.");
    type.def("attributes", &attributes_of, py::arg("level"), "Attribute list of a level, as attributes.hpp says.");
}

void bind_checksums(py::module_& m) {
    m.def("sha256", &sha256_of, py::arg("data"), "SHA-256 digest (32 bytes).");
    m.def("crc32c", &crc32c_of, py::arg("data"), py::arg("seed") = 0, "CRC-32C, continued from seed.");
    py::class_<Sha256>(m, "Sha256", "SHA-256 of a stream. Not to be shared between threads.")
        .def(py::init<>())
        .def("update", &update<Sha256>, py::arg("data"), "Add bytes.")
        .def("digest", [](const Sha256& self) { return to_bytes(self.digest()); }, "Of all bytes so far (32).");
    py::class_<Crc32c>(m, "Crc32c", "CRC-32C of a stream. Not to be shared between threads.")
        .def(py::init<>())
        .def("update", &update<Crc32c>, py::arg("data"), "Add bytes.")
        .def("digest", &Crc32c::value, "Of all bytes so far.");
}

}  // namespace

void bind_dicom(py::module_& m) {
    bind_scan(m);
    bind_checksums(m);
    py::class_<FileBytes, std::shared_ptr<FileBytes>> buffer(m, "FileBuffer", py::buffer_protocol(),
                                                             "Bytes of a file, immutable, by the buffer protocol.");
    buffer
        .def_buffer([](const FileBytes& self) {
            return py::buffer_info(const_cast<std::byte*>(self.bytes().data()), 1, "B", 1,
                                   {static_cast<py::ssize_t>(self.bytes().size())}, {1}, true);
        })
        .def("__len__", [](const FileBytes& self) { return self.bytes().size(); });
#if PY_VERSION_HEX < 0x030C0000  // PEP 688: later versions define it by themselves
    buffer.def(
        "__buffer__", [](const py::object& self, int) { return py::memoryview(self); }, py::arg("flags"),
        py::pos_only(), "As the buffer protocol.");
#endif
    m.def("scan", &scan, py::arg("data"), py::arg("hashes") = true, py::arg("storable") = true,
          "Describe an object, or DataError. storable=False: do not judge its UIDs.");
    m.def("scan_file", &scan_file, py::arg("path"), py::arg("max_bytes") = dicom::kDefaultMaxBytes,
          "(Scan, FileBuffer); larger files are mapped for the scan and give (Scan without hashes, None).");
    m.def("scan_many", &scan_many, py::arg("paths"), py::arg("max_bytes") = dicom::kDefaultMaxBytes,
          "scan_file of each path: its pair, or the HilumError that it gave.");
    m.def("extract", &extract, py::arg("data"), py::arg("tags"), "Attribute list of tag paths out of a header.");
    m.def("transfer_syntaxes", &transfer_syntaxes,
          "(uid, name, explicit_vr, big_endian, deflated, encapsulated, codec) of every transfer syntax.");
    m.def("dictionary_vr", &dictionary_vr, py::arg("tag"), "VR of a tag by PS3.6, 'UN' if unknown.");
    m.def("inflate", &inflate, py::arg("data"), "A deflated object with its data set inflated; others as they are.");
}

}  // namespace hilum::bindings
