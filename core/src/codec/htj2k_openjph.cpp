// SPDX-License-Identifier: Apache-2.0
// HTJ2K by OpenJPH, with the tile-part lengths in a TLM marker segment (15444-1 A.7.1), which OpenJPH before 0.11 does
// not write.
#include "htj2k_openjph.hpp"

#ifdef HILUM_HAVE_OPENJPH
#include <openjph/ojph_arch.h>
#include <openjph/ojph_codestream.h>
#include <openjph/ojph_file.h>
#include <openjph/ojph_mem.h>
#include <openjph/ojph_message.h>
#include <openjph/ojph_params.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "hilum/codec/encode.hpp"
#include "hilum/error.hpp"

namespace hilum::codec::htj2k {
namespace {

constexpr std::size_t kTlmBytes = 2 + 10;

std::uint32_t long_at(std::span<const std::byte> data, std::size_t at) noexcept {
    std::uint32_t value = 0;
    std::memcpy(&value, data.data() + at, sizeof(value));
    return __builtin_bswap32(value);
}

/// Copies the code stream, with TLM before its only tile-part when it has none.
std::size_t copy_with_tlm(std::span<const std::byte> data, std::span<std::byte> out) {
    std::size_t at = 2;
    bool has_tlm = false;
    while (at + 12 <= data.size() && long_at(data, at) >> 16U != 0xFF90) {
        has_tlm = has_tlm || long_at(data, at) >> 16U == 0xFF55;
        at += 2 + (long_at(data, at) & 0xFFFFU);
    }
    if (at + 12 > data.size() || data.size() + kTlmBytes > out.size()) {
        throw Error(Errc::buffer_too_small, "HTJ2K: the code stream does not fit", at);
    }
    if (has_tlm) {
        std::copy(data.begin(), data.end(), out.begin());
        return data.size();
    }
    std::copy_n(data.begin(), at, out.begin());
    // Stlm: one byte of tile index, four of length (Table A.33).
    constexpr unsigned kHead[8] = {0xFF, 0x55, 0, 9, 0, 0x50, 0, 0};
    std::byte* to = out.data() + at;
    for (unsigned i = 0; i < 7; ++i) {
        *to++ = static_cast<std::byte>(kHead[i]);
    }
    std::uint32_t length = long_at(data, at + 6);
    if (length == 0) {
        length = static_cast<std::uint32_t>(data.size() - at - 2);
    }
    const std::uint32_t big = __builtin_bswap32(length);
    std::memcpy(to, &big, sizeof(big));
    to += sizeof(big);
    std::copy(data.begin() + static_cast<std::ptrdiff_t>(at), data.end(), to);
    return static_cast<std::size_t>(to - out.data()) + data.size() - at;
}

template <typename Sample>
void fill_line(const std::byte* from, std::size_t pixel, std::uint32_t columns, unsigned shift,
               ojph::si32* to) noexcept {
    for (std::uint32_t x = 0; x < columns; ++x) {
        Sample value{};
        std::memcpy(&value, from + x * pixel * sizeof(Sample), sizeof(value));
        // Unused bits: cleared or filled with the sign, by the type.
        to[x] = static_cast<ojph::si32>(static_cast<Sample>(static_cast<Sample>(value << shift) >> shift));
    }
}

using FillLine = void (*)(const std::byte*, std::size_t, std::uint32_t, unsigned, ojph::si32*);

FillLine choose_fill(const PixelDescription& d) noexcept {
    if (d.bits_allocated == 8) {
        return d.pixel_representation == 1 ? &fill_line<std::int8_t> : &fill_line<std::uint8_t>;
    }
    return d.pixel_representation == 1 ? &fill_line<std::int16_t> : &fill_line<std::uint16_t>;
}

void set_parameters(ojph::codestream& stream, const PixelDescription& d, unsigned precision, double step,
                    unsigned levels) {
    ojph::param_siz siz = stream.access_siz();
    siz.set_image_extent(ojph::point(d.columns, d.rows));
    siz.set_num_components(d.samples_per_pixel);
    for (unsigned c = 0; c < d.samples_per_pixel; ++c) {
        siz.set_component(c, ojph::point(1, 1), precision, d.pixel_representation == 1);
    }
    ojph::param_cod cod = stream.access_cod();
    cod.set_num_decomposition(levels);
    cod.set_block_dims(64, 64);
    cod.set_progression_order("RPCL");
    cod.set_color_transform(d.samples_per_pixel == 3 && d.photometric == Photometric::rgb);
    cod.set_reversible(step == 0);
    if (step != 0) {
        stream.access_qcd().set_irrev_quant(static_cast<float>(step));
    }
    stream.set_planar(false);
}

}  // namespace

std::size_t encode_by_openjph(std::span<const std::byte> samples, const PixelDescription& d, double step,
                              unsigned levels, std::span<std::byte> out) {
    const unsigned precision = precision_of(samples, d);
    const FillLine fill = choose_fill(d);
    const std::size_t container = d.bits_allocated / 8U;
    try {
        ojph::codestream stream;
        set_parameters(stream, d, precision, step, levels);
        ojph::mem_outfile file;
        file.open(samples.size() / 2 + 65536);
        stream.write_headers(&file);
        ojph::ui32 component = 0;
        ojph::line_buf* line = stream.exchange(nullptr, component);
        for (std::uint32_t y = 0; y < d.rows; ++y) {
            for (unsigned c = 0; c < d.samples_per_pixel; ++c) {
                const std::size_t pixel = std::size_t{y} * d.columns * d.samples_per_pixel + component;
                fill(samples.data() + pixel * container, d.samples_per_pixel, d.columns, d.bits_allocated - precision,
                     line->i32);
                line = stream.exchange(line, component);
            }
        }
        stream.flush();
        const auto* bytes = reinterpret_cast<const std::byte*>(file.get_data());
        const std::size_t size = copy_with_tlm({bytes, static_cast<std::size_t>(file.tell())}, out);
        stream.close();
        return size;
    } catch (const Error&) {
        throw;
    } catch (const std::exception& error) {
        throw Error(Errc::invalid_argument, std::string("HTJ2K: ") + error.what());
    } catch (const char* message) {
        throw Error(Errc::out_of_memory, std::string("HTJ2K: ") + message);
    }
}

}  // namespace hilum::codec::htj2k

#else

#include "hilum/error.hpp"

namespace hilum::codec::htj2k {

std::size_t encode_by_openjph(std::span<const std::byte>, const PixelDescription&, double, unsigned,
                              std::span<std::byte>) {
    throw Error(Errc::unsupported_pixels,
                "HTJ2K with loss, or of more than 32768 rows or columns, needs OpenJPH, which this build left out");
}

}  // namespace hilum::codec::htj2k

#endif  // HILUM_HAVE_OPENJPH
