// SPDX-License-Identifier: Apache-2.0
#include "hilum/codec/jpeg2000.hpp"

#include <openjpeg.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "hilum/error.hpp"
#include "j2k/codestream.hpp"

namespace hilum::codec::jpeg2000 {
namespace {

unsigned byte_at(std::span<const std::byte> data, std::size_t at) noexcept {
    return static_cast<unsigned>(data[at]);
}

std::uint32_t word_at(std::span<const std::byte> data, std::size_t at) noexcept {
    return byte_at(data, at) << 8U | byte_at(data, at + 1);
}

std::uint32_t long_at(std::span<const std::byte> data, std::size_t at) noexcept {
    return word_at(data, at) << 16U | word_at(data, at + 2);
}

/// OpenJPEG reads the caller's bytes through these.
struct Source {
    std::span<const std::byte> data;
    std::size_t at = 0;
};

OPJ_SIZE_T read_bytes(void* buffer, OPJ_SIZE_T count, void* user) {
    auto* source = static_cast<Source*>(user);
    const std::size_t left = source->data.size() - source->at;
    if (left == 0) {
        return static_cast<OPJ_SIZE_T>(-1);
    }
    const std::size_t taken = std::min<std::size_t>(count, left);
    std::memcpy(buffer, source->data.data() + source->at, taken);
    source->at += taken;
    return taken;
}

OPJ_OFF_T skip_bytes(OPJ_OFF_T count, void* user) {
    auto* source = static_cast<Source*>(user);
    if (count < 0) {
        return -1;
    }
    const auto left = static_cast<OPJ_OFF_T>(source->data.size() - source->at);
    const OPJ_OFF_T taken = std::min(count, left);
    source->at += static_cast<std::size_t>(taken);
    return taken == 0 && count > 0 ? -1 : taken;
}

OPJ_BOOL seek_bytes(OPJ_OFF_T to, void* user) {
    auto* source = static_cast<Source*>(user);
    if (to < 0 || static_cast<std::uint64_t>(to) > source->data.size()) {
        return OPJ_FALSE;
    }
    source->at = static_cast<std::size_t>(to);
    return OPJ_TRUE;
}

/// Keeps the first complaint; later ones are consequences.
void keep_message(const char* message, void* user) {
    auto* kept = static_cast<std::string*>(user);
    if (kept->empty()) {
        kept->assign(message, std::min<std::size_t>(std::strlen(message), 200));
        while (!kept->empty() && (kept->back() == '\n' || kept->back() == ' ')) {
            kept->pop_back();
        }
    }
}

void drop_message(const char*, void*) {}

struct FreeStream {
    void operator()(void* stream) const noexcept { opj_stream_destroy(static_cast<opj_stream_t*>(stream)); }
};
struct FreeCodec {
    void operator()(void* codec) const noexcept { opj_destroy_codec(static_cast<opj_codec_t*>(codec)); }
};
struct FreeImage {
    void operator()(opj_image_t* image) const noexcept { opj_image_destroy(image); }
};
using Stream = std::unique_ptr<void, FreeStream>;  // OpenJPEG's opaque handles are typedefs of void*
using Handle = std::unique_ptr<void, FreeCodec>;
using Image = std::unique_ptr<opj_image_t, FreeImage>;

[[noreturn]] void fail(const std::string& message) {
    throw Error(Errc::bad_codestream, "JPEG 2000: " + (message.empty() ? std::string("damaged code stream") : message));
}

Image run_decoder(std::span<const std::byte> data) {
    Source source{data, 0};
    std::string message;
    const Stream owned_stream(opj_stream_create(std::min<std::size_t>(data.size(), 1U << 20U), OPJ_TRUE));
    const Handle owned_codec(opj_create_decompress(OPJ_CODEC_J2K));
    if (!owned_stream || !owned_codec) {
        throw Error(Errc::out_of_memory, "JPEG 2000: no memory for a decoder");
    }
    auto* stream = static_cast<opj_stream_t*>(owned_stream.get());
    auto* codec = static_cast<opj_codec_t*>(owned_codec.get());
    opj_stream_set_user_data(stream, &source, nullptr);
    opj_stream_set_user_data_length(stream, data.size());
    opj_stream_set_read_function(stream, &read_bytes);
    opj_stream_set_skip_function(stream, &skip_bytes);
    opj_stream_set_seek_function(stream, &seek_bytes);
    opj_set_error_handler(codec, &keep_message, &message);
    opj_set_warning_handler(codec, &drop_message, nullptr);
    opj_set_info_handler(codec, &drop_message, nullptr);
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    opj_image_t* raw = nullptr;
    if (opj_setup_decoder(codec, &parameters) == OPJ_FALSE || opj_read_header(stream, codec, &raw) == OPJ_FALSE) {
        fail(message);
    }
    Image image(raw);
    if (opj_decode(codec, stream, image.get()) == OPJ_FALSE) {
        fail(message);
    }
    return image;
}

/// One component into interleaved samples, checked against its precision: lossy code streams may overshoot.
template <typename Sample>
void store(const opj_image_comp_t& component, std::size_t pixels, unsigned step, std::byte* out) noexcept {
    const unsigned bits = component.prec;
    const OPJ_INT32 low = component.sgnd != 0 ? -static_cast<OPJ_INT32>(1U << (bits - 1U)) : 0;
    const auto high = static_cast<OPJ_INT32>((1U << (component.sgnd != 0 ? bits - 1U : bits)) - 1U);
    const OPJ_INT32* in = component.data;
    for (std::size_t i = 0; i < pixels; ++i) {
        const auto sample = static_cast<Sample>(std::clamp(in[i], low, high));
        std::memcpy(out + i * step * sizeof(Sample), &sample, sizeof(sample));
    }
}

void store_component(const opj_image_comp_t& component, const PixelDescription& d, unsigned index,
                     std::span<std::byte> out) {
    const std::size_t container = bytes_of(sample_type(d));
    const std::size_t pixels = std::size_t{d.rows} * d.columns;
    std::byte* first = out.data() + index * container;
    if (container == 1) {
        store<std::uint8_t>(component, pixels, d.samples_per_pixel, first);
    } else if (container == 2) {
        store<std::uint16_t>(component, pixels, d.samples_per_pixel, first);
    } else {
        store<std::uint32_t>(component, pixels, d.samples_per_pixel, first);
    }
}

/// SIZ (A.5.1), directly behind SOC, and COD (A.6.1) in the main header.
ImageInfo read_main_header(std::span<const std::byte> data) {
    if (data.size() < 42 || word_at(data, 0) != 0xFF4F || word_at(data, 2) != 0xFF51) {
        throw Error(Errc::bad_codestream, "no JPEG 2000 code stream", 0);
    }
    ImageInfo info;
    const std::uint32_t right = long_at(data, 8);
    const std::uint32_t bottom = long_at(data, 12);
    const std::uint32_t left = long_at(data, 16);
    const std::uint32_t top = long_at(data, 20);
    info.components = static_cast<std::uint16_t>(word_at(data, 40));
    if (right <= left || bottom <= top || info.components == 0 || data.size() < 42 + 3U * info.components) {
        throw Error(Errc::bad_codestream, "JPEG 2000 image size (SIZ) is not possible", 2);
    }
    info.columns = right - left;
    info.rows = bottom - top;
    j2k::Size size;
    size.image = {left, top, right, bottom};
    size.components.resize(info.components);
    j2k::check_plausible(size, data.size(), 2);
    for (unsigned c = 0; c < info.components; ++c) {
        const unsigned depth = byte_at(data, 42 + 3U * c);
        info.precision = std::max(info.precision, static_cast<std::uint16_t>((depth & 0x7FU) + 1U));
        info.is_signed = info.is_signed || (depth & 0x80U) != 0;
        if (byte_at(data, 43 + 3U * c) != 1 || byte_at(data, 44 + 3U * c) != 1) {
            throw Error(Errc::unsupported_pixels, "JPEG 2000 with subsampled components has no decoder", 2);
        }
    }
    std::size_t at = 4 + word_at(data, 4);
    while (at + 4 <= data.size()) {
        const unsigned marker = word_at(data, at);
        if (marker == 0xFF52 && at + 14 <= data.size()) {
            if (byte_at(data, at + 8) == 1) {
                info.colour = ImageInfo::Colour::rgb;
            }
            info.lossy = byte_at(data, at + 13) == 0;
        }
        // OpenJPEG reads component transforms (FF74, FF75, FF77, FF78) and passes over the others without a word
        if (j2k::is_part_2(marker) && (marker < 0xFF74 || marker == 0xFF76 || marker == 0xFF79)) {
            j2k::fail_unsupported("an extension of part 2 of the standard", at);
        }
        if (marker == 0xFF90 || marker < 0xFF00) {
            break;
        }
        at += 2 + word_at(data, at + 2);
    }
    return info;
}

ImageInfo probe(std::span<const std::byte> data, const PixelDescription&) {
    return read_main_header(code_stream(data));
}

void decode(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo& info,
            std::span<std::byte> out) {
    check_description(d);
    check_fits(info, d);
    check_out(out, d);
    const Image image = run_decoder(code_stream(data));
    if (image->numcomps != d.samples_per_pixel) {
        throw Error(Errc::bad_codestream, "JPEG 2000: the decoder gave another number of components than the header");
    }
    for (unsigned c = 0; c < image->numcomps; ++c) {
        const opj_image_comp_t& component = image->comps[c];
        if (component.data == nullptr || component.w != d.columns || component.h != d.rows || component.prec == 0 ||
            component.prec > 31 || component.prec > d.bits_allocated) {
            throw Error(Errc::bad_codestream, "JPEG 2000: a component does not have the size of the image");
        }
        store_component(component, d, c, out);
    }
}

}  // namespace

const Codec kOpenJpeg{"jpeg2000_openjpeg", "OpenJPEG", &probe, &decode};

std::span<const std::byte> code_stream(std::span<const std::byte> data) {
    if (data.size() < 12 || long_at(data, 4) != 0x6A502020U) {  // "jP  "
        return data;
    }
    std::size_t at = 0;
    while (at + 8 <= data.size()) {
        std::uint64_t length = long_at(data, at);
        const std::uint32_t type = long_at(data, at + 4);
        std::uint64_t header = 8;
        if (length == 1 && at + 16 <= data.size()) {
            length = std::uint64_t{long_at(data, at + 8)} << 32U | long_at(data, at + 12);
            header = 16;
        }
        if (length == 0) {
            length = data.size() - at;
        }
        if (length < header || length > data.size() - at) {
            if (type != 0x6A703263U) {
                throw Error(Errc::bad_codestream, "JP2 box reaches past the end of the frame", at);
            }
            length = data.size() - at;
        }
        if (type == 0x6A703263U) {  // "jp2c"
            return data.subspan(at + header, length - header);
        }
        at += length;
    }
    throw Error(Errc::bad_codestream, "JP2 boxes without a code stream", at);
}

}  // namespace hilum::codec::jpeg2000
