// SPDX-License-Identifier: Apache-2.0
// Code streams for the tests of the JPEG 2000 decoder, written by OpenJPEG.
#pragma once

#include <openjpeg.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace hilum::test {

struct Picture {
    std::uint32_t rows = 0, columns = 0;
    unsigned components = 1, precision = 8;
    bool is_signed = false;
    std::uint32_t x0 = 0, y0 = 0;
    std::vector<std::int32_t> samples;  ///< component after component
};

struct Sink {
    std::vector<std::byte> bytes;
    std::size_t at = 0;
};

inline OPJ_SIZE_T sink_write(void* from, OPJ_SIZE_T count, void* user) {
    auto* sink = static_cast<Sink*>(user);
    sink->bytes.resize(std::max(sink->bytes.size(), sink->at + count));
    std::memcpy(sink->bytes.data() + sink->at, from, count);
    sink->at += count;
    return count;
}

inline OPJ_OFF_T sink_skip(OPJ_OFF_T count, void* user) {
    static_cast<Sink*>(user)->at += static_cast<std::size_t>(count);
    return count;
}

inline OPJ_BOOL sink_seek(OPJ_OFF_T to, void* user) {
    static_cast<Sink*>(user)->at = static_cast<std::size_t>(to);
    return OPJ_TRUE;
}

/// Empty where OpenJPEG does not take these parameters.
inline std::vector<std::byte> encode_j2k(const Picture& picture, opj_cparameters_t parameters) {
    std::vector<opj_image_cmptparm_t> components(picture.components);
    for (auto& c : components) {
        std::memset(&c, 0, sizeof(c));
        c.dx = c.dy = 1;
        c.w = picture.columns;
        c.h = picture.rows;
        c.x0 = picture.x0;
        c.y0 = picture.y0;
        c.prec = picture.precision;
        c.sgnd = picture.is_signed ? 1 : 0;
    }
    opj_image_t* image = opj_image_create(picture.components, components.data(),
                                          picture.components >= 3 ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_GRAY);
    image->x0 = picture.x0;
    image->y0 = picture.y0;
    image->x1 = picture.x0 + picture.columns;
    image->y1 = picture.y0 + picture.rows;
    const std::size_t pixels = std::size_t{picture.rows} * picture.columns;
    for (unsigned c = 0; c < picture.components; ++c) {
        std::memcpy(image->comps[c].data, picture.samples.data() + c * pixels, pixels * sizeof(std::int32_t));
    }
    Sink sink;
    opj_codec_t* codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_stream_t* stream = opj_stream_create(1U << 16U, OPJ_FALSE);
    opj_stream_set_user_data(stream, &sink, nullptr);
    opj_stream_set_write_function(stream, &sink_write);
    opj_stream_set_skip_function(stream, &sink_skip);
    opj_stream_set_seek_function(stream, &sink_seek);
    const bool done = opj_setup_encoder(codec, &parameters, image) != 0 &&
                      opj_start_compress(codec, image, stream) != 0 && opj_encode(codec, stream) != 0 &&
                      opj_end_compress(codec, stream) != 0;
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(image);
    return done ? sink.bytes : std::vector<std::byte>();
}

}  // namespace hilum::test
