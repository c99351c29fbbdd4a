// SPDX-License-Identifier: Apache-2.0
#include "hilum/pixel/deflate.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace hilum::pixel {
namespace {

constexpr std::size_t kBlock = 65535;  // the longest stored block: every block can become one
constexpr std::size_t kSymbols = 286;
constexpr std::size_t kLongestRun = 258;
constexpr std::size_t kShortestRun = 4;  // one comparison of 32 bits finds it

struct LengthCode {
    std::uint16_t symbol;
    std::uint8_t extra_bits;
    std::uint8_t extra;
};

/// RFC 1951 3.2.5.
constexpr std::array<LengthCode, kLongestRun + 1> make_length_codes() {
    std::array<LengthCode, kLongestRun + 1> codes{};
    std::size_t length = 3;
    for (std::uint16_t symbol = 257; symbol < 285; ++symbol) {
        const auto bits = static_cast<std::uint8_t>(symbol < 265 ? 0 : (symbol - 261) / 4);
        for (unsigned extra = 0; extra < (1U << bits) && length < kLongestRun; ++extra, ++length) {
            codes[length] = {symbol, bits, static_cast<std::uint8_t>(extra)};
        }
    }
    codes[kLongestRun] = {285, 0, 0};
    return codes;
}
constexpr auto kLengthCodes = make_length_codes();

/// Lowest bit first. The caller sees to the room.
class BitWriter {
public:
    explicit BitWriter(std::byte* to) noexcept : to_(to) {}

    void put(std::uint64_t bits, unsigned count) noexcept {
        buffer_ |= bits << used_;
        used_ += count;
    }
    /// At most 7 bits are left behind; to be called before more than 64 are in.
    void flush() noexcept {
        std::memcpy(to_, &buffer_, sizeof(buffer_));
        const unsigned bytes = used_ / 8;
        to_ += bytes;
        buffer_ = bytes == 8 ? 0 : buffer_ >> (8 * bytes);
        used_ &= 7U;
    }
    void align() noexcept {
        used_ = (used_ + 7U) & ~7U;
        flush();
    }
    [[nodiscard]] unsigned used() const noexcept { return used_; }
    void copy(std::span<const std::uint8_t> bytes) noexcept {
        std::ranges::copy(std::as_bytes(bytes), to_);
        to_ += bytes.size();
    }
    [[nodiscard]] std::byte* position() const noexcept { return to_; }

private:
    std::byte* to_;
    std::uint64_t buffer_ = 0;
    unsigned used_ = 0;
};

struct Code {
    std::uint32_t bits = 0;
    std::uint32_t length = 0;
};

/// Canonical codes, bits reversed as deflate writes them (RFC 1951 3.2.2).
void assign_codes(std::span<const std::uint8_t> lengths, std::span<Code> codes) noexcept {
    std::array<std::uint32_t, 17> counts{};
    for (const std::uint8_t length : lengths) {
        ++counts[length];
    }
    std::array<std::uint32_t, 17> next{};
    counts[0] = 0;
    for (unsigned length = 1; length <= 15; ++length) {
        next[length] = (next[length - 1] + counts[length - 1]) << 1U;
    }
    for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
        const unsigned length = lengths[symbol];
        std::uint32_t reversed = 0;
        if (length != 0) {
            std::uint32_t code = next[length]++;
            for (unsigned i = 0; i < length; ++i, code >>= 1U) {
                reversed = (reversed << 1U) | (code & 1U);
            }
        }
        codes[symbol] = {reversed, length};
    }
}

/// Literals (below 256) and run lengths (256 + length) of one block. Returns their number.
std::size_t tokenize(std::span<const std::uint8_t> in, std::size_t begin, std::size_t end, std::uint16_t* tokens,
                     std::array<std::uint32_t, kSymbols>& counts) noexcept {
    std::array<std::array<std::uint32_t, 256>, 2> literals{};  // two, so that equal neighbours do not wait
    std::uint16_t* to = tokens;
    const std::uint8_t* const data = in.data();
    std::size_t i = begin;
    while (i < end) {
        if (i > 0 && end - i >= kShortestRun) {
            std::uint32_t word = 0;
            std::memcpy(&word, data + i, sizeof(word));
            const std::uint8_t value = data[i - 1];
            if (word == value * 0x01010101U) {
                std::size_t length = kShortestRun;
                const std::size_t most = std::min(kLongestRun, end - i);
                while (length < most && data[i + length] == value) {
                    ++length;
                }
                *to++ = static_cast<std::uint16_t>(256 + length);
                ++counts[kLengthCodes[length].symbol];
                i += length;
                continue;
            }
        }
        const std::uint8_t value = data[i];
        *to++ = value;
        ++literals[i & 1U][value];
        ++i;
    }
    for (std::size_t value = 0; value < 256; ++value) {
        counts[value] += literals[0][value] + literals[1][value];
    }
    return static_cast<std::size_t>(to - tokens);
}

