// SPDX-License-Identifier: Apache-2.0
// Writes small data sets for the tests, element by element.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hilum::test {

/// Bytes of a data set under construction. Lengths are taken from the values unless given.
class Bytes {
public:
    explicit Bytes(bool explicit_vr = true, bool big_endian = false) : explicit_(explicit_vr), big_(big_endian) {}

    Bytes& u16(unsigned value) { return number(value, 2); }
    Bytes& u32(std::uint64_t value) { return number(value, 4); }
    Bytes& u64(std::uint64_t value) { return number(value, 8); }
    Bytes& text(std::string_view value) {
        for (const char c : value) {
            data_.push_back(static_cast<std::byte>(c));
        }
        return *this;
    }
    Bytes& raw(const std::vector<std::byte>& value) {
        data_.insert(data_.end(), value.begin(), value.end());
        return *this;
    }
    Bytes& zeros(std::size_t count) {
        data_.resize(data_.size() + count);
        return *this;
    }
    /// Tag, VR and length.
    Bytes& header(std::uint32_t tag, std::string_view vr, std::uint64_t length) {
        u16(tag >> 16U).u16(tag & 0xFFFFU);
        if (!explicit_) {
            return u32(length);
        }
        text(vr);
        for (const char* long_vr : {"OB", "OW", "OF", "OD", "OL", "OV", "SQ", "UN", "UC", "UR", "UT", "SV", "UV"}) {
            if (vr == long_vr) {
                return u16(0).u32(length);
            }
        }
        return u16(static_cast<unsigned>(length));
    }
    /// A whole element; padded to even length with a blank (NUL for UI and OB).
    Bytes& element(std::uint32_t tag, std::string_view vr, std::string_view value) {
        header(tag, vr, value.size() + value.size() % 2).text(value);
        if (value.size() % 2 != 0) {
            data_.push_back(vr == "UI" || vr == "OB" ? std::byte{0} : std::byte{' '});
        }
        return *this;
    }
    Bytes& us(std::uint32_t tag, unsigned value) { return header(tag, "US", 2).u16(value); }
    /// An item tag, sequence delimiter …
    Bytes& item(std::uint64_t length = 0xFFFFFFFFU) { return u16(0xFFFE).u16(0xE000).u32(length); }
    Bytes& end_item() { return u16(0xFFFE).u16(0xE00D).u32(0); }
    Bytes& end_sequence() { return u16(0xFFFE).u16(0xE0DD).u32(0); }

    [[nodiscard]] std::span<const std::byte> span() const { return data_; }
    [[nodiscard]] const std::vector<std::byte>& data() const { return data_; }
    [[nodiscard]] std::size_t size() const { return data_.size(); }

private:
    Bytes& number(std::uint64_t value, unsigned size) {
        for (unsigned i = 0; i < size; ++i) {
            const unsigned byte = big_ ? size - 1 - i : i;
            data_.push_back(static_cast<std::byte>((value >> (8U * byte)) & 0xFFU));
        }
        return *this;
    }

    bool explicit_;
    bool big_;
    std::vector<std::byte> data_;
};

/// Preamble and meta for the given transfer syntax.
inline Bytes part10(std::string_view transfer_syntax, std::string_view sop_class = "1.2.840.10008.5.1.4.1.1.2",
                    std::string_view sop_instance = "1.2.3.4") {
    Bytes meta;
    meta.element(0x00020002, "UI", sop_class).element(0x00020003, "UI", sop_instance);
    meta.element(0x00020010, "UI", transfer_syntax);
    Bytes all;
    all.zeros(128).text("DICM").header(0x00020000, "UL", 4).u32(meta.size());
    return all.raw(meta.data());
}

}  // namespace hilum::test
