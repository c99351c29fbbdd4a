// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"
#include "hilum/checksum.hpp"
#include "hilum/cpu.hpp"

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

std::vector<std::byte> noise(std::size_t count) {
    std::vector<std::byte> data(count);
    unsigned state = 12345;
    for (std::byte& b : data) {
        state = state * 1664525U + 1013904223U;
        b = static_cast<std::byte>(state >> 24U);
    }
    return data;
}

}  // namespace

HILUM_TEST("crc32c of the vectors in RFC 3720 B.4", {
    HILUM_CHECK(hilum::crc32c(bytes_of("123456789")) == 0xE3069283U);
    HILUM_CHECK(hilum::crc32c(bytes_of(std::string(32, '\0'))) == 0x8A9136AAU);
    HILUM_CHECK(hilum::crc32c(bytes_of(std::string(32, '\xFF'))) == 0x62A8AB43U);
    HILUM_CHECK(hilum::crc32c({}) == 0U);
});

HILUM_TEST("every variant of crc32c gives the same, for all lengths and alignments", {
    const std::vector<std::byte> data = noise(3 * 8192 * 2 + 1000);
    for (std::size_t length : {std::size_t{1}, std::size_t{7}, std::size_t{8}, std::size_t{255}, std::size_t{767},
                               std::size_t{768}, std::size_t{769}, std::size_t{5000}, std::size_t{24575},
                               std::size_t{24576}, std::size_t{24577}, data.size() - 8}) {
        for (std::size_t offset = 0; offset < 8; ++offset) {
            const std::span<const std::byte> part(data.data() + offset, length);
            const std::uint32_t scalar = hilum::detail::crc32c_scalar(part, 77);
            HILUM_CHECK(hilum::crc32c(part, 77) == scalar);
            if (hilum::cpu::features().sse42) {
                HILUM_CHECK(hilum::detail::crc32c_sse42(part, 77) == scalar);
            }
        }
    }
});

HILUM_TEST("crc32c in pieces is crc32c of the whole", {
    const std::vector<std::byte> data = noise(60000);
    const std::span<const std::byte> all(data);
    hilum::Crc32c crc;
    crc.update(all.first(1));
    crc.update(all.subspan(1, 30000));
    crc.update(all.subspan(30001));
    HILUM_CHECK(crc.value() == hilum::crc32c(all));
});

HILUM_TEST("sha256 of the vectors in FIPS 180-4, whole and in pieces", {
    const auto digest = hilum::sha256(bytes_of("abc"));
    const unsigned char expected[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                      0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                      0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    HILUM_CHECK(std::memcmp(digest.data(), expected, sizeof expected) == 0);
    hilum::Sha256 stream;
    stream.update(bytes_of("a"));
    (void)stream.digest();
    stream.update(bytes_of("bc"));
    HILUM_CHECK(stream.digest() == digest);
});

HILUM_TEST_MAIN
