// SPDX-License-Identifier: Apache-2.0
#include "charset_tables.hpp"

namespace hilum::dicom::charset {

const std::array<std::array<std::uint16_t, 128>, kSingleByteSets> kSingleByte{{
#include "charset_single_byte.inc"
}};
const std::array<std::uint16_t, 94 * 94> kJisX0208{{
#include "charset_jisx0208.inc"
}};
const std::array<std::uint16_t, 94 * 94> kJisX0212{{
#include "charset_jisx0212.inc"
}};
const std::array<std::uint16_t, 94 * 94> kKsX1001{{
#include "charset_ksx1001.inc"
}};
const std::array<std::uint16_t, 94 * 94> kGb2312{{
#include "charset_gb2312.inc"
}};
const std::array<std::uint16_t, 126 * 190> kGb18030{{
#include "charset_gb18030.inc"
}};
const std::array<Run, kRuns> kGb18030Runs{{
#include "charset_gb18030_ranges.inc"
}};

}  // namespace hilum::dicom::charset
