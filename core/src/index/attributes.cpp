// SPDX-License-Identifier: Apache-2.0
#include "hilum/index/attributes.hpp"

#include "hilum/error.hpp"

namespace hilum::index {
namespace {

constexpr std::size_t kHeader = 8;

std::uint32_t byte_at(std::span<const std::byte> data, std::size_t i) noexcept {
    return static_cast<std::uint32_t>(std::to_integer<unsigned>(data[i]));
}

}  // namespace

bool AttributeCursor::next(Attribute& out) {
    if (rest_.empty()) {
        return false;
    }
    if (rest_.size() < kHeader) {
        throw Error(Errc::bad_record, "attribute list ends inside an attribute's header");
    }
    const std::uint32_t tag =
        byte_at(rest_, 0) | byte_at(rest_, 1) << 8 | byte_at(rest_, 2) << 16 | byte_at(rest_, 3) << 24;
    const std::size_t length = byte_at(rest_, 6) | byte_at(rest_, 7) << 8;
    if (rest_.size() - kHeader < length) {
        throw Error(Errc::bad_record, "attribute list ends inside a value");
    }
    if (started_ && tag <= last_) {
        throw Error(Errc::bad_record, "attribute list is not sorted by tag");
    }
    started_ = true;
    last_ = tag;
    const auto* text = reinterpret_cast<const char*>(rest_.data());
    out.tag = tag;
    out.vr[0] = text[4];
    out.vr[1] = text[5];
    out.value = {text + kHeader, length};
    rest_ = rest_.subspan(kHeader + length);
    return true;
}

bool ItemCursor::next(std::string_view& item) {
    if (rest_.empty()) {
        return false;
    }
    if (rest_.size() < 2) {
        throw Error(Errc::bad_record, "sequence of an attribute list ends inside an item's length");
    }
    const std::size_t length =
        static_cast<unsigned char>(rest_[0]) | static_cast<std::size_t>(static_cast<unsigned char>(rest_[1])) << 8;
    if (rest_.size() - 2 < length) {
        throw Error(Errc::bad_record, "sequence of an attribute list ends inside an item");
    }
    item = rest_.substr(2, length);
    rest_.remove_prefix(2 + length);
    return true;
}

std::optional<Attribute> find_attribute(std::span<const std::byte> list, std::uint32_t tag) {
    AttributeCursor cursor(list);
    Attribute attribute;
    while (cursor.next(attribute) && attribute.tag <= tag) {
        if (attribute.tag == tag) {
            return attribute;
        }
    }
    return std::nullopt;
}

bool ValueCursor::next(std::string_view& out) noexcept {
    if (done_) {
        return false;
    }
    const std::size_t end = multiple_ ? rest_.find('\\') : std::string_view::npos;
    out = trim(rest_.substr(0, end));
    if (end == std::string_view::npos) {
        done_ = true;
    } else {
        rest_.remove_prefix(end + 1);
    }
    return true;
}

bool is_multiple(const char (&vr)[2]) noexcept {
    const bool text = vr[1] == 'T' && (vr[0] == 'S' || vr[0] == 'L' || vr[0] == 'U');
    const bool resource = vr[0] == 'U' && vr[1] == 'R';
    return !text && !resource;
}

std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && (text.back() == ' ' || text.back() == '\0')) {
        text.remove_suffix(1);
    }
    while (!text.empty() && text.front() == ' ') {
        text.remove_prefix(1);
    }
    return text;
}

}  // namespace hilum::index
