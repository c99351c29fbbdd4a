// SPDX-License-Identifier: Apache-2.0
#include "values.hpp"

#include <cstring>
#include <vector>

#include "hilum/dicom/values.hpp"

namespace hilum::pixel {

std::optional<double> decimal(const dicom::Element& element) {
    const std::vector<double> values = dicom::decimals(element, 1);
    return values.empty() ? std::nullopt : std::optional<double>(values.front());
}

std::uint16_t word(std::span<const std::byte> data, std::size_t index, bool big_endian) noexcept {
    std::uint16_t value = 0;
    std::memcpy(&value, data.data() + 2 * index, sizeof(value));
    return big_endian ? __builtin_bswap16(value) : value;
}

std::optional<std::uint32_t> integer(const dicom::Element& element) noexcept {
    if (element.value.size() >= 4) {
        std::uint32_t value = 0;
        std::memcpy(&value, element.value.data(), sizeof(value));
        return element.encoding.big_endian ? __builtin_bswap32(value) : value;
    }
    if (element.value.size() >= 2) {
        return word(element.value, 0, element.encoding.big_endian);
    }
    return std::nullopt;
}

}  // namespace hilum::pixel
