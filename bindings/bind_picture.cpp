// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <vector>

#include "convert.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/pixel/encode.hpp"
#include "module.hpp"
#include "pixels.hpp"

namespace hilum::bindings {
namespace {

/// (rows, columns, samples, bytes of a sample) of a buffer with that many bytes.
pixel::Raster to_raster(const BufferView& source, const py::object& shape) {
    const py::tuple fields = to_tuple(shape, 4, "shape");
    const std::uint32_t rows = to_number(fields[0], "rows");
    const std::uint32_t columns = to_number(fields[1], "columns");
    const std::uint32_t samples = to_number(fields[2], "samples");
    const std::uint32_t sample_bytes = to_number(fields[3], "sample_bytes");
    if ((samples != 1 && samples != 3) || (sample_bytes != 1 && sample_bytes != 2) || rows == 0 || columns == 0) {
        throw Error(Errc::invalid_argument, "a picture has 1 or 3 samples of 1 or 2 bytes, and at least one pixel");
    }
    const std::uint64_t pixels = std::uint64_t{rows} * columns;
    if (pixels > limits::kMaxRenderedPixels) {
        throw Error(Errc::limit_exceeded, "the picture has more pixels than are rendered");
    }
    const std::span<const std::byte> bytes = source.bytes();
    if (bytes.size() != pixels * samples * sample_bytes) {
        throw Error(Errc::invalid_argument, "the samples are not one picture of that shape");
    }
    return {{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, rows, columns, samples, sample_bytes};
}

py::bytes encode_picture(const py::object& samples, const py::object& shape, const py::object& format,
                         const py::object& quality) {
    const BufferView source(samples);
    const pixel::Raster image = to_raster(source, shape);
    const std::string name = to_text(format, "format");
    const auto grade = static_cast<int>(to_number(quality, "quality") & 0xFFFFU);
    if (name != "png" && (name != "jpeg" || image.sample_bytes != 1)) {
        throw Error(Errc::invalid_argument, "pictures are encoded as \"png\", with 8 bits also as \"jpeg\"");
    }
    std::vector<std::byte> file;
    {
        const py::gil_scoped_release unlocked;
        file = name == "png" ? pixel::encode_png(image) : pixel::encode_jpeg(image, grade);
    }
    return to_bytes(file);
}

}  // namespace

void bind_picture(py::module_& m) {
    using namespace py::literals;
    m.def("encode_picture", &encode_picture, "samples"_a, "shape"_a, "format"_a, "quality"_a = 90,
          "Samples of shape (rows, columns, 1 or 3, bytes of a sample) as the bytes of a PNG or JPEG file.");
}

}  // namespace hilum::bindings
