// SPDX-License-Identifier: Apache-2.0
// The decoder as a codec: what the data set says against what the code stream says.
#include "hilum/codec/jpeg2000.hpp"

#include <algorithm>
#include <string>

#include "decoder.hpp"
#include "hilum/error.hpp"

namespace hilum::codec::jpeg2000 {
namespace {

std::size_t base_of(std::span<const std::byte> data, std::span<const std::byte> stream) noexcept {
    return static_cast<std::size_t>(stream.data() - data.data());
}

ImageInfo probe(std::span<const std::byte> data, const PixelDescription&) {
    const auto bare = code_stream(data);
    const j2k::CodeStream stream = j2k::read_main_header(bare, base_of(data, bare));
    ImageInfo info;
    info.rows = stream.size.image.height();
    info.columns = stream.size.image.width();
    info.components = static_cast<std::uint16_t>(stream.size.components.size());
    for (const j2k::Component& component : stream.size.components) {
        info.precision = std::max<std::uint16_t>(info.precision, component.precision);
        info.is_signed = info.is_signed || component.is_signed;
        if (component.dx != 1 || component.dy != 1) {
            j2k::fail_unsupported("subsampled components have no decoder", stream.base + 2);
        }
    }
    const bool all_reversible =
        std::ranges::all_of(stream.parameters.components, [](const auto& c) { return c.coding.reversible; });
    info.lossy = !all_reversible;
    if (stream.parameters.component_transform) {
        info.colour = ImageInfo::Colour::rgb;
    }
    return info;
}

/// Rows and columns of what the options ask for.
std::pair<std::uint32_t, std::uint32_t> size_of(std::span<const std::byte> data, const Options& options) {
    const auto whole = reduced_size(data, options.discard_levels);
    if (!options.region) {
        return whole;
    }
    const auto [rows, columns] = whole;
    const Region& part = *options.region;
    if (part.x >= columns || part.y >= rows || part.columns == 0 || part.rows == 0 || part.columns > columns - part.x ||
        part.rows > rows - part.y) {
        throw Error(Errc::out_of_range, "JPEG 2000: the region is not inside of the image of " + std::to_string(rows) +
                                            "x" + std::to_string(columns));
    }
    return {part.rows, part.columns};
}

void decode(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo& info,
            std::span<std::byte> out) {
    decode_with(data, d, info, {}, out);
}

}  // namespace

void decode_with(std::span<const std::byte> data, const PixelDescription& d, const ImageInfo& info,
                 const Options& options, std::span<std::byte> out) {
    check_description(d);
    check_fits(info, d);
    const auto bare = code_stream(data);
    const auto [rows, columns] = size_of(data, options);
    const std::size_t container = bytes_of(sample_type(d));
    if (out.size() != std::uint64_t{rows} * columns * d.samples_per_pixel * container) {
        throw Error(Errc::buffer_too_small, "the output has " + std::to_string(out.size()) + " bytes, the image has " +
                                                std::to_string(rows) + "x" + std::to_string(columns) + "x" +
                                                std::to_string(d.samples_per_pixel) + " samples");
    }
    j2k::decode_image(bare, base_of(data, bare), options,
                      {out.data(), rows, columns, d.samples_per_pixel, static_cast<unsigned>(container)});
}

std::pair<std::uint32_t, std::uint32_t> reduced_size(std::span<const std::byte> data, unsigned discard_levels) {
    const auto bare = code_stream(data);
    const j2k::CodeStream stream = j2k::read_main_header(bare, base_of(data, bare));
    for (const auto& component : stream.parameters.components) {
        if (component.coding.levels < discard_levels) {
            throw Error(Errc::out_of_range, "JPEG 2000: fewer resolution levels than are to be discarded");
        }
    }
    const j2k::Rect image = j2k::reduced(stream.size.image, discard_levels);
    return {image.height(), image.width()};
}

const Codec kHilum{"jpeg2000", "hilum", &probe, &decode};

}  // namespace hilum::codec::jpeg2000