/// The code lengths as a code length sequence (RFC 1951 3.2.7); runs of zeros only, which is where they are long.
class Header {
public:
    explicit Header(std::span<const std::uint8_t> lengths) {
        std::array<std::uint32_t, 19> counts{};
        for (std::size_t i = 0; i < lengths.size();) {
            std::size_t zeros = 0;
            while (i + zeros < lengths.size() && lengths[i + zeros] == 0 && zeros < 138) {
                ++zeros;
            }
            Item item{lengths[i], 0, 0};
            if (zeros >= 11) {
                item = {18, 7, static_cast<std::uint8_t>(zeros - 11)};
            } else if (zeros >= 3) {
                item = {17, 3, static_cast<std::uint8_t>(zeros - 3)};
            } else {
                zeros = 1;
            }
            items_[count_++] = item;
            ++counts[item.symbol];
            i += zeros;
        }
        std::array<std::uint8_t, 19> code_lengths{};
        huffman_lengths(counts, 7, code_lengths);
        assign_codes(code_lengths, codes_);
        while (kOrder[used_ - 1] < 19 && codes_[kOrder[used_ - 1]].length == 0 && used_ > 4) {
            --used_;
        }
    }

    [[nodiscard]] std::size_t bits() const noexcept {
        std::size_t sum = 14 + 3 * used_;
        for (std::size_t i = 0; i < count_; ++i) {
            sum += codes_[items_[i].symbol].length + items_[i].extra_bits;
        }
        return sum;
    }

    void write(BitWriter& to) const noexcept {
        to.put(kSymbols - 257, 5);
        to.put(0, 5);  // one distance code
        to.put(used_ - 4, 4);
        for (std::size_t i = 0; i < used_; ++i) {
            to.put(codes_[kOrder[i]].length, 3);
            to.flush();
        }
        for (std::size_t i = 0; i < count_; ++i) {
            const Item& item = items_[i];
            to.put(codes_[item.symbol].bits, codes_[item.symbol].length);
            to.put(item.extra, item.extra_bits);
            to.flush();
        }
    }

private:
    struct Item {
        std::uint8_t symbol;
        std::uint8_t extra_bits;
        std::uint8_t extra;
    };
    static constexpr std::array<std::uint8_t, 19> kOrder{16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                         11, 4,  12, 3, 13, 2, 14, 1, 15};
    std::array<Item, kSymbols + 1> items_{};
    std::size_t count_ = 0;
    std::array<Code, 19> codes_{};
    std::size_t used_ = 19;
};

void write_tokens(std::span<const std::uint16_t> tokens, std::span<const Code> codes, BitWriter& to) noexcept {
    // Runs carry their extra bits and the distance code 0 (distance 1, one bit) in one entry.
    std::array<Code, 256 + kLongestRun + 1> table{};
    for (std::size_t value = 0; value < 256; ++value) {
        table[value] = codes[value];
    }
    for (std::size_t length = kShortestRun; length <= kLongestRun; ++length) {
        const LengthCode& code = kLengthCodes[length];
        const Code& huffman = codes[code.symbol];
        table[256 + length] = {huffman.bits | std::uint32_t{code.extra} << huffman.length,
                               huffman.length + code.extra_bits + 1};
    }
    std::size_t i = 0;
    for (; i + 2 <= tokens.size(); i += 2) {
        const Code a = table[tokens[i]];
        const Code b = table[tokens[i + 1]];
        to.put(a.bits, a.length);
        to.put(b.bits, b.length);  // at most 2 x 21 bits and 7 left over
        to.flush();
    }
    for (; i < tokens.size(); ++i) {
        to.put(table[tokens[i]].bits, table[tokens[i]].length);
        to.flush();
    }
    to.put(codes[256].bits, codes[256].length);
    to.flush();
}

void write_block(std::span<const std::uint8_t> in, std::size_t begin, std::size_t end, std::uint16_t* tokens,
                 BitWriter& to) {
    const bool last = end == in.size();
    std::array<std::uint32_t, kSymbols> counts{};
    counts[256] = 1;
    const std::size_t count = tokenize(in, begin, end, tokens, counts);
    std::array<std::uint8_t, kSymbols + 1> lengths{};
    huffman_lengths(counts, 15, std::span(lengths).first(kSymbols));
    lengths[kSymbols] = 1;  // the distance code
    const Header header(lengths);
    std::size_t bits = 3 + header.bits();
    for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
        const std::size_t extra = symbol < 265 || symbol > 284 ? 0 : (symbol - 261) / 4;
        bits += counts[symbol] * (lengths[symbol] + extra + (symbol > 256 ? 1U : 0U));
    }
    if (bits >= 8 * (end - begin + 5)) {
        to.put(last ? 1 : 0, 3);
        to.align();
        const auto size = static_cast<std::uint32_t>(end - begin);
        to.put(size | (~size & 0xFFFFU) << 16U, 32);
        to.flush();
        to.copy(in.subspan(begin, end - begin));
        return;
    }
    to.put(last ? 5 : 4, 3);
    header.write(to);
    std::array<Code, kSymbols> codes{};
    assign_codes(std::span(lengths).first(kSymbols), codes);
    write_tokens({tokens, count}, codes, to);
}

}  // namespace

