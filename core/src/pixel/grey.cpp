// SPDX-License-Identifier: Apache-2.0
#include "grey.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>

#include "hilum/pixel/resample.hpp"

namespace hilum::pixel {
namespace {

using codec::PixelDescription;

/// Stored value to display value: what PS3.4 N.2 calls the Modality and the VOI LUT transformation together.
class Mapping {
public:
    Mapping(const RenderingAttributes& attributes, const RenderRequest& request) : attributes_(attributes) {
        if (request.window) {
            window_ = request.window;
        } else if (request.window_index < attributes.windows.size()) {
            window_ = attributes.windows[request.window_index];
        } else if (!attributes.voi_luts.empty()) {
            const std::size_t index = request.window_index - attributes.windows.size();
            voi_lut_ = &attributes.voi_luts[std::min(index, attributes.voi_luts.size() - 1)];
        } else if (!attributes.windows.empty()) {
            window_ = attributes.windows.back();
        }
    }

    [[nodiscard]] bool has_voi() const noexcept { return window_.has_value() || voi_lut_ != nullptr; }
    void set_window(const Window& window) noexcept { window_ = window; }

    /// LINEAR counts whole grey levels (the 0.5 and 1 of PS3.3 C.11.2.1.2.1). On floating point pixel data whose file
    /// does not name a function it would be a threshold or worse; there the window means its two edges.
    void take_real_values() noexcept {
        if (window_ && window_->function == VoiFunction::linear) {
            window_->function = VoiFunction::linear_exact;
        }
    }

    /// A ramp does all of it.
    [[nodiscard]] bool is_linear() const noexcept {
        return window_ && window_->function != VoiFunction::sigmoid && !attributes_.modality_lut;
    }
    [[nodiscard]] const Window& window() const noexcept { return *window_; }

