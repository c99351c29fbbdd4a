// SPDX-License-Identifier: Apache-2.0
// Tables written by core/tools/make_charset_tables.py. 0 = no character.
#pragma once

#include <array>
#include <cstdint>

namespace hilum::dicom::charset {

/// Order = SINGLE_BYTE of the tool.
enum SingleByte : std::uint8_t {
    latin1,
    latin2,
    latin3,
    latin4,
    cyrillic,
    arabic,
    greek,
    hebrew,
    latin5,
    latin9,
    thai,
    kSingleByteSets,
};

struct Run {
    std::uint16_t first;  ///< number of the four-byte code, counted from 81308130
    std::uint16_t length;
    std::uint16_t point;  ///< code point of the first
};

inline constexpr std::size_t kRuns = 206;

extern const std::array<std::array<std::uint16_t, 128>, kSingleByteSets> kSingleByte;  ///< 80-FF
extern const std::array<std::uint16_t, 94 * 94> kJisX0208;
extern const std::array<std::uint16_t, 94 * 94> kJisX0212;
extern const std::array<std::uint16_t, 94 * 94> kKsX1001;
extern const std::array<std::uint16_t, 94 * 94> kGb2312;
extern const std::array<std::uint16_t, 126 * 190> kGb18030;  ///< lead 81-FE, trail 40-7E and 80-FE
extern const std::array<Run, kRuns> kGb18030Runs;            ///< ascending, below U+10000

}  // namespace hilum::dicom::charset