void huffman_lengths(std::span<const std::uint32_t> counts, unsigned longest, std::span<std::uint8_t> lengths) {
    struct Node {
        std::uint64_t weight;
        std::uint32_t parent;
    };
    std::ranges::fill(lengths, std::uint8_t{0});
    std::array<std::uint64_t, 512> leaves{};  // count and symbol: the order is total
    std::size_t n = 0;
    for (std::size_t symbol = 0; symbol < counts.size(); ++symbol) {
        if (counts[symbol] != 0) {
            leaves[n++] = std::uint64_t{counts[symbol]} << 16U | symbol;
        }
    }
    std::sort(leaves.begin(), leaves.begin() + static_cast<std::ptrdiff_t>(n));
    if (n == 1) {
        lengths[leaves[0] & 0xFFFFU] = 1;
        return;
    }
    std::array<Node, 1024> nodes{};
    for (std::size_t i = 0; i < n; ++i) {
        nodes[i].weight = leaves[i] >> 16U;
    }
    std::size_t leaf = 0;
    std::size_t inner = n;
    for (std::size_t next = n; next < 2 * n - 1; ++next) {  // two queues, both in order
        for (int child = 0; child < 2; ++child) {
            const bool take_leaf = leaf < n && (inner >= next || nodes[leaf].weight <= nodes[inner].weight);
            const std::size_t taken = take_leaf ? leaf++ : inner++;
            nodes[next].weight += nodes[taken].weight;
            nodes[taken].parent = static_cast<std::uint32_t>(next);
        }
    }
    std::array<std::uint32_t, 64> per_length{};
    std::array<std::uint8_t, 1024> depth{};
    for (std::size_t i = 2 * n - 2; i-- > 0;) {
        depth[i] = static_cast<std::uint8_t>(depth[nodes[i].parent] + 1);
        if (i < n) {
            ++per_length[std::min<unsigned>(depth[i], longest)];
        }
    }
    // Too long codes were cut to the limit: lengthen others until the code exists again (Kraft).
    std::uint64_t total = 0;
    for (unsigned length = 1; length <= longest; ++length) {
        total += std::uint64_t{per_length[length]} << (longest - length);
    }
    while (total > (std::uint64_t{1} << longest)) {
        --per_length[longest];
        for (unsigned length = longest - 1; length > 0; --length) {
            if (per_length[length] != 0) {
                --per_length[length];
                per_length[length + 1] += 2;
                break;
            }
        }
        --total;
    }
    std::size_t i = n;
    for (unsigned length = 1; length <= longest; ++length) {  // the most frequent symbols come last in `leaves`
        for (std::uint32_t k = 0; k < per_length[length]; ++k) {
            lengths[leaves[--i] & 0xFFFFU] = static_cast<std::uint8_t>(length);
        }
    }
}

void append_zlib_stream(std::span<const std::uint8_t> in, std::vector<std::byte>& out) {
    const std::size_t start = out.size();
    const std::size_t blocks = std::max<std::size_t>(1, (in.size() + kBlock - 1) / kBlock);
    out.resize(start + in.size() + 16 * blocks + 64);
    out[start] = std::byte{0x78};
    out[start + 1] = std::byte{0x01};
    BitWriter to(out.data() + start + 2);
    std::vector<std::uint16_t> tokens(std::min(in.size(), kBlock) + 1);
    for (std::size_t block = 0; block < blocks; ++block) {
        write_block(in, block * kBlock, std::min(in.size(), (block + 1) * kBlock), tokens.data(), to);
    }
    to.align();
    std::size_t at = static_cast<std::size_t>(to.position() - out.data());
    uLong sum = adler32(0, nullptr, 0);
    for (std::size_t done = 0; done < in.size(); done += 1U << 30U) {
        const auto part = static_cast<uInt>(std::min<std::size_t>(in.size() - done, 1U << 30U));
        sum = adler32(sum, in.data() + done, part);
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        out[at++] = static_cast<std::byte>(sum >> shift & 0xFFU);
    }
    out.resize(at);
}

}  // namespace hilum::pixel
