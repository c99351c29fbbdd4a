// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "auto_window.hpp"
#include "draw.hpp"
#include "hilum/pixel/resample.hpp"
#include "samples.hpp"

namespace hilum::pixel {
namespace {

using codec::PixelDescription;

/// One entry for each bit pattern of the extracted value.
template <typename Out>
std::vector<Out> tabulate(const ImageView& view, Extraction e, const Mapping& mapping) {
    const std::size_t patterns = std::size_t{1} << (container_bits(view) - e.right);
    std::vector<Out> table(patterns);
    for (std::size_t p = 0; p < patterns; ++p) {
        const bool negative = e.is_signed && p >= patterns / 2;
        const double stored = static_cast<double>(p) - (negative ? static_cast<double>(patterns) : 0.0);
        table[p] = static_cast<Out>(mapping.display(stored));
    }
    return table;
}

/// Extracted values in memory of their own, for what cannot extract on the way.
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

/// Rows of stored or resampled values to rows of display values of type Out.
template <typename Out>
class GreyRows {
public:
    GreyRows(const ImageView& view, Extraction e, const Mapping& mapping) : view_(view), e_(e), mapping_(mapping) {
        is_wide_ = bytes_of(view.type) > 2;
        ramps_ = !is_wide_ && mapping.is_linear();
        if (ramps_) {
            const auto [low, high] = bounds_of(view, e);
            ramp_ = mapping.ramp(low, high);
        }
    }

    void stored(std::uint32_t y, Out* out) {
        if (ramps_ && bytes_of(view_.type) == 2) {
            return kernels::ramp_16(view_.row(y), view_.columns, e_, ramp_, out);
        }
        if (is_wide_) {
            return for_each_value(view_, y, e_, [&](std::uint32_t x, double value) {
                out[x] = static_cast<Out>(mapping_.display(value));
            });
        }
        need_table();
        if (bytes_of(view_.type) == 2) {
            return kernels::table_16(view_.row(y), view_.columns, e_, table_.data(), out);
        }
        const std::byte* row = view_.row(y);
        for (std::uint32_t x = 0; x < view_.columns; ++x) {
            const auto shifted = static_cast<std::uint8_t>(static_cast<unsigned>(row[x]) << e_.left);
            out[x] = table_[shifted >> e_.right];
        }
    }

    void resampled(std::span<const float> values, Out* out) {
        if (ramps_) {
            return kernels::ramp_float(values.data(), values.size(), ramp_, out);
        }
        if (is_wide_) {
            std::ranges::transform(values, out, [&](float value) {
                return static_cast<Out>(mapping_.display(static_cast<double>(value)));
            });
            return;
        }
        need_table();
        const auto [low, high] = bounds_of(view_, e_);
        const std::size_t mask = table_.size() - 1;
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto stored = std::clamp(static_cast<std::int32_t>(std::lrint(values[i])), low, high);
            out[i] = table_[static_cast<std::size_t>(stored) & mask];
        }
    }

private:
    void need_table() {
        if (table_.empty()) {
            table_ = tabulate<Out>(view_, e_, mapping_);
        }
    }

    const ImageView& view_;
    Extraction e_;
    const Mapping& mapping_;
    bool is_wide_ = false;
    bool ramps_ = false;
    Ramp ramp_;
    std::vector<Out> table_;
};

/// Calls `row_of(y, fill)` for every row of the canvas; `fill(out)` writes its display values.
template <typename Out, typename RowOf>
void draw_rows(const Scene& scene, const Canvas& canvas, RowOf&& row_of) {
    const ImageView& view = scene.image.view;
    const Extraction e = scene.image.extraction;
    const Mapping mapping = mapping_of(scene, std::numeric_limits<Out>::max());
    GreyRows<Out> rows(view, e, mapping);
    if (canvas.rows == view.rows && canvas.columns == view.columns) {
        for (std::uint32_t y = 0; y < view.rows; ++y) {
            row_of(y, [&](Out* out) { rows.stored(y, out); });
        }
        return;
    }
    ImageView source = view;
    std::vector<std::byte> extracted;
    if (!is_float(view) && (e.left != 0 || e.right != 0)) {
        extracted = extract_copy(view, e);
        source.data = extracted.data();
        source.row_stride = std::size_t{view.columns} * bytes_of(view.type);
    }
    Resampler resampler(source, canvas.rows, canvas.columns, scene.request.interpolation);
    std::vector<float> values(canvas.columns);
    for (std::uint32_t y = 0; y < canvas.rows; ++y) {
        resampler.row(y, values.data());
        row_of(y, [&](Out* out) { rows.resampled(values, out); });
    }
}

/// A grey picture that becomes RGB because of coloured overlays or shutters.
void draw_as_rgb(const Scene& scene, const Canvas& canvas) {
    std::vector<std::uint8_t> grey(canvas.columns);
    draw_rows<std::uint8_t>(scene, canvas, [&](std::uint32_t y, auto&& fill) {
        fill(grey.data());
        std::uint8_t* to = canvas.row(y);
        for (const std::uint8_t value : grey) {
            to = std::fill_n(to, 3, value);
        }
    });
}

/// An image without gaps, drawn at its own size, is one long row.
void draw_as_one_row(const Scene& scene, const Canvas& canvas) {
    ImageView line = scene.image.view;
    line.columns *= line.rows;  // below limits::kMaxRenderedPixels
    line.rows = 1;
    const Mapping mapping = mapping_of(scene, 255.0);
    GreyRows<std::uint8_t>(line, scene.image.extraction, mapping).stored(0, canvas.data);
}

}  // namespace

Mapping mapping_of(const Scene& scene, double full) {
    const bool monochrome1 = scene.description.photometric == codec::Photometric::monochrome1;
    Mapping mapping(scene.attributes, scene.request, monochrome1, full);
    if (is_float(scene.whole) && !scene.request.window) {
        mapping.take_real_values();
    }
    if (!mapping.has_voi()) {
        mapping.set_window(auto_window(scene.whole, scene.image.extraction, scene.description, scene.attributes,
                                       scene.request, mapping));
    }
    return mapping;
}

void draw_grey(const Scene& scene, const Canvas& canvas) {
    if (canvas.samples == 3) {
        return draw_as_rgb(scene, canvas);
    }
    if (canvas.sample_bytes == 1) {
        const ImageView& view = scene.image.view;
        const bool gapless = view.row_stride == view.columns * bytes_of(view.type) && canvas.stride == canvas.columns;
        if (gapless && canvas.rows == view.rows && canvas.columns == view.columns) {
            return draw_as_one_row(scene, canvas);
        }
        return draw_rows<std::uint8_t>(scene, canvas, [&](std::uint32_t y, auto&& fill) { fill(canvas.row(y)); });
    }
    std::vector<std::uint16_t> words(canvas.columns);
    draw_rows<std::uint16_t>(scene, canvas, [&](std::uint32_t y, auto&& fill) {
        fill(words.data());
        std::memcpy(canvas.row(y), words.data(), 2 * words.size());
    });
}

}  // namespace hilum::pixel
