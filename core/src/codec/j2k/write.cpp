// SPDX-License-Identifier: Apache-2.0
#include "write.hpp"

#include <algorithm>
#include <bit>

#include "hilum/error.hpp"

namespace hilum::codec::j2k {
namespace {

/// The caller's bytes, big-endian.
class Writer {
public:
    explicit Writer(std::span<std::byte> out) noexcept : out_(out) {}

    [[nodiscard]] std::size_t at() const noexcept { return at_; }
    void put(std::uint32_t value, unsigned bytes) {
        need(bytes);
        for (unsigned i = bytes; i-- > 0;) {
            out_[at_++] = static_cast<std::byte>(value >> 8 * i);
        }
    }
    void put(std::span<const std::byte> bytes) {
        need(bytes.size());
        std::copy(bytes.begin(), bytes.end(), out_.begin() + static_cast<std::ptrdiff_t>(at_));
        at_ += bytes.size();
    }
    void put_at(std::size_t at, std::uint32_t value) noexcept {
        for (unsigned i = 0; i < 4; ++i) {
            out_[at + i] = static_cast<std::byte>(value >> (24 - 8 * i));
        }
    }

private:
    void need(std::size_t bytes) const {
        if (out_.size() - at_ < bytes) {
            throw Error(Errc::buffer_too_small, "HTJ2K: the code stream does not fit", at_);
        }
    }

    std::span<std::byte> out_;
    std::size_t at_ = 0;
};

/// Bits of a packet header, B.10.1.
class HeaderBits {
public:
    explicit HeaderBits(std::vector<std::byte>& out) noexcept : out_(out) {}

    void bit(unsigned value) {
        held_ = held_ << 1U | value;
        if (--left_ == 0) {
            out_.push_back(static_cast<std::byte>(held_));
            left_ = held_ == 0xFF ? 7 : 8;
            held_ = 0;
        }
    }
    void bits(std::uint32_t value, unsigned count) {
        while (count-- > 0) {
            bit(value >> count & 1U);
        }
    }
    void finish() {
        if (left_ < 8) {  // also the whole byte that must follow FF
            out_.push_back(static_cast<std::byte>(held_ << left_));
        }
    }

private:
    std::vector<std::byte>& out_;
    unsigned held_ = 0, left_ = 8;
};

/// Tag tree, B.10.2: all values are known when it is made.
class TagTree {
public:
    TagTree(std::uint32_t width, std::uint32_t height, const std::vector<std::uint8_t>& leaves) {
        std::uint32_t start = 0;
        nodes_.resize(leaves.size());
        for (std::size_t i = 0; i < leaves.size(); ++i) {
            nodes_[i].value = leaves[i];
        }
        while (std::uint64_t{width} * height > 1) {
            const std::uint32_t across = (width + 1) / 2;
            const std::uint32_t down = (height + 1) / 2;
            const std::uint32_t above = start + width * height;
            nodes_.resize(above + std::size_t{across} * down);
            for (std::uint32_t i = 0; i < width * height; ++i) {
                Node& node = nodes_[start + i];
                node.parent = above + (i / width / 2) * across + i % width / 2;
                nodes_[node.parent].value = std::min(nodes_[node.parent].value, node.value);
            }
            start = above;
            width = across;
            height = down;
        }
    }
    /// Tells whether the leaf's value is below `threshold`.
    void code(std::uint32_t leaf, unsigned threshold, HeaderBits& out) { code_node(leaf, threshold, out); }

private:
    static constexpr std::uint32_t kNone = 0xFFFFFFFFU;
    struct Node {
        std::uint32_t parent = kNone;
        std::uint8_t value = 0xFF, low = 0;
        bool known = false;
    };
    unsigned code_node(std::uint32_t index, unsigned threshold, HeaderBits& out) {
        Node& node = nodes_[index];
        unsigned low = node.low;
        if (node.parent != kNone) {
            low = std::max(low, code_node(node.parent, threshold, out));
        }
        while (low < threshold && !node.known) {
            if (low >= node.value) {
                out.bit(1);
                node.known = true;
            } else {
                out.bit(0);
                ++low;
            }
        }
        node.low = static_cast<std::uint8_t>(low);
        return low;
    }

