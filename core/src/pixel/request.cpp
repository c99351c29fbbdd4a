// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <string>

#include "hilum/error.hpp"
#include "hilum/pixel/render.hpp"

namespace hilum::pixel {
namespace {

[[noreturn]] void refuse(const std::string& why) {
    throw Error(Errc::invalid_argument, why);
}

void check_table(const Lut& lut, const char* what) {
    if (lut.empty() || lut.entries.size() > 65536 || lut.bits < 8 || lut.bits > 16) {
        refuse(std::string(what) + " must have 1 to 65536 entries of 8 to 16 bits");
    }
}

void check_plane(const OverlayPlane& plane, const char* what) {
    const std::uint64_t bits = std::uint64_t{plane.rows} * plane.columns;
    if (plane.rows == 0 || plane.columns == 0 || plane.rows > 65535 || plane.columns > 65535) {
        refuse(std::string(what) + " must have 1 to 65535 rows and columns");
    }
    if (plane.bits.size() < (bits + 7) / 8) {
        refuse(std::string(what) + " has fewer bits than rows and columns");
    }
}

void check_values(const RenderRequest& r) {
    if (r.window && !is_valid(*r.window)) {
        refuse("the window's width must be at least 1 (LINEAR) or above 0");
    }
    if (r.rescale &&
        (!std::isfinite(r.rescale->slope) || !std::isfinite(r.rescale->intercept) || r.rescale->slope == 0.0)) {
        refuse("the rescale slope must be finite and not 0, the intercept finite");
    }
    if (!(r.low_percentile >= 0.0 && r.low_percentile < r.high_percentile && r.high_percentile <= 100.0)) {
        refuse("percentiles must rise and be from 0 to 100");
    }
    if (r.modality_lut) {
        check_table(*r.modality_lut, "the modality LUT");
    }
    if (r.voi_lut) {
        check_table(*r.voi_lut, "the VOI LUT");
    }
    if (r.presentation && r.presentation->table) {
        check_table(*r.presentation->table, "the presentation LUT");
    }
    if (r.palette) {
        for (const Lut& lut : *r.palette) {
            check_table(lut, "the palette");
            if (lut.entries.size() != (*r.palette)[0].entries.size() || lut.first != (*r.palette)[0].first) {
                refuse("the tables of the palette must be of one length and begin with one input");
            }
        }
    }
}

void check_geometry(const RenderRequest& r) {
    if (r.rotation != 0 && r.rotation != 90 && r.rotation != 180 && r.rotation != 270) {
        refuse("the rotation must be 0, 90, 180 or 270");
    }
    if (!std::isfinite(r.scale) || r.scale < 0.0) {
        refuse("the scale must be finite and not negative");
    }
    if (r.pixel_aspect && !(*r.pixel_aspect > 0.02 && *r.pixel_aspect < 50.0)) {
        refuse("the pixel aspect must be between 0.02 and 50");
    }
    if (r.region && r.displayed_area) {
        refuse("a region and a displayed area exclude one another");
    }
}

void check_paint(const RenderRequest& r) {
    if (r.shutter) {
        if (const std::string defect = defect_of(*r.shutter); !defect.empty()) {
            refuse(defect);
        }
        if (r.shutter->bitmap) {
            check_plane(*r.shutter->bitmap, "the bitmap of the shutter");
        }
    }
    if (r.overlays) {
        for (const OverlayRequest& overlay : *r.overlays) {
            if (overlay.group == 0) {
                check_plane(overlay.plane, "an overlay");
            }
        }
    }
}

}  // namespace

void check_request(const RenderRequest& request) {
    if (request.bits != 8 && request.bits != 16) {
        refuse("bits must be 8 or 16");
    }
    if (request.quality < 1 || request.quality > 100) {
        refuse("JPEG quality must be 1 to 100");
    }
    check_values(request);
    check_geometry(request);
    check_paint(request);
}

}  // namespace hilum::pixel
