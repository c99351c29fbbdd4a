// SPDX-License-Identifier: Apache-2.0
// A strict reader of JSON (RFC 8259) for tests and fuzzers: says whether a text is one value, with keys that ascend
// strictly where they are tags. Depth is bounded by the writer under test.
#pragma once

#include <string_view>

#include "hilum/dicom/charset.hpp"

namespace hilum::test {

class JsonCheck {
public:
    explicit JsonCheck(std::string_view text) : text_(text) {}

    bool valid() { return dicom::is_valid_utf8(text_) && value() && at_ == text_.size(); }

private:
    [[nodiscard]] char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    bool take(char wanted) {
        if (peek() != wanted) {
            return false;
        }
        ++at_;
        return true;
    }

    bool value() {
        switch (peek()) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
                return string();
            case 'n':
                if (text_.substr(at_, 4) != "null") {
                    return false;
                }
                at_ += 4;
                return true;
            default:
                return number();
        }
    }

    bool object() {
        take('{');
        if (take('}')) {
            return true;
        }
        std::string_view last;
        do {
            const std::size_t begin = at_;
            if (!string() || !take(':') || !value()) {
                return false;
            }
            const std::string_view key = text_.substr(begin, 10);
            const bool is_tag = key.size() == 10 && key.back() == '"';
            if (is_tag && !last.empty() && key <= last) {
                return false;
            }
            last = is_tag ? key : std::string_view{};
        } while (take(','));
        return take('}');
    }

    bool array() {
        take('[');
        do {
            if (!value()) {
                return false;
            }
        } while (take(','));
        return take(']');
    }

    bool string() {
        if (!take('"')) {
            return false;
        }
        while (at_ < text_.size() && peek() != '"') {
            const char c = text_[at_++];
            if (static_cast<unsigned char>(c) < 0x20) {
                return false;
            }
            if (c == '\\' && !escape()) {
                return false;
            }
        }
        return take('"');
    }

    bool escape() {
        const char c = peek();
        ++at_;
        if (c != 'u') {
            return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos && c != '\0';
        }
        for (int i = 0; i < 4; ++i, ++at_) {
            if (std::string_view("0123456789abcdefABCDEF").find(peek()) == std::string_view::npos || peek() == '\0') {
                return false;
            }
        }
        return true;
    }

    bool digits() {
        const std::size_t begin = at_;
        while (peek() >= '0' && peek() <= '9') {
            ++at_;
        }
        return at_ > begin;
    }

    bool number() {
        take('-');
        if (!take('0') && !digits()) {
            return false;
        }
        if (take('.') && !digits()) {
            return false;
        }
        if (take('e') || take('E')) {
            if (!take('-')) {
                take('+');
            }
            return digits();
        }
        return true;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace hilum::test
