// SPDX-License-Identifier: Apache-2.0
// Every kernel that moves samples, in the variant of this processor and in its scalar twin: the same bytes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "../src/codec/sample_kernels.hpp"

namespace {

using Bytes = std::vector<std::byte>;

template <typename Run>
void compare(std::size_t bytes, Run run) {
    Bytes expected(bytes);
    Bytes got(bytes);
    run(hilum::codec::kScalarSamples, expected.data());
    run(hilum::codec::sample_kernels(), got.data());
    if (expected != got) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // Exactly as long as each kernel may read, so that ASan sees a byte too many.
    const auto* all = reinterpret_cast<const std::byte*>(data);
    const auto first = [&](std::size_t bytes) { return Bytes(all, all + bytes); };
    const std::size_t third = size / 3;
    const Bytes a = first(third);
    const Bytes b(all + third, all + 2 * third);
    const Bytes c(all + 2 * third, all + 3 * third);
    compare(3 * third,
            [&](const auto& k, std::byte* out) { k.interleave_3(a.data(), b.data(), c.data(), third, out); });
    compare(2 * third, [&](const auto& k, std::byte* out) { k.merge_2(a.data(), b.data(), third, out); });
    const Bytes whole = first(size);
    compare(8 * size, [&](const auto& k, std::byte* out) { k.expand_bits(whole.data(), size, out); });
    const Bytes triples = first(size / 3 * 3);
    compare(size / 3 * 4, [&](const auto& k, std::byte* out) { k.expand_12(triples.data(), size / 3, out); });
    const Bytes words = first(size / 2 * 2);
    compare(size / 2 * 2, [&](const auto& k, std::byte* out) { k.swap_16(words.data(), size / 2, out); });
    compare(third / 2 * 6,
            [&](const auto& k, std::byte* out) { k.interleave_3_words(a.data(), b.data(), c.data(), third / 2, out); });
    const Bytes quads = first(size / 4 * 4);
    compare(size / 4 * 6, [&](const auto& k, std::byte* out) { k.expand_422(quads.data(), size / 4, out); });
    compare(size / 4 * 4, [&](const auto& k, std::byte* out) { k.swap_32(quads.data(), size / 4, out); });
    const unsigned shifts = size == 0 ? 0 : data[0];
    compare(size / 2 * 2, [&](const auto& k, std::byte* out) {
        std::copy(words.begin(), words.end(), out);
        k.shift_16(out, size / 2, shifts >= 128, shifts % 16, shifts / 16 % 16);
    });
    return 0;
}
