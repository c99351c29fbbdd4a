// SPDX-License-Identifier: Apache-2.0
#include "mapping.hpp"

#include <algorithm>

#include "hilum/error.hpp"

namespace hilum::pixel {
namespace {

/// An entry of a table as a share of what its bits can hold.
double share_of(std::uint16_t entry, const Lut& lut) noexcept {
    return std::min(entry / static_cast<double>((1U << lut.bits) - 1U), 1.0);
}

}  // namespace

Mapping::Mapping(const RenderingAttributes& attributes, const RenderRequest& request, bool monochrome1, double full)
    : full_(full) {
    if (request.modality_lut) {
        modality_lut_ = &*request.modality_lut;
    } else if (request.rescale) {
        rescale_ = *request.rescale;
    } else if (attributes.modality_lut) {
        modality_lut_ = &*attributes.modality_lut;
    } else {
        rescale_ = attributes.rescale;
    }
    choose_voi(attributes, request);
    // PS3.3 C.11.6.1: a Presentation LUT stands instead of what Photometric Interpretation would mean.
    bool inverse = monochrome1;
    if (request.presentation) {
        inverse = request.presentation->inverse;
        table_ = request.presentation->table ? &*request.presentation->table : nullptr;
    } else if (attributes.inverse && *attributes.inverse != monochrome1) {
        throw Error(Errc::bad_value,
                    "Presentation LUT Shape (2050,0020) contradicts Photometric Interpretation (0028,0004)");
    }
    inverted_ = inverse != request.invert;
}

void Mapping::choose_named(const RenderingAttributes& attributes, const std::string& name) {
    const auto window = std::ranges::find(attributes.window_names, name);
    if (window != attributes.window_names.end()) {
        window_ = attributes.windows[static_cast<std::size_t>(window - attributes.window_names.begin())];
        return;
    }
    const auto lut = std::ranges::find(attributes.voi_lut_names, name);
    if (lut == attributes.voi_lut_names.end()) {
        throw Error(Errc::invalid_argument, "the image has no window with this explanation");
    }
    voi_lut_ = &attributes.voi_luts[static_cast<std::size_t>(lut - attributes.voi_lut_names.begin())];
}

void Mapping::choose_voi(const RenderingAttributes& attributes, const RenderRequest& request) {
    if (request.window) {
        window_ = request.window;
    } else if (request.voi_lut) {
        voi_lut_ = &*request.voi_lut;
    } else if (request.auto_window) {
        return;
    } else if (request.window_name) {
        choose_named(attributes, *request.window_name);
    } else if (request.window_index < attributes.windows.size()) {
        window_ = attributes.windows[request.window_index];
    } else if (!attributes.voi_luts.empty()) {
        const std::size_t index = request.window_index - attributes.windows.size();
        voi_lut_ = &attributes.voi_luts[std::min(index, attributes.voi_luts.size() - 1)];
    } else if (!attributes.windows.empty()) {
        window_ = attributes.windows.back();
    }
}

std::uint16_t Mapping::display(double stored) const noexcept {
    const double value = modality(stored);
    double shown =
        voi_lut_ != nullptr ? share_of((*voi_lut_)(value), *voi_lut_) * full_ : apply(*window_, value, full_);
    shown = shown > 0.0 ? std::min(shown, full_) : 0.0;  // NaN is black
    if (table_ != nullptr) {
        const auto last = static_cast<double>(table_->entries.size() - 1);
        shown = share_of(table_->entries[static_cast<std::size_t>(shown / full_ * last + 0.5)], *table_) * full_;
    }
    const auto rounded = static_cast<unsigned>(shown + 0.5);
    return static_cast<std::uint16_t>(inverted_ ? static_cast<unsigned>(full_) - rounded : rounded);
}

}  // namespace hilum::pixel
