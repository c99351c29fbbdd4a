// SPDX-License-Identifier: Apache-2.0
#include "hilum/dimse/command.hpp"

#include <string_view>

#include "hilum/byte_order.hpp"
#include "hilum/dimse/pdu_reader.hpp"

namespace hilum::dimse {
namespace {

std::string text_of(std::span<const std::byte> bytes) {
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    constexpr std::string_view kPadding(" \0", 2);
    const std::size_t first = text.find_first_not_of(kPadding);
    if (first == std::string_view::npos) {
        return {};
    }
    return std::string(text.substr(first, text.find_last_not_of(kPadding) - first + 1));
}

void append_number(std::string& out, std::size_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) {
        out += static_cast<char>(value >> (8U * i) & 0xFFU);
    }
}

void append_element(std::string& out, std::size_t element, const char* vr, std::string value) {
    const bool is_long = std::string_view(vr) == "OB";
    if (value.size() % 2 != 0) {
        value += std::string_view(vr) == "SH" ? ' ' : '\0';
    }
    append_number(out, 2, 2);
    append_number(out, element, 2);
    out += vr;
    if (is_long) {
        append_number(out, 0, 2);
    }
    append_number(out, value.size(), is_long ? 4 : 2);
    out += value;
}

}  // namespace

Command read_command(std::span<const std::byte> bytes) {
    Command command;
    while (!bytes.empty()) {
        if (bytes.size() < 8) {
            throw ProtocolError(AbortReason::invalid_parameter, "a command set is cut off");
        }
        const auto group = load<std::uint16_t>(&bytes[0]);
        const auto element = load<std::uint16_t>(&bytes[2]);
        const auto length = load<std::uint32_t>(&bytes[4]);
        bytes = bytes.subspan(8);
        if (group != 0 || length > bytes.size()) {
            throw ProtocolError(AbortReason::invalid_parameter, "a command set is malformed");
        }
        const std::span<const std::byte> value = bytes.first(length);
        bytes = bytes.subspan(length);
        if (element == 0x0002) {
            command.affected_sop_class_uid = text_of(value);
        } else if (element == 0x1000) {
            command.affected_sop_instance_uid = text_of(value);
        } else if (element == 0x0100 && length >= 2) {
            command.field = load<std::uint16_t>(value.data());
        } else if (element == 0x0800 && length >= 2) {
            command.data_set_type = load<std::uint16_t>(value.data());
        }
    }
    return command;
}

std::string part10_prefix(const std::string& sop_class_uid, const std::string& sop_instance_uid,
                          const std::string& transfer_syntax_uid, const Implementation& implementation) {
    std::string meta;
    append_element(meta, 0x0001, "OB", std::string("\0\1", 2));
    append_element(meta, 0x0002, "UI", sop_class_uid);
    append_element(meta, 0x0003, "UI", sop_instance_uid);
    append_element(meta, 0x0010, "UI", transfer_syntax_uid);
    append_element(meta, 0x0012, "UI", implementation.class_uid);
    append_element(meta, 0x0013, "SH", implementation.version_name);
    std::string prefix(128, '\0');
    prefix += "DICM";
    std::string length;
    append_number(length, meta.size(), 4);
    append_element(prefix, 0x0000, "UL", length);
    return prefix + meta;
}

}  // namespace hilum::dimse
