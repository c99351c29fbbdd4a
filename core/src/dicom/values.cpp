// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/values.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <system_error>

namespace hilum::dicom {
namespace {

template <typename T>
std::vector<double> binary(const Element& element, std::size_t most) {
    std::vector<double> values;
    for (std::size_t at = 0; at + sizeof(T) <= element.value.size() && values.size() < most; at += sizeof(T)) {
        std::array<std::byte, sizeof(T)> raw{};
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            raw[element.encoding.big_endian ? sizeof(T) - 1 - i : i] = element.value[at + i];
        }
        T value{};
        std::memcpy(&value, raw.data(), sizeof(T));
        const auto real = static_cast<double>(value);
        if (!std::isfinite(real)) {
            break;
        }
        values.push_back(real);
    }
    return values;
}

}  // namespace

std::string_view trim_value(std::string_view text) noexcept {
    while (!text.empty() && (text.front() == ' ' || text.front() == '+')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) {
        text.remove_suffix(1);
    }
    return text;
}

std::vector<double> decimals(const Element& element, std::size_t most) {
    std::vector<double> values;
    std::string_view rest = element.characters();
    while (!rest.empty() && values.size() < most) {
        const std::size_t end = rest.find('\\');
        const std::string_view one = trim_value(rest.substr(0, end));
        double value = 0.0;
        const auto [stop, error] = std::from_chars(one.data(), one.data() + one.size(), value);
        if (error != std::errc{} || stop != one.data() + one.size() || !std::isfinite(value)) {
            break;
        }
        values.push_back(value);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
    return values;
}

std::vector<double> numbers(const Element& element, std::size_t most) {
    switch (element.effective_vr()) {
        case Vr::FD:
            return binary<double>(element, most);
        case Vr::FL:
            return binary<float>(element, most);
        case Vr::US:
            return binary<std::uint16_t>(element, most);
        case Vr::SS:
            return binary<std::int16_t>(element, most);
        case Vr::UL:
            return binary<std::uint32_t>(element, most);
        case Vr::SL:
            return binary<std::int32_t>(element, most);
        case Vr::DS:
        case Vr::IS:
            return decimals(element, most);
        default:
            return {};
    }
}

std::optional<double> number(const Element& element) {
    const std::vector<double> values = numbers(element, 1);
    return values.empty() ? std::nullopt : std::optional<double>(values.front());
}

}  // namespace hilum::dicom
