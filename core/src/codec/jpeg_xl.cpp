// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/jpeg_xl.hpp"

#if HILUM_HAVE_JXL

#include <jxl/decode.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "hilum/error.hpp"

namespace hilum::codec::jpeg_xl {
namespace {

/// What libjxl may allocate for one frame: a small file must not claim all memory.
struct Budget {
    std::uint64_t left;
};

constexpr std::size_t kHead = 16;  // keeps malloc's alignment

void* allocate(void* opaque, std::size_t size) {
    auto* budget = static_cast<Budget*>(opaque);
    if (size > budget->left) {
        return nullptr;
    }
    auto* block = static_cast<std::byte*>(std::malloc(size + kHead));
    if (block == nullptr) {
        return nullptr;
    }
    std::memcpy(block, &size, sizeof(size));
    budget->left -= size;
    return block + kHead;
}

void release(void* opaque, void* address) {
    if (address == nullptr) {
        return;
    }
    std::byte* block = static_cast<std::byte*>(address) - kHead;
    std::size_t size = 0;
    std::memcpy(&size, block, sizeof(size));
    static_cast<Budget*>(opaque)->left += size;
    std::free(block);
}

struct Destroy {
    void operator()(JxlDecoder* decoder) const noexcept { JxlDecoderDestroy(decoder); }
};
using Decoder = std::unique_ptr<JxlDecoder, Destroy>;

[[noreturn]] void fail(const char* what, std::span<const std::byte> data, JxlDecoder* decoder) {
    const std::size_t rest = JxlDecoderReleaseInput(decoder);
    throw Error(Errc::bad_codestream, std::string("JPEG XL: ") + what, data.size() - rest);
}

Decoder open(std::span<const std::byte> data, Budget& budget, int events) {
    const JxlMemoryManager memory{&budget, &allocate, &release};
    Decoder decoder(JxlDecoderCreate(&memory));
    if (!decoder) {
        throw Error(Errc::out_of_memory, "JPEG XL: no memory for a decoder");
    }
    JxlDecoderSubscribeEvents(decoder.get(), events);
    JxlDecoderSetKeepOrientation(decoder.get(), JXL_TRUE);
    JxlDecoderSetInput(decoder.get(), reinterpret_cast<const std::uint8_t*>(data.data()), data.size());
    JxlDecoderCloseInput(decoder.get());
    return decoder;
}

JxlBasicInfo basic_info(std::span<const std::byte> data, JxlDecoder* decoder) {
    JxlBasicInfo basic;
    if (JxlDecoderProcessInput(decoder) != JXL_DEC_BASIC_INFO ||
        JxlDecoderGetBasicInfo(decoder, &basic) != JXL_DEC_SUCCESS) {
        fail("no header that can be read", data, decoder);
    }
    return basic;
}

ImageInfo probe(std::span<const std::byte> data, const PixelDescription&) {
    if (data.empty()) {
        throw Error(Errc::truncated, "JPEG XL: no data", 0);
    }
    Budget budget{16U << 20U};
    const Decoder decoder = open(data, budget, JXL_DEC_BASIC_INFO);
    const JxlBasicInfo basic = basic_info(data, decoder.get());
    if (basic.exponent_bits_per_sample != 0 || basic.bits_per_sample > 16) {
        throw Error(Errc::unsupported_pixels, "JPEG XL with floating point or more than 16 bits a sample", 0);
    }
    ImageInfo info;
    info.rows = basic.ysize;
    info.columns = basic.xsize;
    info.components = static_cast<std::uint16_t>(basic.num_color_channels + basic.num_extra_channels);
    info.precision = static_cast<std::uint16_t>(basic.bits_per_sample);
    info.lossy = basic.uses_original_profile == JXL_FALSE;
    info.colour = basic.num_color_channels == 3 ? ImageInfo::Colour::rgb : ImageInfo::Colour::as_described;
    return info;
}

/// libjxl stretches to the full range of a type; this is the exact inverse for 1 to 16 bits.
template <typename Sample>
void unstretch(std::span<std::byte> samples, unsigned precision) noexcept {
    constexpr unsigned kFull = sizeof(Sample) == 1 ? 0xFF : 0xFFFF;
    const std::uint32_t highest = (1U << precision) - 1U;
    if (highest == kFull) {
        return;
    }
    for (std::size_t i = 0; i + sizeof(Sample) <= samples.size(); i += sizeof(Sample)) {
        Sample value{};
        std::memcpy(&value, samples.data() + i, sizeof(Sample));
        value = static_cast<Sample>((value * highest + kFull / 2) / kFull);
        std::memcpy(samples.data() + i, &value, sizeof(Sample));
    }
}

void run(std::span<const std::byte> data, const PixelDescription& d, bool wide, std::span<std::byte> out) {
    Budget budget{(64ULL << 20U) + 48 * frame_bytes(d)};
    const Decoder decoder = open(data, budget, JXL_DEC_BASIC_INFO | JXL_DEC_FULL_IMAGE);
    const JxlBasicInfo basic = basic_info(data, decoder.get());
    if (basic.xsize != d.columns || basic.ysize != d.rows) {
        fail("header changed between probe and decode", data, decoder.get());
    }
    const JxlPixelFormat format{d.samples_per_pixel, wide ? JXL_TYPE_UINT16 : JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
    for (;;) {
        switch (JxlDecoderProcessInput(decoder.get())) {
            case JXL_DEC_NEED_IMAGE_OUT_BUFFER:
                if (JxlDecoderSetImageOutBuffer(decoder.get(), &format, out.data(), out.size()) != JXL_DEC_SUCCESS) {
                    fail("the samples do not fit the image", data, decoder.get());
                }
                break;
            case JXL_DEC_FULL_IMAGE:
                return;
            case JXL_DEC_NEED_MORE_INPUT:
                throw Error(Errc::truncated, "JPEG XL data ends before the last sample", data.size());
            default:
                fail("damaged code stream", data, decoder.get());
        }
    }
}

void decode(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo& info,
            std::span<std::byte> out) {
    check_description(d);
    check_fits(info, d);
    check_out(out, d);
    const std::size_t container = bytes_of(sample_type(d));
    const bool wide = info.precision > 8;
    if (container == (wide ? 2U : 1U)) {
        run(data, d, wide, out);
        wide ? unstretch<std::uint16_t>(out, info.precision) : unstretch<std::uint8_t>(out, info.precision);
    } else {
        const std::size_t size = wide ? 2 : 1;
        std::vector<std::byte> narrow(out.size() / container * size);
        run(data, d, wide, narrow);
        wide ? unstretch<std::uint16_t>(narrow, info.precision) : unstretch<std::uint8_t>(narrow, info.precision);
        std::memset(out.data(), 0, out.size());
        for (std::size_t i = 0; i * container < out.size(); ++i) {
            std::memcpy(out.data() + i * container, narrow.data() + i * size, size);
        }
    }
    if (d.pixel_representation == 1) {
        extend_sign(out, container, info.precision);
    }
}

}  // namespace

const Codec kLibJxl{"jpeg_xl", "libjxl", &probe, &decode};

}  // namespace hilum::codec::jpeg_xl

#endif