    std::vector<Node> nodes_;
};

/// Mb, E-2.
unsigned planes_of(const CodedImage& image, unsigned orientation) noexcept {
    return exponent_of(image, orientation) + kGuardBits - 1;
}

void write_band_header(const CodedBand& band, unsigned planes, HeaderBits& out) {
    std::vector<std::uint8_t> absent(band.lengths.size());
    std::ranges::transform(band.lengths, absent.begin(), [](std::uint32_t length) { return length == 0 ? 1 : 0; });
    const std::vector<std::uint8_t> zeros(band.lengths.size(), static_cast<std::uint8_t>(planes - 1));
    TagTree inclusion(band.across, band.down, absent);
    TagTree zero_planes(band.across, band.down, zeros);
    for (std::uint32_t i = 0; i < band.lengths.size(); ++i) {
        inclusion.code(i, 1, out);
        const std::uint32_t length = band.lengths[i];
        if (length == 0) {
            continue;
        }
        zero_planes.code(i, planes, out);  // all but the lowest
        out.bit(0);                        // one coding pass
        const auto bits = std::max(3U, static_cast<unsigned>(std::bit_width(length)));
        for (unsigned k = 3; k < bits; ++k) {
            out.bit(1);
        }
        out.bit(0);
        out.bits(length, bits);
    }
}

void write_packet(const CodedImage& image, const CodedResolution& resolution, bool lowest, Writer& out) {
    std::vector<std::byte> header;
    HeaderBits bits(header);
    const bool any = std::ranges::any_of(resolution.bands, [](const CodedBand& band) { return !band.bytes.empty(); });
    bits.bit(any ? 1 : 0);
    for (unsigned b = 0; any && b < resolution.bands.size(); ++b) {
        write_band_header(resolution.bands[b], planes_of(image, lowest ? 0 : b + 1), bits);
    }
    bits.finish();
    out.put(header);
    for (const CodedBand& band : resolution.bands) {
        out.put(band.bytes);
    }
}

/// B-bits of MAGB in Ccap15, 15444-15 Table A.5.
unsigned magnitude_bits(unsigned planes) noexcept {
    return planes <= 8 ? 0 : planes - 8;
}

void write_main_header(const CodedImage& image, Writer& out) {
    const auto components = static_cast<std::uint32_t>(image.components.size());
    out.put(0xFF4F, 2);  // SOC
    out.put(0xFF51, 2);  // SIZ
    out.put(38 + 3 * components, 2);
    out.put(0x4000, 2);  // capabilities are in CAP
    for (const std::uint32_t value : {image.columns, image.rows, 0U, 0U, image.columns, image.rows, 0U, 0U}) {
        out.put(value, 4);
    }
    out.put(components, 2);
    for (std::uint32_t c = 0; c < components; ++c) {
        out.put((image.precision - 1) | (image.is_signed ? 0x80U : 0U), 1);
        out.put(0x0101, 2);
    }
    out.put(0xFF50, 2);  // CAP: part 15, HT only, one HT set, reversible
    out.put(8, 2);
    out.put(1U << (32 - 15), 4);
    out.put(magnitude_bits(planes_of(image, image.levels == 0 ? 0 : 3)), 2);
    out.put(0xFF52, 2);  // COD: RPCL, one layer
    out.put(12, 2);
    out.put(0, 1);
    out.put(2, 1);
    out.put(1, 2);
    out.put(image.colour_transform ? 1 : 0, 1);
    out.put(image.levels, 1);
    out.put(kBlockExponent - 2, 1);
    out.put(kBlockExponent - 2, 1);
    out.put(0x40, 1);    // HT
    out.put(1, 1);       // 5/3
    out.put(0xFF5C, 2);  // QCD: none
    out.put(4 + 3 * image.levels, 2);
    out.put(kGuardBits << 5U, 1);
    out.put(exponent_of(image, 0) << 3U, 1);
    for (unsigned i = 0; i < 3 * image.levels; ++i) {
        out.put(exponent_of(image, i % 3 + 1) << 3U, 1);
    }
}

}  // namespace

unsigned exponent_of(const CodedImage& image, unsigned orientation) noexcept {
    const unsigned gain = orientation == 0 ? 0 : (orientation == 3 ? 2 : 1);
    return image.precision + gain + (image.colour_transform ? 1 : 0);
}

std::size_t write_code_stream(const CodedImage& image, std::span<std::byte> to) {
    Writer out(to);
    write_main_header(image, out);
    out.put(0xFF55, 2);  // TLM, A.7.1: one byte of tile index, four of length
    out.put(9, 2);
    out.put(0, 1);
    out.put(0x50, 1);
    out.put(0, 1);
    const std::size_t tile_length = out.at();
    out.put(0, 4);
    const std::size_t tile = out.at();
    out.put(0xFF90, 2);  // SOT
    out.put(10, 2);
    out.put(0, 2);
    out.put(0, 4);
    out.put(0x0001, 2);
    out.put(0xFF93, 2);  // SOD
    for (unsigned r = 0; r <= image.levels; ++r) {
        for (const auto& resolutions : image.components) {
            write_packet(image, resolutions[r], r == 0, out);
        }
    }
    const std::size_t length = out.at() - tile;
    if (length > 0xFFFFFFFFU) {
        throw Error(Errc::limit_exceeded, "HTJ2K: a tile-part of more than 4 GiB");
    }
    out.put_at(tile_length, static_cast<std::uint32_t>(length));
    out.put_at(tile + 6, static_cast<std::uint32_t>(length));
    out.put(0xFFD9, 2);  // EOC
    return out.at();
}

}  // namespace hilum::codec::j2k
