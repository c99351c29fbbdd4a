// SPDX-License-Identifier: Apache-2.0
#include "hilum/volume/geometry.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "hilum/dicom/element.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/dicom/values.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"
#include "hilum/parallel.hpp"

namespace hilum::volume {
namespace {

using dicom::Element;
using dicom::ElementReader;
using dicom::SequenceReader;

/// A frame's geometry and the texts of its label while they are being read.
struct Reading {
    FrameGeometry geometry;
    std::string_view type;
    std::string_view stack;
    std::string_view rescale_type;

    [[nodiscard]] std::string label() const {
        std::string text;
        for (const std::string_view part : {type, stack, rescale_type}) {
            text.append(part).push_back('\n');
        }
        return text;
    }
};

/// What only the top level says.
struct Object {
    Reading plain;
    std::vector<double> frame_offsets;  ///< Grid Frame Offset Vector
    std::string_view frame_of_reference;
    bool is_nuclear = false;
    bool is_signed = false;
};

template <std::size_t Count>
void set(std::array<double, Count>& values, const Element& e) {
    const std::vector<double> found = dicom::numbers(e, Count);
    if (found.size() == Count) {
        std::copy(found.begin(), found.end(), values.begin());
    } else {
        values.fill(kAbsent);
    }
}

void set(double& value, const Element& e) {
    value = dicom::number(e).value_or(kAbsent);
}

std::optional<double> digits(std::string_view text, std::size_t at, std::size_t count) noexcept {
    if (at + count > text.size()) {
        return std::nullopt;
    }
    unsigned value = 0;
    const char* first = text.data() + at;
    const auto [stop, error] = std::from_chars(first, first + count, value);
    return error == std::errc{} && stop == first + count ? std::optional<double>(value) : std::nullopt;
}

/// Seconds of a TM value that starts at `at`; the fraction as far as it is a number.
double seconds_of_day(std::string_view text, std::size_t at) noexcept {
    double seconds = 0.0;
    for (const double unit : {3600.0, 60.0, 1.0}) {
        const std::optional<double> part = digits(text, at, 2);
        if (!part) {
            return seconds;
        }
        seconds += *part * unit;
        at += 2;
    }
    if (at < text.size() && text[at] == '.') {
        double unit = 0.1;
        for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
            seconds += unit * (text[at] - '0');
            unit /= 10.0;
        }
    }
    return seconds;
}

double time_of(const Element& e) noexcept {
    const std::string_view text = dicom::trim_value(e.characters());
    return digits(text, 0, 2) ? seconds_of_day(text, 0) : kAbsent;
}

/// Seconds of a DT value (its zone does not matter: it is the same throughout an object); months count as 31 days.
double date_time_of(const Element& e) noexcept {
    const std::string_view text = dicom::trim_value(e.characters());
    const std::optional<double> year = digits(text, 0, 4);
    const std::optional<double> month = digits(text, 4, 2);
    const std::optional<double> day = digits(text, 6, 2);
    if (!year || !month || !day) {
        return kAbsent;
    }
    return ((*year * 12.0 + *month) * 31.0 + *day) * 86400.0 + seconds_of_day(text, 8);
}

/// Attributes that mean the same at the top level and inside of functional groups.
void read_common(const Element& e, Reading& found) {
    FrameGeometry& g = found.geometry;
    switch (e.tag.value) {
        case 0x00200032:
            return set(g.position, e);
        case 0x00200037:
            return set(g.orientation, e);
        case 0x00280030:
            return set(g.spacing, e);
        case 0x00180050:
            return set(g.slice_thickness, e);
        case 0x00180088:
            return set(g.spacing_between_slices, e);
        case 0x00281052:
            g.intercept = dicom::number(e).value_or(0.0);
            return;
        case 0x00281053:
            g.slope = dicom::number(e).value_or(1.0);
            if (g.slope == 0.0) {
                g.slope = 1.0;
            }
            return;
        case 0x00281054:  // Rescale Type
        case 0x00541001:  // Units of PET
            found.rescale_type = dicom::trim_value(e.characters());
            return;
        case 0x00200100:  // Temporal Position Identifier
        case 0x00209128:  // Temporal Position Index
            return set(g.temporal_position, e);
        case 0x00181060:  // Trigger Time
        case 0x00209153:  // Nominal Cardiac Trigger Delay Time
            return set(g.trigger_time, e);
        case 0x00180081:  // Echo Time
        case 0x00189082:  // Effective Echo Time
            return set(g.echo_time, e);
        case 0x00189087:
            return set(g.b_value, e);
        case 0x00200012:  // Acquisition Number
        case 0x00209156:  // Frame Acquisition Number
            return set(g.acquisition_number, e);
        case 0x0008002A:  // Acquisition DateTime
        case 0x00189074:  // Frame Acquisition DateTime
            g.acquisition_time = date_time_of(e);
            return;
        case 0x0062000B:
            return set(g.segment_number, e);
        case 0x00089007:  // Frame Type
            found.type = dicom::trim_value(e.characters());
            return;
        case 0x00209056:
            found.stack = dicom::trim_value(e.characters());
            return;
        default:
            return;
    }
}

/// Functional groups with something for us: Plane Position, Plane Orientation, Pixel Measures, Frame Content, Pixel
/// Value Transformation, MR Echo, MR Diffusion, Cardiac Synchronization, frame types of MR, CT and PET, segments.
bool is_group(dicom::Tag tag) noexcept {
    switch (tag.value) {
        case 0x00209113:
        case 0x00209116:
        case 0x00289110:
        case 0x00209111:
        case 0x00289145:
        case 0x00189114:
        case 0x00189117:
        case 0x00189118:
        case 0x00189226:
        case 0x00189329:
        case 0x00189751:
        case 0x0062000A:
            return true;
        default:
            return false;
    }
}

/// One item of the Shared or Per-Frame Functional Groups Sequence.
void read_groups(ElementReader& item, Reading& found) {
    for (Element e; item.next(e);) {
        if (!is_group(e.tag) || !e.is_sequence()) {
            continue;
        }
        SequenceReader groups(item, e);
        if (ElementReader group; groups.next(group)) {
            for (Element inner; group.next(inner);) {
                read_common(inner, found);
            }
        }
    }
}

/// The first detector of an NM image carries what other images have at the top (PS3.3 C.8.4.11).
void read_detector(ElementReader& reader, const Element& sequence, Reading& found) {
    SequenceReader items(reader, sequence);
    if (ElementReader item; items.next(item)) {
        for (Element e; item.next(e);) {
            if (e.tag.value == 0x00200032 || e.tag.value == 0x00200037) {
                read_common(e, found);
            }
        }
    }
}

void read_top_level(ElementReader& reader, const Element& e, Object& object) {
    Reading& plain = object.plain;
    switch (e.tag.value) {
        case 0x00080008:
            plain.type = dicom::trim_value(e.characters());
            return;
        case 0x00080032:
            if (std::isnan(plain.geometry.acquisition_time)) {
                plain.geometry.acquisition_time = time_of(e);
            }
            return;
        case 0x00080060:
            object.is_nuclear = dicom::trim_value(e.characters()) == "NM";
            return;
        case 0x00200013:
            return set(plain.geometry.instance_number, e);
        case 0x00200052:
            object.frame_of_reference = dicom::trim_value(e.characters());
            return;
        case 0x00280103:
            object.is_signed = dicom::number(e).value_or(0.0) == 1.0;
            return;
        case 0x00280120: {
            const double value = dicom::number(e).value_or(kAbsent);  // its VR may contradict Pixel Representation
            plain.geometry.padding = object.is_signed && value > 32767.0 ? value - 65536.0 : value;
            return;
        }
        case 0x30040002:  // Dose Units
            plain.rescale_type = dicom::trim_value(e.characters());
            return;
        case 0x3004000E: {  // Dose Grid Scaling
            const double scaling = dicom::number(e).value_or(1.0);
            plain.geometry.slope = scaling > 0.0 ? scaling : 1.0;
            return;
        }
        case 0x3004000C:
            object.frame_offsets = dicom::numbers(e, limits::kMaxFrames);
            return;
        case 0x00540022:
            if (e.is_sequence()) {
                read_detector(reader, e, plain);
            }
            return;
        default:
            read_common(e, plain);
    }
}

std::array<double, 3> normal_of(const FrameGeometry& g) noexcept {
    const auto& o = g.orientation;
    return {o[1] * o[5] - o[2] * o[4], o[2] * o[3] - o[0] * o[5], o[0] * o[4] - o[1] * o[3]};
}

/// Multi-frame objects without functional groups that say where their frames are in other ways.
void place_frames(const Object& object, std::vector<Reading>& frames) {
    const FrameGeometry& first = object.plain.geometry;
    std::vector<double> offsets = object.frame_offsets;
    if (offsets.empty() && object.is_nuclear && std::isfinite(first.spacing_between_slices)) {
        for (std::size_t i = 0; i < frames.size(); ++i) {
            offsets.push_back(static_cast<double>(i) * first.spacing_between_slices);
        }
    }
    if (offsets.size() != frames.size() || frames.size() < 2) {
        return;
    }
    // PS3.3 C.8.8.3.2: offsets from the first frame, or (when the first is not 0) positions along the axis itself.
    const double base = offsets.front();
    const std::array<double, 3> normal = normal_of(first);
    for (std::size_t i = 0; i < frames.size(); ++i) {
        for (std::size_t axis = 0; axis < 3; ++axis) {
            frames[i].geometry.position[axis] = first.position[axis] + (offsets[i] - base) * normal[axis];
        }
    }
}

bool at_pixel_data(std::span<const std::byte> header, const ElementReader& reader) noexcept {
    const std::size_t at = reader.position();
    if (at + 2 > header.size()) {
        return false;
    }
    const unsigned low = std::to_integer<unsigned>(header[at]);
    const unsigned high = std::to_integer<unsigned>(header[at + 1]);
    return (reader.encoding().big_endian ? (low << 8U | high) : (high << 8U | low)) >= 0x7FE0;
}

Geometry finish(const std::vector<Reading>& frames) {
    Geometry geometry;
    geometry.frames.reserve(frames.size());
    std::unordered_map<std::string, std::size_t> known;
    for (const Reading& reading : frames) {
        const auto [label, is_new] = known.try_emplace(reading.label(), geometry.labels.size());
        if (is_new) {
            geometry.labels.push_back(label->first);
        }
        geometry.frames.push_back(reading.geometry);
        geometry.frames.back().label = static_cast<double>(label->second);
    }
    return geometry;
}

/// Functional groups stand behind the plain attributes, so one pass in order is enough.
Geometry read_frames(std::span<const std::byte> header, const dicom::ObjectLayout& layout, std::uint32_t count) {
    dicom::Warnings warnings;
    Object object;
    std::vector<Reading> frames;
    ElementReader reader(header, layout.dataset_offset, layout.encoding, warnings);
    for (Element e; !at_pixel_data(header, reader) && reader.next(e);) {
        if (e.tag.value == 0x52009229 && e.is_sequence()) {
            SequenceReader items(reader, e);
            if (ElementReader item; items.next(item)) {
                read_groups(item, object.plain);
            }
        } else if (e.tag.value == 0x52009230 && e.is_sequence()) {
            frames.assign(count, object.plain);
            SequenceReader items(reader, e);
            ElementReader item;
            for (std::uint32_t at = 0; at < count && items.next(item); ++at) {
                read_groups(item, frames[at]);
            }
        } else {
            read_top_level(reader, e, object);
        }
    }
    if (frames.empty()) {
        frames.assign(count, object.plain);
        place_frames(object, frames);
    }
    Geometry geometry = finish(frames);
    geometry.frame_of_reference_uid = object.frame_of_reference;
    return geometry;
}

}  // namespace

Geometry read_geometry(std::span<const std::byte> header, std::uint32_t frames) {
    if (frames > limits::kMaxFrames) {
        throw Error(Errc::limit_exceeded, "more frames than an object may have");
    }
    dicom::ObjectLayout layout = dicom::read_layout(header);
    std::vector<std::byte> inflated;
    if (layout.deflated) {
        inflated = dicom::inflate_object(header, layout);
        header = inflated;
        layout = dicom::read_layout(header);
    }
    return read_frames(header, layout, frames);
}

std::vector<Geometry> read_geometries(pack::PackReader& reader, std::span<const HeaderPlace> places, unsigned threads) {
    std::vector<Geometry> all(places.size());
    parallel::for_each(places.size(), threads, [&](std::size_t index) {
        const HeaderPlace& place = places[index];
        if (place.header_length > place.length || place.header_length > limits::kMaxHeaderBytes) {
            throw Error(Errc::limit_exceeded, "the header is longer than its object or than 256 MiB");
        }
        std::vector<std::byte> header(static_cast<std::size_t>(place.header_length));
        reader.read(place.pack, place.offset, place.length, 0, header, std::nullopt);
        all[index] = read_geometry(header, place.frames);
    });
    return all;
}

}  // namespace hilum::volume
