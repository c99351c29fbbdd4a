// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/colour.hpp"

#include <algorithm>
#include <cstring>

namespace hilum::pixel {
namespace {

/// 16 bits of fraction: the result is the rounded one for all 2^24 inputs, without floating point.
struct Matrix {
    std::int32_t luma, red_cr, green_cb, green_cr, blue_cb;
    std::int32_t black;  ///< luma of black
};

constexpr Matrix kFull{65536, 91881, -22554, -46802, 116130, 0};
constexpr Matrix kPartial{76309, 104597, -25675, -53279, 132201, 16};

std::uint8_t clip(std::int32_t value) noexcept {
    return static_cast<std::uint8_t>(std::clamp(value >> 16, 0, 255));
}

template <typename Sample>
void narrow(const std::byte* in, std::size_t samples, unsigned shift, std::uint8_t* out) noexcept {
    for (std::size_t i = 0; i < samples; ++i) {
        Sample value{};
        std::memcpy(&value, in + i * sizeof(Sample), sizeof(value));
        out[i] = static_cast<std::uint8_t>(std::min<Sample>(static_cast<Sample>(value >> shift), 255));
    }
}

unsigned shift_of(const Lut& lut) noexcept {
    if (lut.bits <= 8) {
        return 0;
    }
    const std::uint16_t most = *std::ranges::max_element(lut.entries);
    return most <= 255 ? 0U : lut.bits - 8U;
}

}  // namespace

void ybr_to_rgb(std::span<std::uint8_t> rgb, YbrKind kind) noexcept {
    const Matrix m = kind == YbrKind::full ? kFull : kPartial;
    for (std::size_t i = 0; i + 3 <= rgb.size(); i += 3) {
        const std::int32_t y = (rgb[i] - m.black) * m.luma + 32768;
        const std::int32_t cb = rgb[i + 1] - 128;
        const std::int32_t cr = rgb[i + 2] - 128;
        rgb[i] = clip(y + m.red_cr * cr);
        rgb[i + 1] = clip(y + m.green_cb * cb + m.green_cr * cr);
        rgb[i + 2] = clip(y + m.blue_cb * cb);
    }
}

void to_8_bits(const std::byte* in, std::size_t samples, std::size_t container, unsigned bits_stored,
               std::uint8_t* out) noexcept {
    const unsigned shift = bits_stored > 8 ? bits_stored - 8 : 0;
    if (container == 1) {
        std::memcpy(out, in, samples);
    } else if (container == 2) {
        narrow<std::uint16_t>(in, samples, shift, out);
    } else {
        narrow<std::uint32_t>(in, samples, shift, out);
    }
}

void tabulate_palette(const Palette& palette, std::int32_t minimum, std::size_t indices, std::uint8_t* rgb) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
        const Lut& lut = palette[channel];
        const unsigned shift = shift_of(lut);
        for (std::size_t i = 0; i < indices; ++i) {
            const unsigned entry = lut(static_cast<double>(minimum) + static_cast<double>(i));
            rgb[3 * i + channel] = static_cast<std::uint8_t>(std::min(entry >> shift, 255U));
        }
    }
}

}  // namespace hilum::pixel
