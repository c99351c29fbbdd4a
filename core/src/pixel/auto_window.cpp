// SPDX-License-Identifier: Apache-2.0
#include "auto_window.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "samples.hpp"

namespace hilum::pixel {
namespace {

bool is_padding(const Padding& padding, double value) noexcept {
    return padding && value >= static_cast<double>(padding->first) && value <= static_cast<double>(padding->second);
}

Range scan_range(const ImageView& view, Extraction e, const Padding& padding) {
    Range range;
    for (std::uint32_t y = 0; y < view.rows; ++y) {
        for_each_value(view, y, e, [&](std::uint32_t, double value) {
            if (is_padding(padding, value) || !std::isfinite(value)) {
                return;
            }
            range.minimum = range.empty ? value : std::min(range.minimum, value);
            range.maximum = range.empty ? value : std::max(range.maximum, value);
            range.empty = false;
        });
    }
    return range;
}

Range range_16(const ImageView& view, Extraction e) noexcept {
    std::int32_t low = std::numeric_limits<std::int32_t>::max();
    std::int32_t high = std::numeric_limits<std::int32_t>::min();
    for (std::uint32_t y = 0; y < view.rows; ++y) {
        kernels::range_16(view.row(y), view.columns, e, low, high);
    }
    return {static_cast<double>(low), static_cast<double>(high), false};
}

/// Position, from 1, of a percentile among `count` sorted values.
std::uint64_t rank_of(std::uint64_t count, double percent) noexcept {
    const double rank = std::ceil(static_cast<double>(count) * percent / 100.0);
    return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(rank), 1, count);
}

/// Integers of up to 16 bits: by a histogram.
Range counted_percentiles(const ImageView& view, Extraction e, const Padding& padding, double low, double high) {
    const auto [least, most] = bounds_of(view, e);
    std::vector<std::uint64_t> counts(static_cast<std::size_t>(most - least) + 1);
    const auto origin = static_cast<double>(least);
    for (std::uint32_t y = 0; y < view.rows; ++y) {
        for_each_value(view, y, e,
                       [&](std::uint32_t, double value) { ++counts[static_cast<std::size_t>(value - origin)]; });
    }
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        counts[i] = is_padding(padding, origin + static_cast<double>(i)) ? 0 : counts[i];
        total += counts[i];
    }
    if (total == 0) {
        return {};
    }
    const auto value_at = [&](std::uint64_t rank) {
        std::size_t index = 0;
        for (std::uint64_t seen = counts[0]; seen < rank; seen += counts[index]) {
            ++index;
        }
        return origin + static_cast<double>(index);
    };
    return {value_at(rank_of(total, low)), value_at(rank_of(total, high)), false};
}

/// Wide integers and real numbers: by partial sorting of a copy.
Range sorted_percentiles(const ImageView& view, Extraction e, const Padding& padding, double low, double high) {
    return with_type(view.type, [&](auto sample) -> Range {
        using Sample = decltype(sample);
        std::vector<Sample> values;
        values.reserve(std::size_t{view.rows} * view.columns);
        for (std::uint32_t y = 0; y < view.rows; ++y) {
            const std::byte* row = view.row(y);
            for (std::uint32_t x = 0; x < view.columns; ++x) {
                const auto value = extracted<Sample>(row + x * sizeof(Sample), e);
                const auto number = static_cast<double>(value);
                if (!is_padding(padding, number) && std::isfinite(number)) {
                    values.push_back(value);
                }
            }
        }
        if (values.empty()) {
            return {};
        }
        const auto value_at = [&](double percent) {
            const auto at = values.begin() + static_cast<std::ptrdiff_t>(rank_of(values.size(), percent) - 1);
            std::nth_element(values.begin(), at, values.end());
            return static_cast<double>(*at);
        };
        const double first = value_at(low);
        return {first, value_at(high), false};
    });
}

/// A window that shows all of a range. One value alone is black.
Window window_for(const Range& range, const Mapping& mapping) {
    if (range.empty) {
        return {0.5, 1.0, VoiFunction::linear_exact};
    }
    const double first = mapping.modality(range.minimum);
    const double second = mapping.modality(range.maximum);
    const double low = std::min(first, second);
    const double width = std::abs(second - first);
    if (!(width > 0.0) || !std::isfinite(width)) {
        return {std::isfinite(low) ? low + 0.5 : 0.5, 1.0, VoiFunction::linear_exact};
    }
    return {low + width / 2.0, width, VoiFunction::linear_exact};
}

}  // namespace

Range range_of(const ImageView& view, Extraction e, const Padding& padding) {
    if (view.type == SampleType::u16 || view.type == SampleType::s16) {
        const Range quick = range_16(view, e);
        if (!is_padding(padding, quick.minimum) && !is_padding(padding, quick.maximum)) {
            return quick;
        }
    }
    return scan_range(view, e, padding);
}

Range percentiles_of(const ImageView& view, Extraction e, const Padding& padding, double low, double high) {
    return bytes_of(view.type) <= 2 ? counted_percentiles(view, e, padding, low, high)
                                    : sorted_percentiles(view, e, padding, low, high);
}

Window auto_window(const ImageView& whole, Extraction e, const codec::PixelDescription& d,
                   const RenderingAttributes& attributes, const RenderRequest& request, const Mapping& mapping) {
    if (d.bits_allocated == 1) {
        return {0.5, 1.0, VoiFunction::linear_exact};
    }
    const bool few_bits = !is_float(whole) && d.bits_stored <= 8;
    if (few_bits && mapping.is_plain() && !attributes.is_segmentation && !request.auto_window) {
        const auto [low, high] = bounds_of(whole, e);
        return {(low + high) / 2.0, static_cast<double>(high - low), VoiFunction::linear_exact};
    }
    if (attributes.is_segmentation) {
        Range labels = range_of(whole, e, {});
        labels.minimum = std::min(labels.minimum, 0.0);
        return window_for(labels, mapping);
    }
    if (request.low_percentile > 0.0 || request.high_percentile < 100.0) {
        const Range range =
            percentiles_of(whole, e, attributes.padding, request.low_percentile, request.high_percentile);
        if (range.empty || range.minimum < range.maximum) {
            return window_for(range, mapping);
        }
    }
    return window_for(range_of(whole, e, attributes.padding), mapping);
}

}  // namespace hilum::pixel