    [[nodiscard]] double modality(double stored) const noexcept {
        return attributes_.modality_lut ? (*attributes_.modality_lut)(stored) : attributes_.rescale(stored);
    }
    [[nodiscard]] double display(double stored) const noexcept {
        const double value = modality(stored);
        if (voi_lut_ != nullptr) {
            const auto full = static_cast<double>((1U << voi_lut_->bits) - 1U);
            return (*voi_lut_)(value) / full * 255.0;
        }
        return apply(*window_, value);
    }

private:
    const RenderingAttributes& attributes_;
    std::optional<Window> window_;
    const Lut* voi_lut_ = nullptr;
};

std::uint8_t round_to_byte(double value, std::uint8_t flip) noexcept {
    const double positive = value > 0.0 ? value : 0.0;  // NaN too
    return static_cast<std::uint8_t>(static_cast<std::uint8_t>(std::min(positive, 255.0) + 0.5) ^ flip);
}

template <typename Sample>
Range scan_range(const ImageView& view, Extraction e,
                 const std::optional<std::pair<std::int64_t, std::int64_t>>& padding) {
    Range range;
    for (std::uint32_t y = 0; y < view.rows; ++y) {
        const std::byte* row = view.row(y);
        for (std::uint32_t x = 0; x < view.columns; ++x) {
            Sample value{};
            std::memcpy(&value, row + x * sizeof(Sample), sizeof(value));
            if constexpr (std::is_integral_v<Sample>) {
                using Unsigned = std::make_unsigned_t<Sample>;
                const auto shifted = static_cast<Unsigned>(static_cast<Unsigned>(value) << e.left);
                value = static_cast<Sample>(static_cast<Sample>(shifted) >> e.right);
            }
            const auto number = static_cast<double>(value);
            const bool is_padding = padding && number >= static_cast<double>(padding->first) &&
                                    number <= static_cast<double>(padding->second);
            if (is_padding || !std::isfinite(number)) {
                continue;
            }
            range.minimum = range.empty ? number : std::min(range.minimum, number);
            range.maximum = range.empty ? number : std::max(range.maximum, number);
            range.empty = false;
        }
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

unsigned container_bits(const ImageView& view) noexcept {
    return static_cast<unsigned>(8 * bytes_of(view.type));
}

bool is_float(const ImageView& view) noexcept {
    return view.type == SampleType::f32 || view.type == SampleType::f64;
}

/// Bounds of extracted values of containers of up to 16 bits.
std::pair<std::int32_t, std::int32_t> bounds(const ImageView& view, Extraction e) noexcept {
    const unsigned bits = container_bits(view) - e.right;
    if (e.is_signed) {
        return {-(1 << (bits - 1U)), (1 << (bits - 1U)) - 1};
    }
    return {0, (1 << bits) - 1};
}

/// A window that shows all values. A constant image is black.
Window window_for(const Range& range, const Mapping& mapping) {
    if (range.empty) {
        return {0.5, 1.0, VoiFunction::linear_exact};
    }
    const double first = mapping.modality(range.minimum);
    const double second = mapping.modality(range.maximum);
    const double low = std::min(first, second);
    const double width = std::abs(second - first);
    if (!(width > 0.0)) {
        return {low + 0.5, 1.0, VoiFunction::linear_exact};
    }
    return {low + width / 2.0, width, VoiFunction::linear_exact};
}

/// PS3.3 C.11.2.1: without VOI attributes the values are meant to be shown as they are, which is what images of up to
/// eight bits do. More bits have no display range of their own: least to greatest value.
Window default_window(const ImageView& whole, Extraction e, const PixelDescription& d,
                      const RenderingAttributes& attributes, const Mapping& mapping) {
    const bool few_bits = !is_float(whole) && d.bits_stored <= 8;
    const bool plain =
        attributes.rescale.slope == 1.0 && attributes.rescale.intercept == 0.0 && !attributes.modality_lut;
    if (d.bits_allocated == 1) {
        return {0.5, 1.0, VoiFunction::linear_exact};
    }
    if (few_bits && plain && !attributes.is_segmentation) {
        const auto [low, high] = bounds(whole, e);
        return {(low + high) / 2.0, static_cast<double>(high - low), VoiFunction::linear_exact};
    }
    return window_for(range_of(whole, e, attributes.padding), mapping);
}

/// One entry for each bit pattern of the extracted value.
std::vector<std::uint8_t> tabulate(const ImageView& view, Extraction e, const Mapping& mapping, std::uint8_t flip) {
    const std::size_t patterns = std::size_t{1} << (container_bits(view) - e.right);
    std::vector<std::uint8_t> table(patterns);
    for (std::size_t p = 0; p < patterns; ++p) {
        const bool negative = e.is_signed && p >= patterns / 2;
        const double stored = static_cast<double>(p) - (negative ? static_cast<double>(patterns) : 0.0);
        table[p] = round_to_byte(mapping.display(stored), flip);
    }
    return table;
}

template <typename Sample>
void map_row(const std::byte* in, std::size_t count, Extraction e, const Mapping& mapping, std::uint8_t flip,
             std::uint8_t* out) {
    for (std::size_t i = 0; i < count; ++i) {
        Sample value{};
        std::memcpy(&value, in + i * sizeof(Sample), sizeof(value));
        if constexpr (std::is_integral_v<Sample>) {
            using Unsigned = std::make_unsigned_t<Sample>;
            const auto shifted = static_cast<Unsigned>(static_cast<Unsigned>(value) << e.left);
            value = static_cast<Sample>(static_cast<Sample>(shifted) >> e.right);
        }
        out[i] = round_to_byte(mapping.display(static_cast<double>(value)), flip);
    }
}

void map_wide_row(SampleType type, const std::byte* in, std::size_t count, Extraction e, const Mapping& mapping,
                  std::uint8_t flip, std::uint8_t* out) {
    switch (type) {
        case SampleType::u32:
            return map_row<std::uint32_t>(in, count, e, mapping, flip, out);
        case SampleType::s32:
            return map_row<std::int32_t>(in, count, e, mapping, flip, out);
        case SampleType::f32:
            return map_row<float>(in, count, e, mapping, flip, out);
        default:
            return map_row<double>(in, count, e, mapping, flip, out);
    }
}

void map_unscaled(const ImageView& view, Extraction e, const Mapping& mapping, bool invert, std::uint8_t* out) {
    const std::size_t container = bytes_of(view.type);
    const std::uint8_t flip = invert ? 0xFF : 0;
    if (container > 2) {
        for (std::uint32_t y = 0; y < view.rows; ++y, out += view.columns) {
            map_wide_row(view.type, view.row(y), view.columns, e, mapping, flip, out);
        }
        return;
    }
    const std::vector<std::uint8_t> table = tabulate(view, e, mapping, flip);
    for (std::uint32_t y = 0; y < view.rows; ++y, out += view.columns) {
        const std::byte* row = view.row(y);
        if (container == 2) {
            kernels::table_16(row, view.columns, e, table.data(), out);
            continue;
        }
        for (std::uint32_t x = 0; x < view.columns; ++x) {
            const auto shifted = static_cast<std::uint8_t>(static_cast<unsigned>(row[x]) << e.left);
            out[x] = table[shifted >> e.right];
        }
    }
}

void map_scaled(std::span<const float> values, const ImageView& view, Extraction e, const Mapping& mapping, bool invert,
                std::uint8_t* out) {
    const std::uint8_t flip = invert ? 0xFF : 0;
    if (bytes_of(view.type) > 2) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            out[i] = round_to_byte(mapping.display(static_cast<double>(values[i])), flip);
        }
        return;
    }
    const auto [low, high] = bounds(view, e);
    const std::vector<std::uint8_t> table = tabulate(view, e, mapping, flip);
    const std::size_t mask = table.size() - 1;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto stored = std::clamp(static_cast<std::int32_t>(std::lrint(values[i])), low, high);
        out[i] = table[static_cast<std::size_t>(stored) & mask];
    }
}

}  // namespace

