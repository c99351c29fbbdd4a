// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <vector>

#include "draw.hpp"
#include "hilum/error.hpp"
#include "hilum/pixel/resample.hpp"
#include "samples.hpp"

namespace hilum::pixel {
namespace {

using codec::ImageInfo;
using codec::Photometric;
using codec::PixelDescription;

/// PS3.3 C.7.6.3.1.2, and what the code stream says of itself where that is more certain.
bool is_ybr(const PixelDescription& d, const ImageInfo& info) noexcept {
    if (info.colour != ImageInfo::Colour::as_described) {
        return info.colour == ImageInfo::Colour::ycc;
    }
    switch (d.photometric) {
        case Photometric::ybr_full:
        case Photometric::ybr_full_422:
        case Photometric::ybr_partial_420:
        case Photometric::ybr_partial_422:
            return true;
        default:
            return false;
    }
}

bool is_partial(const PixelDescription& d) noexcept {
    return d.photometric == Photometric::ybr_partial_420 || d.photometric == Photometric::ybr_partial_422;
}

bool is_palette_color(const PixelDescription& d) noexcept {
    return d.photometric == Photometric::palette_color && d.samples_per_pixel == 1;
}

/// Entries of a pseudo-colour palette as RGB, by display value: 0 is the first, full the last.
class PseudoColour {
public:
    explicit PseudoColour(const Palette& palette) : entries_(palette[0].entries.size()), rgb_(3 * entries_) {
        tabulate_palette(palette, palette[0].first, entries_, rgb_.data());
    }
    [[nodiscard]] const std::uint8_t* operator()(double share) const noexcept {
        return rgb_.data() + 3 * static_cast<std::size_t>(share * static_cast<double>(entries_ - 1) + 0.5);
    }

private:
    std::size_t entries_;
    std::vector<std::uint8_t> rgb_;
};

/// RGB for every value that a sample of up to 16 bits can have, from the least on.
std::vector<std::uint8_t> tabulate_colours(const Scene& scene) {
    const auto [low, high] = bounds_of(scene.image.view, scene.image.extraction);
    const auto values = static_cast<std::size_t>(high - low) + 1;
    std::vector<std::uint8_t> table(3 * values);
    if (is_palette_color(scene.description)) {
        // Indices are read as unsigned ones, whatever Pixel Representation says.
        tabulate_palette(*scene.attributes.palette, 0, values, table.data());
        if (low < 0) {
            std::rotate(table.begin(), table.begin() + static_cast<std::ptrdiff_t>(3 * (values / 2)), table.end());
        }
        return table;
    }
    const Mapping mapping = mapping_of(scene, scene.request.palette ? 65535.0 : 255.0);
    if (scene.request.palette) {
        const PseudoColour colours(*scene.request.palette);
        for (std::size_t i = 0; i < values; ++i) {
            const std::uint16_t shown = mapping.display(low + static_cast<double>(i));
            std::memcpy(table.data() + 3 * i, colours(shown / 65535.0), 3);
        }
        return table;
    }
    const Palette& palette = *scene.attributes.palette;
    tabulate_palette(palette, low, values, table.data());
    const auto grey = static_cast<std::size_t>(std::clamp(palette[0].first - low, 0, high - low + 1));
    for (std::size_t i = 0; i < grey; ++i) {
        std::fill_n(table.data() + 3 * i, 3, static_cast<std::uint8_t>(mapping.display(low + static_cast<double>(i))));
    }
    return table;
}

/// Rows of the source as 8-bit RGB.
class ColourRows {
public:
    explicit ColourRows(const Scene& scene) : scene_(scene) {
        const RenderRequest& request = scene.request;
        if (!is_tabulated_colour(scene.description, scene.attributes, request)) {
            return;
        }
        if (bytes_of(scene.image.view.type) <= 2) {
            table_ = tabulate_colours(scene);
        } else if (request.palette) {
            mapping_.emplace(mapping_of(scene, 65535.0));
            pseudo_.emplace(*request.palette);
        } else {
            throw Error(Errc::unsupported_pixels, "a palette with more than 16 bits allocated");
        }
    }

