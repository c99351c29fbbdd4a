// SPDX-License-Identifier: Apache-2.0
// JPEG lossless, process 14, predictor 1 (ISO/IEC 10918-1 annex H): two passes, the first counts, so that each
// component has the best Huffman table there is for it.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#include "hilum/codec/encode.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::codec::jpeg_lossless {
namespace {

constexpr std::size_t kCategories = 17;
constexpr unsigned kMaxLength = 16;
constexpr std::size_t kHeaderBytes = 1024;

using Counts = std::array<std::uint64_t, kCategories>;

/// A Huffman code for difference categories, none longer than 16 bits, none of ones alone (K.2).
struct Code {
    std::array<std::uint8_t, kMaxLength> counts{};  ///< codes of each length
    std::vector<std::uint8_t> categories;           ///< by ascending code
    std::array<std::uint32_t, kCategories> bits{};
    std::array<std::uint8_t, kCategories> length{};
};

/// Depths of a Huffman tree of `weights`, zero where the weight is; the last weight is the code of ones alone.
std::array<unsigned, kCategories + 1> tree_depths(const std::array<std::uint64_t, kCategories + 1>& weights) noexcept {
    constexpr std::size_t kNodes = 2 * (kCategories + 1);
    std::array<std::uint64_t, kNodes> weight{};
    std::array<std::size_t, kNodes> parent{};
    std::array<bool, kNodes> open{};
    std::size_t nodes = weights.size();
    for (std::size_t i = 0; i < weights.size(); ++i) {
        weight[i] = weights[i];
        open[i] = weights[i] > 0;
    }
    while (true) {
        std::array<std::size_t, 2> least{kNodes, kNodes};
        for (std::size_t i = 0; i < nodes; ++i) {
            if (!open[i]) {
                continue;
            }
            if (least[0] == kNodes || weight[i] < weight[least[0]]) {
                least = {i, least[0]};
            } else if (least[1] == kNodes || weight[i] < weight[least[1]]) {
                least[1] = i;
            }
        }
        if (least[1] == kNodes) {
            break;
        }
        weight[nodes] = weight[least[0]] + weight[least[1]];
        open[nodes] = true;
        for (const std::size_t child : least) {
            open[child] = false;
            parent[child] = nodes;
        }
        ++nodes;
    }
    std::array<unsigned, kCategories + 1> depths{};
    for (std::size_t i = 0; i < weights.size(); ++i) {
        for (std::size_t at = i; weights[i] > 0 && at != nodes - 1; at = parent[at]) {
            ++depths[i];
        }
    }
    return depths;
}

Code make_code(const Counts& counts) {
    // Weights are doubled so that the reserved code is the lightest and gets one of the longest codes.
    std::array<std::uint64_t, kCategories + 1> weights{};
    std::transform(counts.begin(), counts.end(), weights.begin(), [](std::uint64_t count) { return 2 * count; });
    weights[kCategories] = 1;
    const auto depths = tree_depths(weights);
    std::array<unsigned, kCategories + 2> lengths{};
    for (const unsigned depth : depths) {
        lengths[depth] += depth > 0 ? 1U : 0U;
    }
    for (unsigned i = kCategories + 1; i > kMaxLength; --i) {  // Figure K.3
        while (lengths[i] > 0) {
            unsigned j = i - 2;
            while (lengths[j] == 0) {
                --j;
            }
            lengths[i] -= 2;
            ++lengths[i - 1];
            lengths[j + 1] += 2;
            --lengths[j];
        }
    }
    unsigned last = kMaxLength;
    while (lengths[last] == 0) {
        --last;
    }
    --lengths[last];  // the code of ones alone

    Code code;
    for (unsigned category = 0; category < kCategories; ++category) {
        if (counts[category] > 0) {
            code.categories.push_back(static_cast<std::uint8_t>(category));
        }
    }
    std::ranges::stable_sort(code.categories, [&](unsigned a, unsigned b) { return counts[a] > counts[b]; });
    std::uint32_t next = 0;
    std::size_t at = 0;
    for (unsigned length = 1; length <= kMaxLength; ++length, next <<= 1U) {
        code.counts[length - 1] = static_cast<std::uint8_t>(lengths[length]);
        for (unsigned i = 0; i < lengths[length]; ++i, ++next) {
            const unsigned category = code.categories[at++];
            code.bits[category] = next;
            code.length[category] = static_cast<std::uint8_t>(length);
        }
    }
    return code;
}

/// Bits, highest first, a zero byte stuffed behind each 0xFF (F.1.2.3).
class BitWriter {
public:
    explicit BitWriter(std::byte* out) noexcept : out_(out) {}

    void put(std::uint32_t bits, unsigned count) noexcept {  // count <= 32
        bits_ = bits_ << count | bits;
        count_ += count;
        if (count_ >= 32) {
            count_ -= 32;
            flush(static_cast<std::uint32_t>(bits_ >> count_));
        }
    }

