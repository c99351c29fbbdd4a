// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/private_dictionary.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace hilum::dicom {
namespace {

struct Creator {
    std::string_view name;
    std::uint16_t first;  ///< of its keys; they end where those of the next creator begin
};

// Keys are tags, in which what does not count is zero: the block (bits 8-15), or the block and the group's low byte.
// Neither can be taken for the other or for a whole tag, because real blocks are not zero and real groups are odd.
#include "private_dictionary.inc"

static_assert(std::size(kKeys) == std::size(kVrOfKey) && std::size(kKeys) < 0xFFFF);

}  // namespace

Vr private_vr(std::string_view creator, Tag tag) noexcept {
    const Creator* owner = std::lower_bound(std::begin(kCreators), std::end(kCreators), creator,
                                            [](const Creator& row, std::string_view name) { return row.name < name; });
    if (owner == std::end(kCreators) || owner->name != creator) {
        return Vr::UN;
    }
    const Creator* next = owner + 1;
    const std::uint32_t* first = kKeys + owner->first;
    const std::uint32_t* last = next == std::end(kCreators) ? std::end(kKeys) : kKeys + next->first;
    for (const std::uint32_t mask : {0xFFFFFFFFU, 0xFFFF00FFU, 0xFF0000FFU}) {
        const std::uint32_t* found = std::lower_bound(first, last, tag.value & mask);
        if (found != last && *found == (tag.value & mask)) {
            return kVrs[kVrOfKey[found - kKeys]];
        }
    }
    return Vr::UN;
}

}  // namespace hilum::dicom