    void row(std::uint32_t y, std::uint8_t* out) const {
        const ImageView& view = scene_.image.view;
        if (pseudo_) {
            for_each_value(view, y, scene_.image.extraction, [&](std::uint32_t x, double value) {
                std::memcpy(out + std::size_t{3} * x, (*pseudo_)(mapping_->display(value) / 65535.0), 3);
            });
        } else if (!table_.empty()) {
            look_up(y, out);
        } else {
            const std::size_t samples = std::size_t{view.columns} * 3;
            to_8_bits(view.row(y), samples, bytes_of(view.type),
                      std::max(scene_.description.bits_stored, scene_.image.info.precision), out);
            if (is_ybr(scene_.description, scene_.image.info)) {
                ybr_to_rgb({out, samples}, is_partial(scene_.description) ? YbrKind::partial : YbrKind::full);
            }
        }
        if (scene_.request.invert && !pseudo_ && (table_.empty() || is_palette_color(scene_.description))) {
            std::for_each(out, out + std::size_t{view.columns} * 3,
                          [](std::uint8_t& value) { value = static_cast<std::uint8_t>(value ^ 0xFFU); });
        }
    }

private:
    void look_up(std::uint32_t y, std::uint8_t* out) const noexcept {
        const ImageView& view = scene_.image.view;
        const Extraction e = scene_.image.extraction;
        const std::size_t container = bytes_of(view.type);
        const auto patterns = static_cast<unsigned>(table_.size() / 3);
        const unsigned middle = e.is_signed ? patterns / 2 : 0;  // values from the least on: the sign bit exchanged
        const std::byte* row = view.row(y);
        for (std::uint32_t x = 0; x < view.columns; ++x, out += 3) {
            std::uint16_t raw = 0;
            std::memcpy(&raw, row + x * container, container);
            const unsigned index = ((static_cast<unsigned>(raw) << e.left >> e.right) & (patterns - 1)) ^ middle;
            std::memcpy(out, table_.data() + std::size_t{3} * index, 3);
        }
    }

    const Scene& scene_;
    std::vector<std::uint8_t> table_;
    std::optional<Mapping> mapping_;
    std::optional<PseudoColour> pseudo_;
};

}  // namespace

bool is_tabulated_colour(const PixelDescription& d, const RenderingAttributes& attributes,
                         const RenderRequest& request) noexcept {
    if (d.samples_per_pixel != 1) {
        return false;
    }
    return is_palette_color(d) || request.palette.has_value() || (attributes.is_supplemental && attributes.palette);
}

void draw_colour(const Scene& scene, const Canvas& canvas) {
    const ImageView& view = scene.image.view;
    const ColourRows rows(scene);
    if (canvas.rows == view.rows && canvas.columns == view.columns) {
        for (std::uint32_t y = 0; y < view.rows; ++y) {
            rows.row(y, canvas.row(y));
        }
        return;
    }
    const std::size_t width = std::size_t{view.columns} * 3;
    std::vector<std::uint8_t> rgb(width * view.rows);
    for (std::uint32_t y = 0; y < view.rows; ++y) {
        rows.row(y, rgb.data() + y * width);
    }
    const ImageView source{
        reinterpret_cast<const std::byte*>(rgb.data()), view.rows, view.columns, width, SampleType::u8, 3};
    Resampler resampler(source, canvas.rows, canvas.columns, scene.request.interpolation);
    std::vector<float> values(std::size_t{canvas.columns} * 3);
    for (std::uint32_t y = 0; y < canvas.rows; ++y) {
        resampler.row(y, values.data());
        to_bytes(values, {canvas.row(y), values.size()});
    }
}

}  // namespace hilum::pixel