    /// Pads with ones to a byte.
    std::byte* finish() noexcept {
        const unsigned pad = (8U - count_ % 8U) % 8U;
        put((1U << pad) - 1U, pad);
        while (count_ >= 8) {
            count_ -= 8;
            put_byte(static_cast<std::uint32_t>(bits_ >> count_) & 0xFFU);
        }
        return out_;
    }

private:
    void put_byte(std::uint32_t byte) noexcept {
        *out_++ = static_cast<std::byte>(byte);
        if (byte == 0xFF) {
            *out_++ = std::byte{0};
        }
    }

    void flush(std::uint32_t word) noexcept {
        const bool stuffing = ((~word - 0x01010101U) & word & 0x80808080U) != 0;
        if (!stuffing) [[likely]] {
            const std::uint32_t big = __builtin_bswap32(word);
            std::memcpy(out_, &big, sizeof(big));
            out_ += sizeof(big);
            return;
        }
        for (int shift = 24; shift >= 0; shift -= 8) {
            put_byte(word >> shift & 0xFFU);
        }
    }

    std::byte* out_;
    std::uint64_t bits_ = 0;
    unsigned count_ = 0;
};

unsigned category_of(std::int32_t difference) noexcept {
    const auto size = static_cast<std::uint32_t>(difference < 0 ? -difference : difference);
    return static_cast<unsigned>(std::bit_width(size));
}

/// Samples of an image, interleaved, and its differences (H.1.2.1) row by row.
template <typename Sample>
class Differences {
public:
    Differences(const PlainSamples& plain, const PixelDescription& d)
        : from_(plain.bytes.data()),
          step_(d.samples_per_pixel),
          count_(std::size_t{d.columns} * d.samples_per_pixel),
          start_(static_cast<Sample>(1U << (plain.precision - 1U))),
          row_(count_),
          above_(step_),
          out_(count_) {}

    /// Differences of row y; valid until the next call. Rows in order.
    std::span<const std::int16_t> row(std::uint32_t y) noexcept {
        if (y == 0) {
            std::fill(above_.begin(), above_.end(), start_);
        } else {
            std::copy_n(row_.begin(), step_, above_.begin());
        }
        std::memcpy(row_.data(), from_ + y * count_ * sizeof(Sample), count_ * sizeof(Sample));
        for (std::size_t i = 0; i < step_; ++i) {
            out_[i] = static_cast<std::int16_t>(row_[i] - above_[i]);
        }
        const Sample* left = row_.data();
        const Sample* here = row_.data() + step_;
        std::int16_t* to = out_.data() + step_;
        const std::size_t rest = count_ - step_;
        for (std::size_t i = 0; i < rest; ++i) {
            to[i] = static_cast<std::int16_t>(here[i] - left[i]);
        }
        return out_;
    }

private:
    const std::byte* from_;
    std::size_t step_;
    std::size_t count_;
    Sample start_;
    std::vector<Sample> row_;
    std::vector<Sample> above_;  ///< first pixel of the row before
    std::vector<std::int16_t> out_;
};

/// Small differences, which most are: code and magnitude bits in one look-up.
class SymbolTable {
public:
    explicit SymbolTable(const Code& code) : code_(code) {
        for (std::int32_t difference = -kSmall; difference < kSmall; ++difference) {
            const unsigned category = category_of(difference);
            const std::uint32_t bits = symbol(difference, category);
            small_[static_cast<std::size_t>(difference + kSmall)] = {
                bits, static_cast<std::uint32_t>(code.length[category]) + category};
        }
    }

    void put(std::int32_t difference, BitWriter& writer) const noexcept {
        const auto index = static_cast<std::uint32_t>(difference + kSmall);
        if (index < 2U * kSmall) [[likely]] {
            writer.put(small_[index].bits, small_[index].length);
            return;
        }
        const unsigned category = category_of(difference);
        const unsigned magnitude = category == 16 ? 0 : category;  // -32768 has no bits (Table H.2)
        const std::uint32_t bits = category == 16 ? code_.bits[16] : symbol(difference, category);
        writer.put(bits, code_.length[category] + magnitude);
    }

private:
    static constexpr std::int32_t kSmall = 512;
    struct Symbol {
        std::uint32_t bits;
        std::uint32_t length;
    };

    [[nodiscard]] std::uint32_t symbol(std::int32_t difference, unsigned category) const noexcept {
        const auto low = static_cast<std::uint32_t>(difference - (difference < 0 ? 1 : 0));
        return code_.bits[category] << category | (low & ((1U << category) - 1U));
    }

