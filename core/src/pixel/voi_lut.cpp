// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/voi_lut.hpp"

#include <algorithm>
#include <cmath>

namespace hilum::pixel {
namespace {

/// y = gain * x + bias before clamping, for the linear functions.
struct Line {
    double gain;
    double bias;
};

Line line_of(const Window& window, double full) noexcept {
    if (window.function == VoiFunction::linear) {
        const double width = window.width - 1.0;
        return {full / width, (0.5 - (window.center - 0.5) / width) * full};
    }
    return {full / window.width, (0.5 - window.center / window.width) * full};
}

std::int32_t to_integer(double value, std::int32_t minimum, std::int32_t maximum) noexcept {
    if (!(value > minimum)) {
        return minimum;
    }
    return value >= maximum ? maximum : static_cast<std::int32_t>(value);
}

/// A threshold: LINEAR with width 1 has no slope to compute with. Stored values up to `last` are black.
Ramp make_step(double last, std::int32_t minimum, std::int32_t maximum, double full) noexcept {
    Ramp ramp;
    ramp.low = to_integer(last, minimum, maximum);
    ramp.high = to_integer(last + 1.0, minimum, maximum);
    ramp.scale = static_cast<float>(full);
    ramp.offset = ramp.low > last ? ramp.scale : 0.0F;
    return ramp;
}

}  // namespace

bool is_valid(const Window& window) noexcept {
    if (!std::isfinite(window.center) || !std::isfinite(window.width)) {
        return false;
    }
    return window.function == VoiFunction::linear ? window.width >= 1.0 : window.width > 0.0;
}

double apply(const Window& window, double value, double full) noexcept {
    switch (window.function) {
        case VoiFunction::linear: {
            const double center = window.center - 0.5;
            const double half = (window.width - 1.0) / 2.0;
            if (value <= center - half) {
                return 0.0;
            }
            if (value > center + half) {
                return full;
            }
            return ((value - center) / (window.width - 1.0) + 0.5) * full;
        }
        case VoiFunction::linear_exact: {
            const double half = window.width / 2.0;
            if (value <= window.center - half) {
                return 0.0;
            }
            if (value > window.center + half) {
                return full;
            }
            return ((value - window.center) / window.width + 0.5) * full;
        }
        case VoiFunction::sigmoid:
            break;
    }
    return full / (1.0 + std::exp(-4.0 * (value - window.center) / window.width));
}

Ramp make_ramp(const Window& window, const Rescale& rescale, std::int32_t minimum, std::int32_t maximum, bool invert,
               double full) noexcept {
    const bool falls = rescale.slope < 0.0;
    const Line line = line_of(window, full);
    // A falling line is computed rising, then inverted: clamping stays one minimum and one maximum.
    const double gain = std::abs(line.gain * rescale.slope);
    double bias = line.gain * rescale.intercept + line.bias;
    bias = falls ? full - bias : bias;
    Ramp ramp;
    if (window.function == VoiFunction::linear && window.width <= 1.0 && rescale.slope != 0.0) {
        const double threshold = (window.center - 0.5 - rescale.intercept) / rescale.slope;
        ramp = make_step(falls ? std::ceil(threshold) - 1.0 : std::floor(threshold), minimum, maximum, full);
    } else if (gain == 0.0 || !std::isfinite(gain) || !std::isfinite(bias)) {
        const double value = apply(window, rescale(minimum), full);
        ramp = {minimum, minimum, 0.0F, static_cast<float>(falls ? full - value : value), 0};
    } else {
        ramp.low = to_integer(std::floor(-bias / gain), minimum, maximum);
        ramp.high = to_integer(std::ceil((full - bias) / gain), minimum, maximum);
        ramp.scale = static_cast<float>(std::min(gain, 1.0e12));
        ramp.offset = static_cast<float>(std::clamp(gain * ramp.low + bias, -1.0e6, 1.0e6));
    }
    ramp.flip = falls != invert ? 0xFFFF : 0;
    return ramp;
}

}  // namespace hilum::pixel
