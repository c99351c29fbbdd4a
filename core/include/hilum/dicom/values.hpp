// SPDX-License-Identifier: Apache-2.0
// Values of elements as numbers and text, for those who read a few attributes out of a header.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "hilum/dicom/element.hpp"

namespace hilum::dicom {

/// Without blanks and signs of padding around it.
[[nodiscard]] std::string_view trim_value(std::string_view text) noexcept;

/// DS and IS (PS3.5 6.2): numbers between backslashes, `most` at most. What is no finite number is left out, with all
/// after it.
[[nodiscard]] std::vector<double> decimals(const Element& element, std::size_t most);

/// All numbers of DS, IS, FL, FD, US, SS, UL, SL, `most` at most, as with decimals.
[[nodiscard]] std::vector<double> numbers(const Element& element, std::size_t most);

/// The first of numbers().
[[nodiscard]] std::optional<double> number(const Element& element);

}  // namespace hilum::dicom
