// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/attributes.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "graphics.hpp"
#include "hilum/dicom/charset.hpp"
#include "hilum/dicom/element.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/dicom/values.hpp"
#include "hilum/error.hpp"
#include "values.hpp"

namespace hilum::pixel {
namespace {

using dicom::decimals;
using dicom::Element;
using dicom::ElementReader;
using dicom::SequenceReader;
using dicom::trim_value;
using dicom::Vr;

constexpr std::size_t kMaxLutItems = 16;
constexpr std::size_t kMaxWindows = 64;

/// A LUT's elements before they make sense together.
struct RawLut {
    std::span<const std::byte> descriptor;
    std::span<const std::byte> data;
    std::span<const std::byte> segments;
    std::span<const std::byte> explanation;
    Vr vr = Vr::none;
    bool big_endian = false;
};

struct Collected {
    Graphics graphics;
    dicom::CharacterSet charset;
    std::vector<double> centers;
    std::vector<double> widths;
    std::span<const std::byte> explanations;
    std::string_view presentation_shape;
    std::string_view pixel_presentation;
    VoiFunction function = VoiFunction::linear;
    std::optional<double> slope;
    std::optional<double> intercept;
    std::vector<double> spacing;         ///< Pixel Spacing
    std::vector<double> imager_spacing;  ///< Imager or Nominal Scanned Pixel Spacing
    std::vector<double> aspect;
    std::optional<std::uint32_t> padding;
    std::optional<std::uint32_t> padding_limit;
    bool is_signed = false;
    std::uint32_t bits_allocated = 16;
    bool is_segmentation = false;
    bool is_angiography = false;     ///< XA or XRF image
    bool is_log_or_display = false;  ///< Pixel Intensity Relationship
    std::optional<RawLut> modality_lut;
    std::vector<RawLut> voi_luts;
    std::array<RawLut, 3> palette;
};

VoiFunction parse_function(const Element& element) noexcept {
    const std::string_view term = trim_value(element.characters());
    if (term == "SIGMOID") {
        return VoiFunction::sigmoid;
    }
    return term == "LINEAR_EXACT" ? VoiFunction::linear_exact : VoiFunction::linear;
}

/// LUT Descriptor, LUT Data of an item of a Modality or VOI LUT Sequence.
RawLut read_lut_item(ElementReader& item) {
    RawLut lut;
    for (Element e; item.next(e);) {
        if (e.tag == dicom::Tag(0x00283002)) {
            lut.descriptor = e.value;
            lut.vr = e.vr;
            lut.big_endian = e.encoding.big_endian;
        } else if (e.tag == dicom::Tag(0x00283006)) {
            lut.data = e.value;
        } else if (e.tag == dicom::Tag(0x00283003)) {
            lut.explanation = e.value;
        }
    }
    return lut;
}

void read_lut_sequence(ElementReader& reader, const Element& element, std::vector<RawLut>& luts) {
    SequenceReader items(reader, element);
    for (ElementReader item; luts.size() < kMaxLutItems && items.next(item);) {
        luts.push_back(read_lut_item(item));
    }
}

/// Attributes that stand alike at the top level and inside of functional groups.
void read_common(ElementReader& reader, const Element& e, Collected& found) {
    switch (e.tag.value) {
        case 0x00281050:
            found.centers = decimals(e, kMaxWindows);
            break;
        case 0x00281051:
            found.widths = decimals(e, kMaxWindows);
            break;
        case 0x00281052:
            found.intercept = decimal(e);
            break;
        case 0x00281053:
            found.slope = decimal(e);
            break;
        case 0x00281055:
            found.explanations = e.value;
            break;
        case 0x00281056:
            found.function = parse_function(e);
            break;
        case 0x00089205:
            found.pixel_presentation = trim_value(e.characters());
            break;
        case 0x00280030:
            found.spacing = decimals(e, kMaxWindows);
            break;
        case 0x00283000: {
            std::vector<RawLut> luts;
            read_lut_sequence(reader, e, luts);
            if (!luts.empty()) {
                found.modality_lut = luts.front();
            }
            break;
        }
        case 0x00283010:
            found.voi_luts.clear();
            read_lut_sequence(reader, e, found.voi_luts);
            break;
        default:
            found.graphics.read_shutter(e);
            break;
    }
}

/// Pixel Value Transformation, Frame VOI LUT, Pixel Measures, Frame Display Shutter, MR and CT Image Frame Type.
bool is_group_of_interest(dicom::Tag tag) noexcept {
    switch (tag.value) {
        case 0x00289145:
        case 0x00289132:
        case 0x00289110:
        case 0x00189472:
        case 0x00189226:
        case 0x00189329:
            return true;
        default:
            return false;
    }
}

/// One item of the Shared or Per-Frame Functional Groups Sequence.
void read_functional_groups(ElementReader& item, Collected& found) {
    for (Element e; item.next(e);) {
        if (!is_group_of_interest(e.tag) || !e.is_sequence()) {
            continue;
        }
        SequenceReader groups(item, e);
        ElementReader group;
        if (!groups.next(group)) {
            continue;
        }
        if (e.tag.value == 0x00289132) {  // one macro: what it does not say is not said by another level either
            found.centers.clear();
            found.widths.clear();
            found.explanations = {};
            found.function = VoiFunction::linear;
        } else if (e.tag.value == 0x00189472) {
            found.graphics.forget_shutter();
        }
        for (Element inner; group.next(inner);) {
            read_common(group, inner, found);
        }
    }
}

void read_palette(const Element& e, Collected& found) {
    const std::uint32_t low = e.tag.value & 0xFFU;
    const std::uint32_t channel = (low & 0x0FU) - 1U;
    if (channel > 2) {
        return;
    }
    RawLut& lut = found.palette[channel];
    if ((e.tag.value & 0xFFF0U) == 0x1100) {
        lut.descriptor = e.value;
        lut.vr = e.vr;
        lut.big_endian = e.encoding.big_endian;
    } else if ((e.tag.value & 0xFFF0U) == 0x1200) {
        lut.data = e.value;
    } else {
        lut.segments = e.value;
    }
}

void read_top_level(ElementReader& reader, const Element& e, Collected& found) {
    switch (e.tag.value) {
        case 0x00080005:
            found.charset = dicom::parse_character_set(e.characters());
            break;
        case 0x20500020:
            found.presentation_shape = trim_value(e.characters());
            break;
        case 0x00080016:
            found.is_angiography = trim_value(e.characters()).starts_with("1.2.840.10008.5.1.4.1.1.12.");
            break;
        case 0x00281040: {
            const std::string_view term = trim_value(e.characters());
            found.is_log_or_display = term == "LOG" || term == "DISP";
            break;
        }
        case 0x00181164:
        case 0x00182010:
            found.imager_spacing = decimals(e, kMaxWindows);
            break;
        case 0x00280034:
            found.aspect = decimals(e, kMaxWindows);
            break;
        case 0x00280100:
            found.bits_allocated = integer(e).value_or(16);
            break;
        case 0x00280103:
            found.is_signed = integer(e).value_or(0) == 1;
            break;
        case 0x00280120:
            found.padding = integer(e);
            break;
        case 0x00280121:
            found.padding_limit = integer(e);
            break;
        case 0x00620001:
            found.is_segmentation = true;
            break;
        default:
            if (const std::uint32_t palette = e.tag.value & 0xFFFFFFF0U;
                palette == 0x00281100 || palette == 0x00281200 || palette == 0x00281220) {
                read_palette(e, found);
            } else if (!found.graphics.read_overlay(e)) {
                read_common(reader, e, found);
            }
    }
}

void read_items(ElementReader& reader, const Element& sequence, std::uint32_t index, Collected& found) {
    SequenceReader items(reader, sequence);
    ElementReader item;
    for (std::uint32_t at = 0; items.next(item); ++at) {
        if (at == index) {
            read_functional_groups(item, found);
            return;
        }
    }
}

/// The next element belongs to the pixel data, of which a header may hold the first bytes only.
bool at_pixel_data(std::span<const std::byte> header, const ElementReader& reader) noexcept {
    const std::size_t at = reader.position();
    return at + 2 <= header.size() && word(header.subspan(at), 0, reader.encoding().big_endian) >= 0x7FE0;
}

Collected collect(std::span<const std::byte> header, const dicom::ObjectLayout& layout, std::uint32_t frame) {
    dicom::Warnings warnings;
    Collected found;
    ElementReader reader(header, layout.dataset_offset, layout.encoding, warnings);
    // Functional groups stand behind the plain attributes that they override: one pass in order is enough.
    for (Element e; !at_pixel_data(header, reader) && reader.next(e);) {
        if (e.tag.value == 0x52009229 && e.is_sequence()) {
            read_items(reader, e, 0, found);
        } else if (e.tag.value == 0x52009230 && e.is_sequence()) {
            read_items(reader, e, frame, found);
        } else {
            read_top_level(reader, e, found);
        }
    }
    return found;
}

/// Swapped to little endian where the file is not.
std::vector<std::byte> little_endian(std::span<const std::byte> data, bool big_endian) {
    std::vector<std::byte> copy(data.begin(), data.end());
    if (big_endian) {
        for (std::size_t i = 0; i + 1 < copy.size(); i += 2) {
            std::swap(copy[i], copy[i + 1]);
        }
    }
    return copy;
}

/// `signed_input`: what the table is applied to can be negative.
Lut build(const RawLut& raw, bool signed_input) {
    if (raw.descriptor.size() < 6) {
        throw Error(Errc::bad_value, "look-up table without a descriptor of three values");
    }
    const std::uint16_t count = word(raw.descriptor, 0, raw.big_endian);
    const std::uint16_t first = word(raw.descriptor, 1, raw.big_endian);
    const std::uint16_t bits = word(raw.descriptor, 2, raw.big_endian);
    const bool signed_first = raw.vr == Vr::SS || signed_input;
    if (!raw.segments.empty() && raw.data.empty()) {
        return make_segmented_lut(count, first, bits, signed_first, little_endian(raw.segments, raw.big_endian));
    }
    return make_lut(count, first, bits, signed_first, little_endian(raw.data, raw.big_endian));
}

std::int64_t stored_value(std::uint32_t raw, const Collected& found) noexcept {
    if (!found.is_signed) {
        return raw;
    }
    return found.bits_allocated > 16 ? std::int64_t{static_cast<std::int32_t>(raw)}
                                     : std::int64_t{static_cast<std::int16_t>(raw)};
}

double aspect_of(const Collected& found) noexcept {
    for (const std::vector<double>* pair : {&found.aspect, &found.spacing, &found.imager_spacing}) {
        if (pair->size() >= 2 && (*pair)[0] > 0.0 && (*pair)[1] > 0.0) {
            const double ratio = (*pair)[0] / (*pair)[1];
            if (ratio > 0.02 && ratio < 50.0) {
                return ratio;
            }
        }
    }
    return 1.0;
}

/// As UTF-8, without padding.
std::string text_of(std::span<const std::byte> raw, const Collected& found) {
    return std::string(trim_value(dicom::to_utf8(raw, found.charset, dicom::TextKind::values)));
}

void set_luts(const Collected& found, RenderingAttributes& attributes) {
    // PS3.3 C.8.7.1.1.2: there the table leads back to X-ray intensity, for measurements; the stored values are the
    // picture.
    const bool for_measurement = found.is_angiography && found.is_log_or_display;
    if (found.modality_lut && !for_measurement) {
        attributes.modality_lut = build(*found.modality_lut, found.is_signed);
    }
    const bool signed_output = !attributes.modality_lut && (found.is_signed || attributes.rescale.intercept < 0.0);
    for (const RawLut& raw : found.voi_luts) {
        attributes.voi_luts.push_back(build(raw, signed_output && raw.vr != Vr::US));
        attributes.voi_lut_names.push_back(text_of(raw.explanation, found));
    }
    const auto& [red, green, blue] = found.palette;
    if (!red.descriptor.empty() && !green.descriptor.empty() && !blue.descriptor.empty()) {
        attributes.is_supplemental = found.pixel_presentation == "COLOR" || found.pixel_presentation == "MIXED";
        const bool sign = attributes.is_supplemental && found.is_signed;
        attributes.palette = Palette{build(red, sign), build(green, sign), build(blue, sign)};
    }
}

/// The windows of one level: those that can be, each with its explanation.
void set_windows(const Collected& found, RenderingAttributes& attributes) {
    const std::string all = text_of(found.explanations, found);
    std::string_view rest = all;
    for (std::size_t i = 0; i < std::min(found.centers.size(), found.widths.size()); ++i) {
        const std::size_t end = rest.find('\\');
        const std::string_view explanation = trim_value(rest.substr(0, end));
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        const Window window{found.centers[i], found.widths[i], found.function};
        if (is_valid(window)) {
            attributes.windows.push_back(window);
            attributes.window_names.emplace_back(explanation);
        }
    }
}

}  // namespace

RenderingAttributes read_rendering_attributes(std::span<const std::byte> header, std::uint32_t frame) {
    dicom::ObjectLayout layout = dicom::read_layout(header);
    std::vector<std::byte> inflated;
    if (layout.deflated) {
        inflated = dicom::inflate_object(header, layout);
        header = inflated;
        layout = dicom::read_layout(header);
    }
    const Collected found = collect(header, layout, frame);
    RenderingAttributes attributes;
    if (found.slope && *found.slope != 0.0) {
        attributes.rescale.slope = *found.slope;
    }
    attributes.rescale.intercept = found.intercept.value_or(0.0);
    set_windows(found, attributes);
    if (found.presentation_shape == "INVERSE" || found.presentation_shape == "IDENTITY") {
        attributes.inverse = found.presentation_shape == "INVERSE";
    }
    found.graphics.put(frame, attributes);
    if (found.padding) {
        const std::int64_t first = stored_value(*found.padding, found);
        const std::int64_t second = found.padding_limit ? stored_value(*found.padding_limit, found) : first;
        attributes.padding = std::minmax(first, second);
    }
    attributes.pixel_aspect = aspect_of(found);
    attributes.is_segmentation = found.is_segmentation;
    set_luts(found, attributes);
    return attributes;
}

}  // namespace hilum::pixel
