// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/modality_lut.hpp"

#include <algorithm>
#include <cstring>

#include "hilum/error.hpp"

namespace hilum::pixel {
namespace {

/// PS3.3 C.11.1.1: 0 stands for 2^16.
std::size_t entry_count(std::uint16_t count) noexcept {
    return count == 0 ? 65536U : count;
}

std::int32_t first_input(std::uint16_t first, bool is_signed) noexcept {
    return is_signed ? static_cast<std::int16_t>(first) : static_cast<std::int32_t>(first);
}

std::uint16_t word_at(std::span<const std::byte> data, std::size_t index) noexcept {
    std::uint16_t word = 0;
    std::memcpy(&word, data.data() + 2 * index, sizeof(word));
    return word;
}

/// Entries declared with 16 bits that never use the upper byte are 8-bit entries (seen in ultrasound palettes).
void correct_bits(Lut& lut) {
    if (lut.bits <= 8 || lut.bits > 16) {
        lut.bits = lut.bits <= 8 ? std::uint16_t{8} : std::uint16_t{16};
    }
}

/// Segments are read as bytes (8 bits an entry) or words.
class SegmentReader {
public:
    SegmentReader(std::span<const std::byte> data, bool words) noexcept : data_(data), words_(words) {}

    [[nodiscard]] std::size_t units() const noexcept { return words_ ? data_.size() / 2 : data_.size(); }
    [[nodiscard]] std::uint16_t at(std::size_t index) const {
        if (index >= units()) {
            throw Error(Errc::bad_value, "segmented palette look-up table data is too short");
        }
        return words_ ? word_at(data_, index) : static_cast<std::uint16_t>(data_[index]);
    }
    [[nodiscard]] bool words() const noexcept { return words_; }

private:
    std::span<const std::byte> data_;
    bool words_;
};

void push(std::vector<std::uint16_t>& out, std::size_t limit, std::uint16_t value) {
    if (out.size() >= limit) {
        throw Error(Errc::bad_value, "segmented palette look-up table has more entries than its descriptor says");
    }
    out.push_back(value);
}

/// One segment from `at` on; returns the index after it. `nested`: inside an indirect segment.
std::size_t expand_segment(const SegmentReader& reader, std::size_t at, std::size_t limit, bool nested,
                           std::vector<std::uint16_t>& out) {
    const unsigned opcode = reader.at(at);
    const std::size_t length = reader.at(at + 1);
    if (opcode == 0) {
        for (std::size_t i = 0; i < length; ++i) {
            push(out, limit, reader.at(at + 2 + i));
        }
        return at + 2 + length;
    }
    if (opcode == 1) {
        const double end = reader.at(at + 2);
        if (out.empty()) {
            throw Error(Errc::bad_value, "segmented palette look-up table starts with a linear segment");
        }
        const double start = out.back();
        for (std::size_t i = 1; i <= length; ++i) {
            const double value = start + (end - start) * static_cast<double>(i) / static_cast<double>(length);
            push(out, limit, static_cast<std::uint16_t>(value + 0.5));
        }
        return at + 3;
    }
    if (opcode == 2 && !nested) {
        // The offset is in bytes in the data; its low half comes first. With 8-bit entries it takes four units.
        std::size_t offset = 0;
        const std::size_t parts = reader.words() ? 2 : 4;
        for (std::size_t i = 0; i < parts; ++i) {
            offset |= std::size_t{reader.at(at + 2 + i)} << (i * (reader.words() ? 16U : 8U));
        }
        std::size_t source = reader.words() ? offset / 2 : offset;
        for (std::size_t i = 0; i < length; ++i) {
            source = expand_segment(reader, source, limit, true, out);
        }
        return at + 2 + parts;
    }
    throw Error(Errc::bad_value, "segmented palette look-up table has a segment that PS3.3 C.7.9.2 does not define");
}

}  // namespace

Lut make_lut(std::uint16_t count, std::uint16_t first, std::uint16_t bits, bool signed_first,
             std::span<const std::byte> data) {
    Lut lut;
    lut.first = first_input(first, signed_first);
    lut.bits = bits == 0 ? std::uint16_t{16} : std::min<std::uint16_t>(bits, 16);
    const std::size_t entries = entry_count(count);
    if (data.size() >= 2 * entries) {
        lut.entries.resize(entries);
        std::memcpy(lut.entries.data(), data.data(), 2 * entries);
    } else if (data.size() >= entries && lut.bits <= 8) {
        lut.entries.resize(entries);
        std::transform(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(entries), lut.entries.begin(),
                       [](std::byte value) { return static_cast<std::uint16_t>(value); });
    } else {
        throw Error(Errc::bad_value, "look-up table data is shorter than its descriptor says");
    }
    return lut;
}

Lut make_segmented_lut(std::uint16_t count, std::uint16_t first, std::uint16_t bits, bool signed_first,
                       std::span<const std::byte> data) {
    Lut lut;
    lut.first = first_input(first, signed_first);
    lut.bits = bits;
    correct_bits(lut);
    const std::size_t limit = entry_count(count);
    lut.entries.reserve(limit);
    const SegmentReader reader(data, lut.bits > 8);
    std::size_t at = 0;
    while (at + 1 < reader.units() && lut.entries.size() < limit) {
        at = expand_segment(reader, at, limit, false, lut.entries);
    }
    if (lut.entries.size() < limit) {
        throw Error(Errc::bad_value, "segmented palette look-up table has fewer entries than its descriptor says");
    }
    return lut;
}

}  // namespace hilum::pixel
