// SPDX-License-Identifier: Apache-2.0
// Values of elements as numbers (PS3.5 6.2), as far as rendering attributes need them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "hilum/dicom/element.hpp"

namespace hilum::pixel {

/// The first number of a DS or IS.
[[nodiscard]] std::optional<double> decimal(const dicom::Element& element);

/// The 16-bit word with this number.
[[nodiscard]] std::uint16_t word(std::span<const std::byte> data, std::size_t index, bool big_endian) noexcept;

/// US, SS, UL or SL, by its length.
[[nodiscard]] std::optional<std::uint32_t> integer(const dicom::Element& element) noexcept;

}  // namespace hilum::pixel
