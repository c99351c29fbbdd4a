// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include <random>
#include <vector>

#include "check.hpp"
#include "hilum/pixel/deflate.hpp"

namespace {

using namespace hilum::pixel;

bool inflates_to(const std::vector<std::uint8_t>& in) {
    std::vector<std::byte> packed;
    append_zlib_stream(in, packed);
    std::vector<std::uint8_t> back(in.size() + 1);
    auto size = static_cast<uLongf>(back.size());
    if (uncompress(back.data(), &size, reinterpret_cast<const Bytef*>(packed.data()),
                   static_cast<uLong>(packed.size())) != Z_OK) {
        return false;
    }
    back.resize(size);
    return back == in;
}

}  // namespace

HILUM_TEST("zlib inflates our streams", {
    std::mt19937 random(7);
    const std::vector<std::size_t> sizes{0, 1, 2, 3, 4, 5, 257, 258, 259, 260, 261, 518, 65534, 65535, 65536, 200000};
    for (const std::size_t size : sizes) {
        for (unsigned kind = 0; kind < 4; ++kind) {
            std::vector<std::uint8_t> in(size);
            for (std::size_t i = 0; i < size; ++i) {
                const auto noise = static_cast<unsigned>(random());
                unsigned value = 0;  // flat, noise, runs with breaks, two values
                if (kind == 1) {
                    value = noise;
                } else if (kind == 2) {
                    value = noise % 7 == 0 ? noise >> 8U : 3U;
                } else if (kind == 3) {
                    value = noise & 1U;
                }
                in[i] = static_cast<std::uint8_t>(value);
            }
            HILUM_CHECK(inflates_to(in));
        }
    }
});

HILUM_TEST("long codes are shortened to complete ones", {
    std::vector<std::uint32_t> counts(30, 1);  // Fibonacci: the optimal code has 29 bits
    for (std::size_t i = 2; i < counts.size(); ++i) {
        counts[i] = counts[i - 1] + counts[i - 2];
    }
    for (const unsigned longest : {5U, 7U, 15U}) {
        std::vector<std::uint8_t> lengths(counts.size());
        huffman_lengths(counts, longest, lengths);
        std::uint64_t sum = 0;
        for (const std::uint8_t length : lengths) {
            HILUM_CHECK(length >= 1 && length <= longest);
            sum += std::uint64_t{1} << (longest - length);
        }
        HILUM_CHECK(sum == std::uint64_t{1} << longest);
    }
});

HILUM_TEST_MAIN
