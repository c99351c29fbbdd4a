// SPDX-License-Identifier: Apache-2.0
#include "graphics.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

#include "hilum/dicom/values.hpp"
#include "hilum/limits.hpp"
#include "values.hpp"

namespace hilum::pixel {
namespace {

using dicom::Element;

constexpr std::size_t kMaxOverlays = 128;  ///< 60xx: even groups 6000 to 60FE

std::string name(const char* attribute, unsigned group, unsigned element, const char* why) {
    char text[160];
    std::snprintf(text, sizeof(text), "%s (%04X,%04X) %s", attribute, group, element, why);
    return text;
}

std::int64_t whole(double value) noexcept {
    return static_cast<std::int64_t>(std::clamp(value, -1.0e9, 1.0e9));
}

/// `count` bits from `first` on, moved to start at bit 0.
std::vector<std::byte> cut_bits(std::span<const std::byte> data, std::uint64_t first, std::uint64_t count,
                                bool swapped) {
    std::vector<std::byte> bits((count + 7) / 8);
    const unsigned shift = first % 8;
    const auto byte_at = [&](std::uint64_t index) -> unsigned {
        index = swapped ? index ^ 1U : index;
        return index < data.size() ? static_cast<unsigned>(data[index]) : 0U;
    };
    for (std::uint64_t i = 0; i < bits.size(); ++i) {
        const unsigned pair = byte_at(first / 8 + i) | byte_at(first / 8 + i + 1) << 8U;
        bits[i] = static_cast<std::byte>(pair >> shift & 0xFFU);
    }
    return bits;
}

}  // namespace

bool Graphics::read_overlay(const Element& e) {
    const auto group = static_cast<std::uint16_t>(e.tag.value >> 16U);
    if ((group & 0xFF01U) != 0x6000) {
        return false;
    }
    if (overlays_.size() >= kMaxOverlays && !overlays_.contains(group)) {
        return true;
    }
    RawOverlay& o = overlays_[group];
    switch (e.tag.value & 0xFFFFU) {
        case 0x0010:
            o.rows = integer(e).value_or(0);
            break;
        case 0x0011:
            o.columns = integer(e).value_or(0);
            break;
        case 0x0015:
            o.frames = decimal(e);
            break;
        case 0x0040:
            o.is_roi = dicom::trim_value(e.characters()) == "R";
            break;
        case 0x0050:
            if (e.value.size() >= 4) {
                o.row = static_cast<std::int16_t>(word(e.value, 0, e.encoding.big_endian));
                o.column = static_cast<std::int16_t>(word(e.value, 1, e.encoding.big_endian));
            }
            break;
        case 0x0051:
            o.first_frame = integer(e);
            break;
        case 0x0100:
            o.bits_allocated = integer(e).value_or(1);
            break;
        case 0x0102:
            o.bit_position = integer(e).value_or(0);
            break;
        case 0x3000:
            o.data = e.value;
            o.swapped = e.encoding.big_endian && e.effective_vr() != dicom::Vr::OB;
            break;
        default:
            break;
    }
    return true;
}

std::optional<FileOverlay> Graphics::build(std::uint16_t group, const RawOverlay& o, std::uint32_t frame) {
    FileOverlay result;
    result.group = group;
    result.is_roi = o.is_roi;
    result.plane.rows = o.rows;
    result.plane.columns = o.columns;
    result.plane.row = o.row;
    result.plane.column = o.column;
    if (o.data.empty()) {
        if (o.bits_allocated <= 1) {
            return std::nullopt;  // announced, but there is nothing to draw
        }
        result.embedded = true;
        result.bit = static_cast<std::uint16_t>(std::min(o.bit_position, 0xFFFFU));
        return result;
    }
    if (o.rows == 0 || o.rows > limits::kMaxRows) {
        result.defect = name("Overlay Rows", group, 0x0010, "are absent or out of range");
        return result;
    }
    if (o.columns == 0 || o.columns > limits::kMaxColumns) {
        result.defect = name("Overlay Columns", group, 0x0011, "are absent or out of range");
        return result;
    }
    if (o.bits_allocated != 1 || o.bit_position != 0) {
        result.defect = name("Overlay Bits Allocated", group, 0x0100, "is not 1, but there is Overlay Data");
        return result;
    }
    // PS3.3 C.9.2: with a Number of Frames in Overlay plane k belongs to frame Image Frame Origin + k; without, one
    // plane lies over all frames.
    const std::int64_t frames = whole(o.frames.value_or(1.0));
    const std::int64_t first = o.first_frame.value_or(1);
    const bool over_all = !o.frames && !o.first_frame;
    const std::int64_t plane = over_all ? 0 : std::int64_t{frame} + 1 - first;
    if (frames < 1) {
        result.defect = name("Number of Frames in Overlay", group, 0x0015, "is not above 0");
        return result;
    }
    const std::uint64_t bits = std::uint64_t{o.rows} * o.columns;
    if (o.data.size() * std::uint64_t{8} / bits < static_cast<std::uint64_t>(frames)) {
        result.defect = name("Overlay Data", group, 0x3000, "is shorter than its rows, columns and frames say");
        return result;
    }
    if (plane < 0 || plane >= frames) {
        return std::nullopt;
    }
    result.plane.bits = cut_bits(o.data, static_cast<std::uint64_t>(plane) * bits, bits, o.swapped);
    return result;
}

bool Graphics::read_shutter(const Element& e) {
    RawShutter& s = shutter_;
    switch (e.tag.value) {
        case 0x00181600: {
            std::string_view rest = e.characters();
            while (!rest.empty()) {
                const std::size_t end = rest.find('\\');
                const std::string_view shape = dicom::trim_value(rest.substr(0, end));
                s.rectangle |= shape == "RECTANGULAR";
                s.circle |= shape == "CIRCULAR";
                s.polygon |= shape == "POLYGONAL";
                s.bitmap |= shape == "BITMAP";
                s.unknown |= !shape.empty() && shape != "RECTANGULAR" && shape != "CIRCULAR" && shape != "POLYGONAL" &&
                             shape != "BITMAP";
                rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
            }
            return true;
        }
        case 0x00181602:
            s.left = decimal(e);
            return true;
        case 0x00181604:
            s.right = decimal(e);
            return true;
        case 0x00181606:
            s.upper = decimal(e);
            return true;
        case 0x00181608:
            s.lower = decimal(e);
            return true;
        case 0x00181610:
            s.center = dicom::decimals(e, 2);
            return true;
        case 0x00181612:
            s.radius = decimal(e);
            return true;
        case 0x00181620:
            s.vertices = dicom::decimals(e, 2 * std::size_t{limits::kMaxShutterVertices} + 2);
            return true;
        case 0x00181622:
            s.value = static_cast<std::uint16_t>(integer(e).value_or(0));
            return true;
        case 0x00181623:
            s.group = integer(e);
            return true;
        case 0x00181624:
            if (e.value.size() >= 6) {
                const bool big = e.encoding.big_endian;
                s.colour = cielab_to_rgb({word(e.value, 0, big), word(e.value, 1, big), word(e.value, 2, big)});
            }
            return true;
        default:
            return false;
    }
}

void Graphics::put_shutter(RenderingAttributes& attributes) const {
    const RawShutter& s = shutter_;
    if (!s.rectangle && !s.circle && !s.polygon && !s.bitmap && !s.unknown) {
        return;
    }
    Shutter shutter;
    shutter.ink = {s.value, s.colour};
    std::string& defect = attributes.shutter_defect;
    if (s.unknown) {
        defect = "Shutter Shape (0018,1600) is none of RECTANGULAR, CIRCULAR, POLYGONAL, BITMAP";
    }
    if (s.rectangle) {
        if (!s.left || !s.right || !s.upper || !s.lower) {
            defect = "Shutter Shape (0018,1600) is RECTANGULAR, but an edge, (0018,1602) to (0018,1608), is absent";
        } else {
            shutter.rectangle = {whole(*s.left), whole(*s.right), whole(*s.upper), whole(*s.lower)};
        }
    }
    if (s.circle) {
        if (s.center.size() < 2 || !s.radius) {
            defect = "Shutter Shape (0018,1600) is CIRCULAR, but centre (0018,1610) or radius (0018,1612) is absent";
        } else {
            shutter.circle = {whole(s.center[0]), whole(s.center[1]), whole(*s.radius)};
        }
    }
    if (s.polygon) {
        if (s.vertices.size() < 6 || s.vertices.size() % 2 != 0) {
            defect = "Vertices of the Polygonal Shutter (0018,1620) are not three or more pairs of numbers";
        }
        for (std::size_t i = 0; i + 1 < s.vertices.size(); i += 2) {
            shutter.polygon.push_back({whole(s.vertices[i]), whole(s.vertices[i + 1])});
        }
    }
    if (s.bitmap) {
        if (!s.group || (*s.group & 0xFFFFFF01U) != 0x6000) {
            defect = "Shutter Overlay Group (0018,1623) is absent or names no overlay";
        } else {
            shutter.bitmap_group = static_cast<std::uint16_t>(*s.group);
        }
    }
    if (defect.empty()) {
        defect = defect_of(shutter);
    }
    attributes.shutter = std::move(shutter);
}

void Graphics::put(std::uint32_t frame, RenderingAttributes& attributes) const {
    for (const auto& [group, raw] : overlays_) {
        if (auto overlay = build(group, raw, frame)) {
            attributes.overlays.push_back(std::move(*overlay));
        }
    }
    put_shutter(attributes);
}

}  // namespace hilum::pixel
