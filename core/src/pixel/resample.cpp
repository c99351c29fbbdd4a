// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/resample.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

namespace hilum::pixel {
namespace {

Taps average_taps(std::uint32_t from, std::uint32_t to, std::uint32_t index) {
    const double step = static_cast<double>(from) / to;
    const double begin = index * step;
    const double end = std::min<double>(from, (index + 1.0) * step);
    Taps taps;
    taps.first = std::min(static_cast<std::uint32_t>(begin), from - 1);
    for (std::uint32_t source = taps.first; source < from && source < end; ++source) {
        const double covered = std::min(end, source + 1.0) - std::max<double>(begin, source);
        taps.weights.push_back(static_cast<float>(covered / (end - begin)));
    }
    return taps;
}

Taps linear_taps(std::uint32_t from, std::uint32_t to, std::uint32_t index) {
    const double center = std::clamp((index + 0.5) * from / to - 0.5, 0.0, from - 1.0);
    Taps taps;
    taps.first = static_cast<std::uint32_t>(center);
    const double rest = center - taps.first;
    if (rest > 0.0) {
        taps.weights = {static_cast<float>(1.0 - rest), static_cast<float>(rest)};
    } else {
        taps.weights = {1.0F};
    }
    return taps;
}

/// Keys' cubic convolution kernel with a = -1/2.
double catmull_rom(double distance) noexcept {
    const double t = std::abs(distance);
    if (t < 1.0) {
        return (1.5 * t - 2.5) * t * t + 1.0;
    }
    return t < 2.0 ? ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0 : 0.0;
}

Taps cubic_taps(std::uint32_t from, std::uint32_t to, std::uint32_t index) {
    const double center = (index + 0.5) * from / to - 0.5;
    const auto middle = static_cast<std::int64_t>(std::floor(center));
    const std::int64_t last = std::int64_t{from} - 1;
    const std::int64_t first = std::clamp<std::int64_t>(middle - 1, 0, last);
    const std::int64_t end = std::clamp<std::int64_t>(middle + 2, 0, last) + 1;
    std::vector<double> weights(static_cast<std::size_t>(end - first));
    for (std::int64_t source = middle - 1; source <= middle + 2; ++source) {
        weights[static_cast<std::size_t>(std::clamp<std::int64_t>(source, 0, last) - first)] +=
            catmull_rom(center - static_cast<double>(source));
    }
    Taps taps{static_cast<std::uint32_t>(first), {}};
    std::ranges::transform(weights, std::back_inserter(taps.weights),
                           [](double weight) { return static_cast<float>(weight); });
    return taps;
}

template <typename Sample>
void add_row(const std::byte* in, std::size_t count, float weight, float* sum) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        Sample value{};
        std::memcpy(&value, in + i * sizeof(Sample), sizeof(value));
        sum[i] += weight * static_cast<float>(value);
    }
}

auto choose(SampleType type) noexcept -> void (*)(const std::byte*, std::size_t, float, float*) noexcept {
    switch (type) {
        case SampleType::u8:
            return &add_row<std::uint8_t>;
        case SampleType::s8:
            return &add_row<std::int8_t>;
        case SampleType::u16:
            return &add_row<std::uint16_t>;
        case SampleType::s16:
            return &add_row<std::int16_t>;
        case SampleType::u32:
            return &add_row<std::uint32_t>;
        case SampleType::s32:
            return &add_row<std::int32_t>;
        case SampleType::f32:
            return &add_row<float>;
        case SampleType::f64:
            break;
    }
    return &add_row<double>;
}

void scale_row(const float* sum, const std::vector<Taps>& columns, unsigned samples, float* out) noexcept {
    for (const Taps& taps : columns) {
        for (unsigned s = 0; s < samples; ++s) {
            const float* source = sum + std::size_t{taps.first} * samples + s;
            float value = 0.0F;
            for (const float weight : taps.weights) {
                value += weight * *source;
                source += samples;
            }
            *out++ = value;
        }
    }
}

}  // namespace

std::vector<Taps> make_taps(std::uint32_t from, std::uint32_t to, Interpolation interpolation) {
    std::vector<Taps> all;
    all.reserve(to);
    for (std::uint32_t index = 0; index < to; ++index) {
        if (to < from) {
            all.push_back(average_taps(from, to, index));
        } else if (interpolation == Interpolation::linear || to == from) {
            all.push_back(linear_taps(from, to, index));
        } else {
            all.push_back(cubic_taps(from, to, index));
        }
    }
    return all;
}

Resampler::Resampler(const ImageView& in, std::uint32_t rows, std::uint32_t columns, Interpolation interpolation)
    : in_(in),
      vertical_(make_taps(in.rows, rows, interpolation)),
      horizontal_(make_taps(in.columns, columns, interpolation)),
      add_(choose(in.type)),
      sum_(std::size_t{in.columns} * in.samples) {}

void Resampler::row(std::uint32_t y, float* out) {
    const Taps& taps = vertical_[y];
    std::ranges::fill(sum_, 0.0F);
    for (std::size_t i = 0; i < taps.weights.size(); ++i) {
        add_(in_.row(taps.first + static_cast<std::uint32_t>(i)), sum_.size(), taps.weights[i], sum_.data());
    }
    scale_row(sum_.data(), horizontal_, in_.samples, out);
}

void to_bytes(std::span<const float> in, std::span<std::uint8_t> out) noexcept {
    for (std::size_t i = 0; i < in.size(); ++i) {
        const float value = in[i] > 0.0F ? in[i] : 0.0F;
        out[i] = static_cast<std::uint8_t>((value < 255.0F ? value : 255.0F) + 0.5F);
    }
}

}  // namespace hilum::pixel
