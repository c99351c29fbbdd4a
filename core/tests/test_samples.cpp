// SPDX-License-Identifier: Apache-2.0
// The kernels that move samples: against their definition, and every variant against the scalar one.
#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "../src/codec/sample_kernels.hpp"
#include "check.hpp"
#include "hilum/codec/native.hpp"

namespace {

using Bytes = std::vector<std::byte>;
using hilum::codec::kScalarSamples;
using hilum::codec::sample_kernels;
using hilum::codec::SampleKernels;

Bytes noise(std::size_t size, std::uint32_t seed) {
    std::mt19937 random(seed);
    Bytes bytes(size);
    for (std::byte& each : bytes) {
        each = static_cast<std::byte>(random());
    }
    return bytes;
}

template <typename Run>
bool same(std::size_t bytes, Run run) {
    Bytes expected(bytes + 1, std::byte{0xA5});
    Bytes got(bytes + 1, std::byte{0xA5});
    run(kScalarSamples, expected.data());
    run(sample_kernels(), got.data());
    return expected == got && got.back() == std::byte{0xA5};
}

}  // namespace

HILUM_TEST("variants give the bytes of the scalar one, whatever the length", {
    for (std::size_t size = 0; size < 200; ++size) {
        const Bytes a = noise(size, 1);
        const Bytes b = noise(size, 2);
        const Bytes c = noise(size, 3);
        HILUM_CHECK(same(3 * size, [&](const SampleKernels& k, std::byte* out) {
            k.interleave_3(a.data(), b.data(), c.data(), size, out);
        }));
        HILUM_CHECK(
            same(2 * size, [&](const SampleKernels& k, std::byte* out) { k.merge_2(a.data(), b.data(), size, out); }));
        HILUM_CHECK(
            same(8 * size, [&](const SampleKernels& k, std::byte* out) { k.expand_bits(a.data(), size, out); }));
        HILUM_CHECK(same(6 * size, [&](const SampleKernels& k, std::byte* out) {
            k.expand_422(noise(4 * size, 7).data(), size, out);
        }));
        const Bytes first = noise(2 * size, 8);
        const Bytes second = noise(2 * size, 9);
        const Bytes third = noise(2 * size, 10);
        HILUM_CHECK(same(6 * size, [&](const SampleKernels& k, std::byte* out) {
            k.interleave_3_words(first.data(), second.data(), third.data(), size, out);
        }));
        HILUM_CHECK(same(4 * size, [&](const SampleKernels& k, std::byte* out) {
            k.swap_32(noise(4 * size, 11).data(), size, out);
        }));
        for (unsigned shifts = 0; shifts < 32; ++shifts) {
            HILUM_CHECK(same(2 * size, [&](const SampleKernels& k, std::byte* out) {
                std::copy(first.begin(), first.end(), out);
                k.shift_16(out, size, shifts >= 16, shifts % 16, (shifts * 7) % 16);
            }));
        }
        const Bytes triples = noise(3 * size, 4);
        HILUM_CHECK(
            same(4 * size, [&](const SampleKernels& k, std::byte* out) { k.expand_12(triples.data(), size, out); }));
        const Bytes words = noise(2 * size, 5);
        HILUM_CHECK(
            same(2 * size, [&](const SampleKernels& k, std::byte* out) { k.swap_16(words.data(), size, out); }));
    }
});

HILUM_TEST("12-bit samples bit by bit, from either offset", {
    for (std::size_t count = 0; count < 70; ++count) {
        for (const unsigned offset : {0U, 4U}) {
            const Bytes packed = noise((offset + 12 * count + 7) / 8, 6);
            Bytes out(2 * count);
            hilum::codec::native::unpack_12(packed, offset, out);
            for (std::size_t i = 0; i < count; ++i) {
                unsigned expected = 0;
                for (unsigned bit = 0; bit < 12; ++bit) {
                    const std::size_t at = offset + 12 * i + bit;
                    expected |= ((static_cast<unsigned>(packed[at / 8]) >> (at % 8)) & 1U) << bit;
                }
                HILUM_CHECK(static_cast<unsigned>(out[2 * i]) + 256U * static_cast<unsigned>(out[2 * i + 1]) ==
                            expected);
            }
        }
    }
});

HILUM_TEST_MAIN
