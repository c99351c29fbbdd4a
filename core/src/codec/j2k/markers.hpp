// SPDX-License-Identifier: Apache-2.0
// Big-endian reading of marker segments, bounds checked; errors carry the offset in the frame.
#pragma once

#include "codestream.hpp"

namespace hilum::codec::j2k {

class Reader {
public:
    Reader(Bytes data, std::size_t base) noexcept : data_(data), base_(base) {}

    [[nodiscard]] std::size_t left() const noexcept { return data_.size() - at_; }
    [[nodiscard]] std::size_t offset() const noexcept { return base_ + at_; }
    [[nodiscard]] Bytes rest() const noexcept { return data_.subspan(at_); }

    unsigned u8() {
        need(1);
        return static_cast<unsigned>(data_[at_++]);
    }
    unsigned u16() {
        const unsigned value = peek16();
        at_ += 2;
        return value;
    }
    std::uint32_t u32() {
        const std::uint32_t high = u16();
        return high << 16U | u16();
    }
    [[nodiscard]] unsigned peek16() const {
        need(2);
        return static_cast<unsigned>(data_[at_]) << 8U | static_cast<unsigned>(data_[at_ + 1]);
    }
    void skip(std::size_t bytes) {
        need(bytes);
        at_ += bytes;
    }
    /// The segment that starts here with its length (which counts itself).
    Reader segment() {
        const unsigned length = peek16();
        if (length < 2) {
            fail_bad("a marker segment shorter than its length field", offset());
        }
        need(length);
        const Reader inner(data_.subspan(at_ + 2, length - 2), offset() + 2);
        at_ += length;
        return inner;
    }

private:
    void need(std::size_t bytes) const {
        if (left() < bytes) {
            fail_truncated("in a marker segment", offset());
        }
    }

    Bytes data_;
    std::size_t base_;
    std::size_t at_ = 0;
};

}  // namespace hilum::codec::j2k