    const Code& code_;
    std::array<Symbol, std::size_t{2} * kSmall> small_;
};

std::byte* put_bytes(std::byte* out, std::initializer_list<unsigned> bytes) noexcept {
    for (const unsigned byte : bytes) {
        *out++ = static_cast<std::byte>(byte);
    }
    return out;
}

std::byte* put_headers(const PixelDescription& d, unsigned precision, std::span<const Code> codes,
                       std::byte* out) noexcept {
    const unsigned count = d.samples_per_pixel;
    // Decoders take the letters as a promise that there is no colour transform to be undone.
    constexpr std::array<unsigned, 4> kLetters{'R', 'G', 'B', 'A'};
    const bool letters = d.photometric == Photometric::rgb;
    const auto identifier = [&](unsigned c) { return letters ? kLetters[c] : c + 1; };
    out = put_bytes(out, {0xFF, 0xD8, 0xFF, 0xC3, 0, 8 + 3 * count, precision, d.rows >> 8U, d.rows & 0xFFU,
                          d.columns >> 8U, d.columns & 0xFFU, count});
    for (unsigned c = 0; c < count; ++c) {
        out = put_bytes(out, {identifier(c), 0x11, 0});
    }
    for (unsigned c = 0; c < count; ++c) {
        const auto codes_in_table = static_cast<unsigned>(codes[c].categories.size());
        out = put_bytes(out, {0xFF, 0xC4, 0, 19 + codes_in_table, c});
        std::memcpy(out, codes[c].counts.data(), codes[c].counts.size());
        out += codes[c].counts.size();
        std::memcpy(out, codes[c].categories.data(), codes_in_table);
        out += codes_in_table;
    }
    out = put_bytes(out, {0xFF, 0xDA, 0, 6 + 2 * count, count});
    for (unsigned c = 0; c < count; ++c) {
        out = put_bytes(out, {identifier(c), c << 4U});
    }
    return put_bytes(out, {1, 0, 0});
}

template <typename Sample, unsigned Count>
std::vector<Code> count_codes(const PlainSamples& plain, const PixelDescription& d) {
    Differences<Sample> differences(plain, d);
    std::array<Counts, std::size_t{2} * Count> counts{};  // two each: no wait for the counter just written
    for (std::uint32_t y = 0; y < d.rows; ++y) {
        const auto row = differences.row(y);
        std::size_t i = 0;
        for (; i + 2 * std::size_t{Count} <= row.size(); i += 2 * std::size_t{Count}) {
            for (unsigned k = 0; k < 2 * Count; ++k) {
                ++counts[k][category_of(row[i + k])];
            }
        }
        for (unsigned k = 0; i < row.size(); ++i, ++k) {
            ++counts[k][category_of(row[i])];
        }
    }
    std::vector<Code> codes;
    for (unsigned c = 0; c < Count; ++c) {
        std::ranges::transform(counts[c], counts[c + Count], counts[c].begin(), std::plus<>{});
        codes.push_back(make_code(counts[c]));
    }
    return codes;
}

template <typename Sample, unsigned Count>
std::size_t encode_as(const PlainSamples& plain, const PixelDescription& d, std::span<std::byte> out) {
    const std::vector<Code> codes = count_codes<Sample, Count>(plain, d);
    const std::vector<SymbolTable> tables(codes.begin(), codes.end());
    BitWriter writer(put_headers(d, plain.precision, codes, out.data()));
    Differences<Sample> differences(plain, d);
    for (std::uint32_t y = 0; y < d.rows; ++y) {
        const auto row = differences.row(y);
        BitWriter local = writer;
        for (std::size_t i = 0; i < row.size(); i += Count) {
            for (unsigned c = 0; c < Count; ++c) {
                tables[c].put(row[i + c], local);
            }
        }
        writer = local;
    }
    std::byte* end = put_bytes(writer.finish(), {0xFF, 0xD9});
    return static_cast<std::size_t>(end - out.data());
}

template <typename Sample>
std::size_t encode_samples(const PlainSamples& plain, const PixelDescription& d, std::span<std::byte> out) {
    switch (d.samples_per_pixel) {
        case 1:
            return encode_as<Sample, 1>(plain, d, out);
        case 3:
            return encode_as<Sample, 3>(plain, d, out);
        default:
            return encode_as<Sample, 4>(plain, d, out);
    }
}

void check(const PixelDescription& d, const EncodeOptions&) {
    check_integers(d, "JPEG lossless");
}

/// An optimal code has at most 5.2 bits a symbol more than the magnitude's 16; each byte may be stuffed.
std::uint64_t bound(const PixelDescription& d) {
    return kHeaderBytes + 6 * std::uint64_t{d.rows} * d.columns * d.samples_per_pixel;
}

std::size_t encode(std::span<const std::byte> samples, const PixelDescription& d, const EncodeOptions&,
                   std::span<std::byte> out) {
    const PlainSamples plain = plain_samples(samples, d, 2);
    return plain.container == 1 ? encode_samples<std::uint8_t>(plain, d, out)
                                : encode_samples<std::uint16_t>(plain, d, out);
}

}  // namespace

const Encoder kEncode{"jpeg_lossless", "hilum", &check, &bound, &encode};

}  // namespace hilum::codec::jpeg_lossless
