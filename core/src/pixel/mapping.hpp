// SPDX-License-Identifier: Apache-2.0
// Stored value to display value: what PS3.4 N.2 calls the Modality, the VOI and the Presentation LUT transformation.
#pragma once

#include <cstdint>
#include <optional>

#include "hilum/pixel/render.hpp"

namespace hilum::pixel {

/// Borrows attributes and request. Display values go from 0 to `full` (255 or 65535).
class Mapping {
public:
    /// Throws invalid_argument where the request names a window that the file has not, bad_value where Presentation
    /// LUT Shape contradicts `monochrome1`.
    Mapping(const RenderingAttributes& attributes, const RenderRequest& request, bool monochrome1, double full);

    [[nodiscard]] bool has_voi() const noexcept { return window_.has_value() || voi_lut_ != nullptr; }
    void set_window(const Window& window) noexcept { window_ = window; }

    /// LINEAR counts whole grey levels (the 0.5 and 1 of PS3.3 C.11.2.1.2.1). On floating point pixel data whose file
    /// does not name a function it would be a threshold or worse; there the window means its two edges.
    void take_real_values() noexcept {
        if (window_ && window_->function == VoiFunction::linear) {
            window_->function = VoiFunction::linear_exact;
        }
    }

    /// A ramp does all of it.
    [[nodiscard]] bool is_linear() const noexcept {
        return window_ && window_->function != VoiFunction::sigmoid && modality_lut_ == nullptr && table_ == nullptr;
    }
    [[nodiscard]] Ramp ramp(std::int32_t minimum, std::int32_t maximum) const noexcept {
        return make_ramp(*window_, rescale_, minimum, maximum, inverted_, full_);
    }
    /// Modality values are the stored ones.
    [[nodiscard]] bool is_plain() const noexcept {
        return rescale_.slope == 1.0 && rescale_.intercept == 0.0 && modality_lut_ == nullptr;
    }
    [[nodiscard]] double full() const noexcept { return full_; }
    [[nodiscard]] double modality(double stored) const noexcept {
        return modality_lut_ != nullptr ? (*modality_lut_)(stored) : rescale_(stored);
    }
    /// 0 to full, rounded, inverted where it is to be.
    [[nodiscard]] std::uint16_t display(double stored) const noexcept;

private:
    void choose_voi(const RenderingAttributes& attributes, const RenderRequest& request);
    void choose_named(const RenderingAttributes& attributes, const std::string& name);

    Rescale rescale_;
    const Lut* modality_lut_ = nullptr;
    std::optional<Window> window_;
    const Lut* voi_lut_ = nullptr;
    const Lut* table_ = nullptr;  // Presentation LUT
    bool inverted_ = false;
    double full_;
};

}  // namespace hilum::pixel
