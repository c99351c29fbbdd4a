// SPDX-License-Identifier: Apache-2.0
// One stored frame to one PNG or JPEG: decode, modality LUT, VOI LUT, inversion or colour, crop, scale, encode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "hilum/codec/registry.hpp"
#include "hilum/pixel/colour.hpp"
#include "hilum/pixel/modality_lut.hpp"
#include "hilum/pixel/voi_lut.hpp"

namespace hilum::pixel {

/// What the header says about how one frame is to be shown.
struct RenderingAttributes {
    Rescale rescale;
    std::optional<Lut> modality_lut;  ///< instead of rescale
    std::vector<Window> windows;      ///< valid ones, in the order of the file
    std::vector<Lut> voi_luts;
    std::optional<Palette> palette;
    std::optional<std::pair<std::int64_t, std::int64_t>> padding;  ///< stored values, inclusive (PS3.3 C.7.5.1.1.2)
    double pixel_aspect = 1.0;                                     ///< height of a pixel over its width
    bool is_segmentation = false;  ///< values are labels or fractions: stretched to be seen
};

/// Part of the image, in pixels from the upper left corner.
struct Region {
    std::uint32_t x = 0;
    std::uint32_t y = 0;
    std::uint32_t columns = 0;
    std::uint32_t rows = 0;
};

enum class FileFormat : std::uint8_t { png, jpeg };

struct RenderRequest {
    std::uint32_t width = 0;  ///< the largest allowed; 0: as is, or by the other and the aspect
    std::uint32_t height = 0;
    std::optional<Region> region;
    std::optional<Window> window;  ///< in modality values; else the file's
    std::size_t window_index = 0;  ///< which of the file's windows, then VOI LUTs
    bool invert = false;           ///< in addition to MONOCHROME1
    bool square_pixels = true;     ///< correct the aspect of pixels that are not square
    FileFormat format = FileFormat::jpeg;
    int quality = 90;
};

/// 8-bit grey or RGB pixels.
struct RenderedImage {
    std::vector<std::uint8_t> pixels;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    unsigned samples = 1;
};

/// Everything but the file format. Errors: those of decode_frame; out_of_range for a region outside of the image,
/// limit_exceeded above limits::kMaxRenderedPixels, unsupported_pixels for a colour space without a known conversion.
[[nodiscard]] RenderedImage render_image(const codec::StoredFrame& frame, const codec::Syntax& syntax,
                                         const codec::PixelDescription& description,
                                         const RenderingAttributes& attributes, const RenderRequest& request);

/// The whole way.
[[nodiscard]] std::vector<std::byte> render(const codec::StoredFrame& frame, const codec::Syntax& syntax,
                                            const codec::PixelDescription& description,
                                            const RenderingAttributes& attributes, const RenderRequest& request);

/// Least and greatest stored value of a frame without its padding, and the window (modality values) that shows them
/// all.
[[nodiscard]] Range stored_range(const codec::StoredFrame& frame, const codec::Syntax& syntax,
                                 const codec::PixelDescription& description, const RenderingAttributes& attributes);

/// Rows and columns of the output for an image (or region) of this size.
[[nodiscard]] std::pair<std::uint32_t, std::uint32_t> output_size(std::uint32_t rows, std::uint32_t columns,
                                                                  double pixel_aspect, const RenderRequest& request);

}  // namespace hilum::pixel
