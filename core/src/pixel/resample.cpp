// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/resample.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

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

template <typename Sample>
void add_row(const std::byte* in, std::size_t count, float weight, float* sum) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        Sample value{};
        std::memcpy(&value, in + i * sizeof(Sample), sizeof(value));
        sum[i] += weight * static_cast<float>(value);
    }
}

using AddRow = void (*)(const std::byte*, std::size_t, float, float*) noexcept;

AddRow choose(SampleType type) noexcept {
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

std::vector<Taps> make_taps(std::uint32_t from, std::uint32_t to) {
    std::vector<Taps> all;
    all.reserve(to);
    for (std::uint32_t index = 0; index < to; ++index) {
        all.push_back(to < from ? average_taps(from, to, index) : linear_taps(from, to, index));
    }
    return all;
}

void resample(const ImageView& in, std::uint32_t rows, std::uint32_t columns, std::span<float> out) {
    const std::vector<Taps> vertical = make_taps(in.rows, rows);
    const std::vector<Taps> horizontal = make_taps(in.columns, columns);
    const AddRow add = choose(in.type);
    const std::size_t width = std::size_t{in.columns} * in.samples;
    std::vector<float> sum(width);
    float* to = out.data();
    for (const Taps& taps : vertical) {
        std::ranges::fill(sum, 0.0F);
        for (std::size_t i = 0; i < taps.weights.size(); ++i) {
            add(in.row(taps.first + static_cast<std::uint32_t>(i)), width, taps.weights[i], sum.data());
        }
        scale_row(sum.data(), horizontal, in.samples, to);
        to += std::size_t{columns} * in.samples;
    }
}

void to_bytes(std::span<const float> in, std::span<std::uint8_t> out) noexcept {
    for (std::size_t i = 0; i < in.size(); ++i) {
        const float value = in[i] > 0.0F ? in[i] : 0.0F;
        out[i] = static_cast<std::uint8_t>((value < 255.0F ? value : 255.0F) + 0.5F);
    }
}

}  // namespace hilum::pixel
