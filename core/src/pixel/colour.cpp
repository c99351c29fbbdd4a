// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/colour.hpp"

#include <algorithm>
#include <cmath>
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

std::array<std::uint8_t, 3> cielab_to_rgb(const std::array<std::uint16_t, 3>& lab) noexcept {
    const double lightness = (lab[0] / 65535.0 * 100.0 + 16.0) / 116.0;
    const double red_green = (lab[1] / 65535.0 * 255.0 - 128.0) / 500.0;
    const double yellow_blue = (lab[2] / 65535.0 * 255.0 - 128.0) / 200.0;
    const auto linear = [](double f) {  // ISO 11664-4
        return f > 6.0 / 29.0 ? f * f * f : 3.0 * (6.0 / 29.0) * (6.0 / 29.0) * (f - 4.0 / 29.0);
    };
    const double x = 0.96422 * linear(lightness + red_green);
    const double y = linear(lightness);
    const double z = 0.82521 * linear(lightness - yellow_blue);
    // XYZ of D50 to linear sRGB of D65, adapted by Bradford; then the curve of IEC 61966-2-1.
    const std::array<double, 3> rgb{3.1338561 * x - 1.6168667 * y - 0.4906146 * z,
                                    -0.9787684 * x + 1.9161415 * y + 0.0334540 * z,
                                    0.0719453 * x - 0.2289914 * y + 1.4052427 * z};
    std::array<std::uint8_t, 3> out{};
    for (std::size_t i = 0; i < 3; ++i) {
        const double curved = rgb[i] <= 0.0031308 ? 12.92 * rgb[i] : 1.055 * std::pow(rgb[i], 1.0 / 2.4) - 0.055;
        out[i] = static_cast<std::uint8_t>(std::clamp(curved, 0.0, 1.0) * 255.0 + 0.5);
    }
    return out;
}

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