std::vector<std::byte> extract_copy(const ImageView& view, Extraction e) {
    const std::size_t bytes = std::size_t{view.columns} * bytes_of(view.type);
    std::vector<std::byte> copy(bytes * view.rows);
    for (std::uint32_t y = 0; y < view.rows; ++y) {
        std::memcpy(copy.data() + y * bytes, view.row(y), bytes);
    }
    PixelDescription d;
    d.bits_allocated = static_cast<std::uint16_t>(container_bits(view));
    d.bits_stored = static_cast<std::uint16_t>(d.bits_allocated - e.right);
    d.high_bit = static_cast<std::uint16_t>(d.bits_allocated - 1 - e.left);
    d.pixel_representation = e.is_signed ? 1 : 0;
    codec::extract_stored(copy, d);
    return copy;
}

Range range_of(const ImageView& view, Extraction e,
               const std::optional<std::pair<std::int64_t, std::int64_t>>& padding) {
    switch (view.type) {
        case SampleType::u8:
            return scan_range<std::uint8_t>(view, e, padding);
        case SampleType::s8:
            return scan_range<std::int8_t>(view, e, padding);
        case SampleType::u16:
        case SampleType::s16: {
            const Range quick = range_16(view, e);
            const auto inside = [&](double value) {
                return padding && value >= static_cast<double>(padding->first) &&
                       value <= static_cast<double>(padding->second);
            };
            if (!inside(quick.minimum) && !inside(quick.maximum)) {
                return quick;
            }
            return e.is_signed ? scan_range<std::int16_t>(view, e, padding)
                               : scan_range<std::uint16_t>(view, e, padding);
        }
        case SampleType::u32:
            return scan_range<std::uint32_t>(view, e, padding);
        case SampleType::s32:
            return scan_range<std::int32_t>(view, e, padding);
        case SampleType::f32:
            return scan_range<float>(view, e, padding);
        case SampleType::f64:
            break;
    }
    return scan_range<double>(view, e, padding);
}

RenderedImage render_grey(const Unpacked& image, const ImageView& whole, const PixelDescription& d,
                          const RenderingAttributes& attributes, const RenderRequest& request) {
    const ImageView& view = image.view;
    const Extraction e = image.extraction;
    Mapping mapping(attributes, request);
    if (is_float(view) && !request.window) {
        mapping.take_real_values();
    }
    if (!mapping.has_voi()) {
        mapping.set_window(default_window(whole, e, d, attributes, mapping));
    }
    const bool invert = (d.photometric == codec::Photometric::monochrome1) != request.invert;
    RenderedImage result;
    std::tie(result.rows, result.columns) = output_size(view.rows, view.columns, attributes.pixel_aspect, request);
    result.pixels.resize(std::size_t{result.rows} * result.columns);
    const bool ramps = mapping.is_linear() && bytes_of(view.type) <= 2;
    Ramp ramp;
    if (ramps) {
        const auto [low, high] = bounds(view, e);
        ramp = make_ramp(mapping.window(), attributes.rescale, low, high, invert);
    }
    if (result.rows == view.rows && result.columns == view.columns) {
        if (ramps && bytes_of(view.type) == 2) {
            for (std::uint32_t y = 0; y < view.rows; ++y) {
                kernels::ramp_16(view.row(y), view.columns, e, ramp,
                                 result.pixels.data() + std::size_t{y} * view.columns);
            }
        } else {
            map_unscaled(view, e, mapping, invert, result.pixels.data());
        }
        return result;
    }
    ImageView source = view;
    std::vector<std::byte> extracted;
    if (!is_float(view) && (e.left != 0 || e.right != 0)) {
        extracted = extract_copy(view, e);
        source.data = extracted.data();
        source.row_stride = std::size_t{view.columns} * bytes_of(view.type);
    }
    std::vector<float> values(result.pixels.size());
    resample(source, result.rows, result.columns, values);
    if (ramps) {
        kernels::ramp_float(values.data(), values.size(), ramp, result.pixels.data());
    } else {
        map_scaled(values, view, e, mapping, invert, result.pixels.data());
    }
    return result;
}

}  // namespace hilum::pixel
