// SPDX-License-Identifier: Apache-2.0
// Stored values to modality values (PS3.3 C.11.1) and look-up tables in general.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hilum::pixel {

/// Rescale Slope (0028,1053) and Rescale Intercept (0028,1052).
struct Rescale {
    double slope = 1.0;
    double intercept = 0.0;

    [[nodiscard]] double operator()(double stored) const noexcept { return stored * slope + intercept; }
};

/// A Modality, VOI or Palette Color LUT: LUT Descriptor (0028,3002) and LUT Data (0028,3006).
struct Lut {
    std::int32_t first = 0;   ///< input that maps to entries[0]; smaller inputs map there too
    std::uint16_t bits = 16;  ///< of an entry
    std::vector<std::uint16_t> entries;

    [[nodiscard]] bool empty() const noexcept { return entries.empty(); }
    /// The entry for `input`; inputs before the first and after the last map to these. Not for an empty table.
    [[nodiscard]] std::uint16_t operator()(double input) const noexcept {
        const double index = input - first;
        if (!(index > 0.0)) {
            return entries.front();
        }
        const auto last = static_cast<double>(entries.size() - 1);
        return index >= last ? entries.back() : entries[static_cast<std::size_t>(index)];
    }
};

/// A table from its descriptor's three values and its data (little endian). Tables whose data are one byte an entry
/// (8 bits, PS3.3 C.11.1.1.1) or are 8-bit entries declared as 16 are recognised. Throws bad_value when the data is
/// short. `signed_first`: the descriptor's second value is SS.
[[nodiscard]] Lut make_lut(std::uint16_t count, std::uint16_t first, std::uint16_t bits, bool signed_first,
                           std::span<const std::byte> data);

/// Segmented Palette Color LUT Data (PS3.3 C.7.9.2): discrete, linear and indirect segments. Throws bad_value.
[[nodiscard]] Lut make_segmented_lut(std::uint16_t count, std::uint16_t first, std::uint16_t bits, bool signed_first,
                                     std::span<const std::byte> data);

}  // namespace hilum::pixel
