// SPDX-License-Identifier: Apache-2.0
// One stored frame to one picture (PS3.4 N.2): decode, modality LUT, VOI LUT, presentation LUT or colour, crop, scale,
// shutters, overlays, rotation, file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hilum/codec/registry.hpp"
#include "hilum/pixel/colour.hpp"
#include "hilum/pixel/modality_lut.hpp"
#include "hilum/pixel/overlay.hpp"
#include "hilum/pixel/resample.hpp"
#include "hilum/pixel/shutter.hpp"
#include "hilum/pixel/voi_lut.hpp"

namespace hilum::pixel {

/// Presentation LUT Shape (2050,0020), or a Presentation LUT Sequence (2050,0010): display values 0 to 1 choose an
/// entry of `table`, from its first to its last.
struct PresentationLut {
    bool inverse = false;
    std::optional<Lut> table;
};

/// What the header says about how one frame is to be shown.
struct RenderingAttributes {
    Rescale rescale;
    std::optional<Lut> modality_lut;        ///< instead of rescale
    std::vector<Window> windows;            ///< valid ones, in the order of the file
    std::vector<std::string> window_names;  ///< Window Center & Width Explanation (0028,1055), as many as windows
    std::vector<Lut> voi_luts;
    std::vector<std::string> voi_lut_names;  ///< LUT Explanation (0028,3003), as many as voi_luts
    std::optional<Palette> palette;
    bool is_supplemental = false;  ///< grey below the palette's first input, `palette` from there on (C.7.6.19)
    std::optional<bool> inverse;   ///< Presentation LUT Shape (2050,0020) is INVERSE
    std::optional<std::pair<std::int64_t, std::int64_t>> padding;  ///< stored values, inclusive (PS3.3 C.7.5.1.1.2)
    double pixel_aspect = 1.0;                                     ///< height of a pixel over its width
    bool is_segmentation = false;  ///< values are labels or fractions: stretched to be seen
    std::vector<FileOverlay> overlays;
    std::optional<Shutter> shutter;
    std::string shutter_defect;  ///< not empty: why the file's shutter cannot be drawn
};

/// Displayed Area Selection (PS3.3 C.10.4): corners from 1, both inside; may reach outside of the image.
struct DisplayedArea {
    std::int32_t left = 1;
    std::int32_t top = 1;
    std::int32_t right = 1;
    std::int32_t bottom = 1;
};

/// An overlay to be drawn: the file's of this group, or `plane` where the group is 0.
struct OverlayRequest {
    std::uint16_t group = 0;
    OverlayPlane plane;
    Ink ink;
    std::optional<bool> outline;  ///< draw the edge of what is set; none: of regions of interest of the file
};

enum class FileFormat : std::uint8_t { png, jpeg };

struct RenderRequest {
    std::uint32_t width = 0;  ///< the largest allowed; 0: as is, or by the other and the aspect
    std::uint32_t height = 0;
    double scale = 0.0;  ///< above 0: pixels of the picture for one of the image, instead of width and height
    std::optional<Region> region;
    std::optional<DisplayedArea> displayed_area;  ///< instead of region
    bool exact_size = false;                      ///< width and height, both given, are met whatever the proportions
    bool square_pixels = true;                    ///< correct the aspect of pixels that are not square
    std::optional<double> pixel_aspect;           ///< instead of the file's
    Interpolation interpolation = Interpolation::linear;
    unsigned rotation = 0;  ///< degrees clockwise: 0, 90, 180, 270
    bool flip = false;      ///< left to right, after the rotation

    std::optional<Rescale> rescale;  ///< instead of what the file says of its modality values
    std::optional<Lut> modality_lut;
    std::optional<Window> window;  ///< in modality values; else the file's
    std::optional<Lut> voi_lut;
    std::size_t window_index = 0;            ///< which of the file's windows, then VOI LUTs
    std::optional<std::string> window_name;  ///< the file's window or VOI LUT with this explanation
    bool auto_window = false;                ///< even where the file has a window
    double low_percentile = 0.1;             ///< of the frame's values, where a window is laid without one in the file
    double high_percentile = 99.9;
    std::optional<PresentationLut> presentation;  ///< instead of what Photometric Interpretation means
    std::optional<Palette> palette;               ///< pseudo-colour of grey images, by display value
    bool invert = false;                          ///< in addition

    std::optional<std::vector<OverlayRequest>> overlays;  ///< none: those of the file, white
    std::optional<Shutter> shutter;
    bool file_shutter = true;  ///< the file's, where there is no other

    unsigned bits = 8;  ///< of a sample: 8, or 16 for grey
    FileFormat format = FileFormat::jpeg;
    int quality = 90;
};

/// Of a picture.
struct PictureShape {
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    unsigned samples = 1;       ///< 1 grey, 3 RGB
    unsigned sample_bytes = 1;  ///< 2: native order

    [[nodiscard]] std::size_t bytes() const noexcept { return std::size_t{rows} * columns * samples * sample_bytes; }
};

/// A picture with its samples.
struct RenderedImage {
    std::vector<std::uint8_t> pixels;
    PictureShape shape;
};

/// Throws invalid_argument for requests that no image can fulfil: a window of no width, percentiles that are not
/// rising, sixteen bits in a JPEG or in colour, a shape of a shutter that cannot be, ...
void check_request(const RenderRequest& request);

/// What render_into will give for a request that check_request has passed. Errors: bad_value and missing_element for
/// attributes that contradict one another, out_of_range for a region outside of the image, limit_exceeded above
/// limits::kMaxRenderedPixels, unsupported_pixels for what cannot be shown.
[[nodiscard]] PictureShape shape_of(const codec::PixelDescription& description, const RenderingAttributes& attributes,
                                    const RenderRequest& request);

/// Everything but the file format; `out` has exactly the bytes of shape_of. Errors: those of shape_of and decode_frame.
void render_into(const codec::StoredFrame& frame, const codec::Syntax& syntax,
                 const codec::PixelDescription& description, const RenderingAttributes& attributes,
                 const RenderRequest& request, std::span<std::uint8_t> out);

/// As render_into, in memory of its own.
[[nodiscard]] RenderedImage render_image(const codec::StoredFrame& frame, const codec::Syntax& syntax,
                                         const codec::PixelDescription& description,
                                         const RenderingAttributes& attributes, const RenderRequest& request);

/// The whole way to a PNG or JPEG file.
[[nodiscard]] std::vector<std::byte> render(const codec::StoredFrame& frame, const codec::Syntax& syntax,
                                            const codec::PixelDescription& description,
                                            const RenderingAttributes& attributes, const RenderRequest& request);

/// Least and greatest stored value of a frame without its padding.
[[nodiscard]] Range stored_range(const codec::StoredFrame& frame, const codec::Syntax& syntax,
                                 const codec::PixelDescription& description, const RenderingAttributes& attributes);

/// Rows and columns of the picture, not yet rotated, of an image or region of this size.
[[nodiscard]] std::pair<std::uint32_t, std::uint32_t> output_size(std::uint32_t rows, std::uint32_t columns,
                                                                  double pixel_aspect, const RenderRequest& request);

}  // namespace hilum::pixel
