// SPDX-License-Identifier: Apache-2.0
// Input: 64 bytes of settings and pixel description, the length of a header (2 bytes), a data set with what decides how
// its frame looks (overlays, shutters, tables, windows), and the frame. Whatever is accepted is drawn twice to the same
// bytes, and to a file.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "hilum/error.hpp"
#include "hilum/pixel/attributes.hpp"
#include "hilum/pixel/render.hpp"

namespace {

using hilum::codec::PixelDescription;
using namespace hilum::pixel;

constexpr std::size_t kSettings = 64;
constexpr std::size_t kMaxPicture = 1U << 16U;  ///< bytes; keeps the fuzzer quick

/// Reads numbers off the settings, zeros after their end.
class Dice {
public:
    Dice(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    unsigned byte() { return at_ < size_ ? data_[at_++] : 0U; }
    bool flag() { return (byte() & 1U) != 0; }
    std::int32_t number() { return static_cast<std::int16_t>(byte() | byte() << 8U); }
    /// Small ones, large ones, NaN and infinities.
    double real() {
        switch (byte() % 8U) {
            case 0:
                return NAN;
            case 1:
                return INFINITY;
            case 2:
                return number() * 1e300;
            case 3:
                return number() / 1024.0;
            default:
                return number();
        }
    }

private:
    const std::uint8_t* data_;
    std::size_t size_;
    std::size_t at_ = 0;
};

PixelDescription describe(Dice& dice) {
    constexpr std::uint16_t kBits[4] = {1, 8, 16, 32};
    PixelDescription d;
    d.rows = 1U + dice.byte() % 64U;
    d.columns = 1U + dice.byte() % 64U;
    const unsigned layout = dice.byte();
    d.bits_allocated = kBits[layout % 4U];
    d.samples_per_pixel = (layout & 4U) != 0 && d.bits_allocated > 1 ? 3 : 1;
    d.pixel_representation = (layout & 8U) != 0 ? 1 : 0;
    d.planar_configuration = (layout & 16U) != 0 ? 1 : 0;
    d.bits_stored = static_cast<std::uint16_t>(1U + dice.byte() % d.bits_allocated);
    d.high_bit = static_cast<std::uint16_t>(d.bits_stored - 1U + dice.byte() % 16U);
    d.photometric = static_cast<hilum::codec::Photometric>(dice.byte() % 11U);
    if ((layout & 224U) == 224U) {
        d.keyword = (layout & 4U) != 0 ? hilum::codec::PixelKeyword::double_float_pixel_data
                                       : hilum::codec::PixelKeyword::float_pixel_data;
        d.samples_per_pixel = 1;
        d.bits_allocated = (layout & 4U) != 0 ? 64 : 32;
    }
    return d;
}

Lut table(Dice& dice) {
    Lut lut;
    lut.first = dice.number();
    lut.bits = static_cast<std::uint16_t>(dice.byte() % 18U);
    lut.entries.resize(dice.byte() % 32U);
    for (std::uint16_t& entry : lut.entries) {
        entry = static_cast<std::uint16_t>(dice.byte() * 257U);
    }
    return lut;
}

Ink ink(Dice& dice) {
    Ink result;
    result.value = static_cast<std::uint16_t>(dice.number());
    if (dice.flag()) {
        result.colour = Rgb{static_cast<std::uint8_t>(dice.byte()), 1, 2};
    }
    return result;
}

OverlayPlane plane(Dice& dice) {
    OverlayPlane result;
    result.rows = dice.byte();
    result.columns = dice.byte();
    result.row = dice.number();
    result.column = dice.number();
    result.bits.assign(dice.byte() * 64U, static_cast<std::byte>(dice.byte()));
    return result;
}

Shutter shutter(Dice& dice) {
    Shutter result;
    const unsigned shapes = dice.byte();
    if ((shapes & 1U) != 0) {
        result.rectangle = {dice.number(), dice.number(), dice.number(), dice.number()};
    }
    if ((shapes & 2U) != 0) {
        result.circle = {dice.number(), dice.number(), dice.number()};
    }
    for (unsigned i = 0; (shapes & 4U) != 0 && i < (shapes >> 4U); ++i) {
        result.polygon.push_back({dice.number() % 80, dice.number() % 80});
    }
    if ((shapes & 8U) != 0) {
        result.bitmap_group = 0x6000;
    }
    result.ink = ink(dice);
    return result;
}

void choose_values(Dice& dice, unsigned choice, RenderRequest& request) {
    if ((choice & 1U) != 0) {
        request.window = Window{dice.real(), dice.real(), static_cast<VoiFunction>(dice.byte() % 3U)};
    }
    if ((choice & 2U) != 0) {
        request.rescale = Rescale{dice.real(), dice.real()};
    }
    if ((choice & 4U) != 0) {
        request.presentation = PresentationLut{dice.flag(), table(dice)};
    }
    if ((choice & 8U) != 0) {
        const Lut lut = table(dice);
        request.palette = Palette{lut, lut, lut};
    }
    if ((choice & 16U) != 0) {
        request.modality_lut = table(dice);
    }
    if ((choice & 32U) != 0) {
        request.voi_lut = table(dice);
    }
    request.auto_window = (choice & 64U) != 0;
    request.invert = (choice & 128U) != 0;
    request.window_index = dice.byte() % 4U;
    request.low_percentile = dice.byte() / 2.0;
    request.high_percentile = dice.byte() / 2.0;
}

RenderRequest choose(Dice& dice) {
    RenderRequest request;
    const unsigned geometry = dice.byte();
    request.rotation = 90U * (geometry % 4U);
    request.flip = (geometry & 4U) != 0;
    request.interpolation = (geometry & 8U) != 0 ? Interpolation::cubic : Interpolation::linear;
    request.width = (geometry & 16U) != 0 ? dice.byte() : 0;
    request.height = (geometry & 32U) != 0 ? dice.byte() : 0;
    if ((geometry & 64U) != 0) {
        request.displayed_area = DisplayedArea{dice.number(), dice.number(), dice.number(), dice.number()};
    } else if ((geometry & 128U) != 0) {
        request.region = Region{dice.byte(), dice.byte(), dice.byte(), dice.byte()};
    }
    const unsigned more = dice.byte();
    if ((more & 1U) != 0) {
        request.scale = dice.real();
    }
    if ((more & 2U) != 0) {
        request.pixel_aspect = dice.real();
    }
    request.square_pixels = (more & 4U) != 0;
    request.bits = (more & 8U) != 0 ? 16 : 8;
    request.format = (more & 16U) != 0 ? FileFormat::png : FileFormat::jpeg;
    if ((more & 32U) != 0) {
        request.overlays.emplace();
        request.overlays->push_back({0x6000, {}, ink(dice), {}});
        request.overlays->push_back({0, plane(dice), ink(dice), dice.flag()});
    }
    request.file_shutter = (more & 64U) == 0;
    choose_values(dice, dice.byte(), request);
    if ((more & 128U) != 0) {
        request.shutter = shutter(dice);
    }
    return request;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < kSettings + 2) {
        return 0;
    }
    Dice dice(data, kSettings);
    const unsigned syntax_choice = dice.byte();
    const std::uint32_t frame_number = dice.byte() % 4U;
    const PixelDescription d = describe(dice);
    const RenderRequest request = choose(dice);
    const std::byte* bytes = reinterpret_cast<const std::byte*>(data) + kSettings + 2;
    const std::size_t rest = size - kSettings - 2;
    const std::size_t header_size =
        std::min<std::size_t>(rest, data[kSettings] | static_cast<unsigned>(data[kSettings + 1]) << 8U);
    const std::vector<std::byte> header(bytes, bytes + header_size);
    std::vector<std::byte> frame(bytes + header_size, bytes + rest);
    constexpr const char* kSyntaxes[3] = {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"};
    const auto& syntax = hilum::codec::require_syntax(kSyntaxes[syntax_choice % 3U]);
    try {
        hilum::codec::check_description(d);
        check_request(request);
        if (syntax_choice % 3U != 2 && (syntax_choice & 4U) == 0) {  // mostly frames that are long enough
            frame.resize(hilum::codec::frame_bytes(d) + 1);
        }
        const std::span<const std::byte> fragment(frame);
        const hilum::codec::StoredFrame stored{{&fragment, 1}, 0};
        RenderingAttributes attributes;
        if (header_size != 0) {
            attributes = read_rendering_attributes(header, frame_number);
        }
        if (shape_of(d, attributes, request).bytes() > kMaxPicture) {
            return 0;
        }
        const RenderedImage first = render_image(stored, syntax, d, attributes, request);
        const RenderedImage second = render_image(stored, syntax, d, attributes, request);
        if (first.pixels != second.pixels || first.pixels.size() != first.shape.bytes()) {
            std::abort();
        }
        (void)render(stored, syntax, d, attributes, request);
    } catch (const hilum::Error&) {
    }
    return 0;
}
