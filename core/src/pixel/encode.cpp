// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/encode.hpp"

#include <turbojpeg.h>

#include <memory>
#include <string>

#include "hilum/error.hpp"

namespace hilum::pixel {
namespace {

struct FreeHandle {
    void operator()(void* handle) const noexcept { tjDestroy(handle); }
};

}  // namespace

std::vector<std::byte> encode_jpeg(const Raster& image, int quality) {
    if (quality < 1 || quality > 100) {
        throw Error(Errc::invalid_argument, "JPEG quality must be 1 to 100");
    }
    const std::unique_ptr<void, FreeHandle> handle(tjInitCompress());
    if (!handle) {
        throw Error(Errc::out_of_memory, "JPEG: no memory for an encoder");
    }
    const bool grey = image.samples == 1;
    const int sampling = grey ? TJSAMP_GRAY : (quality >= 90 ? TJSAMP_444 : TJSAMP_420);
    const auto width = static_cast<int>(image.columns);
    const auto height = static_cast<int>(image.rows);
    unsigned long size = tjBufSize(width, height, sampling);
    const auto buffer = std::make_unique_for_overwrite<unsigned char[]>(size);
    unsigned char* to = buffer.get();
    if (tjCompress2(handle.get(), image.pixels.data(), width, 0, height, grey ? TJPF_GRAY : TJPF_RGB, &to, &size,
                    sampling, quality, TJFLAG_NOREALLOC | TJFLAG_ACCURATEDCT) != 0) {
        throw Error(Errc::invalid_argument, std::string("JPEG: ") + tjGetErrorStr2(handle.get()));
    }
    const auto* bytes = reinterpret_cast<const std::byte*>(buffer.get());
    return {bytes, bytes + size};
}

}  // namespace hilum::pixel
