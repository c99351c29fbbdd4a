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

PrivateOwner find_private_owner(std::string_view creator) noexcept {
    const Creator* owner = std::lower_bound(std::begin(kCreators), std::end(kCreators), creator,
                                            [](const Creator& row, std::string_view name) { return row.name < name; });
    if (owner == std::end(kCreators) || owner->name != creator) {
        return {};
    }
    const Creator* next = owner + 1;
    return {owner->first, next == std::end(kCreators) ? static_cast<std::uint16_t>(std::size(kKeys)) : next->first};
}

Vr private_vr(PrivateOwner owner, Tag tag) noexcept {
    const std::uint32_t* first = kKeys + owner.first;
    const std::uint32_t* last = kKeys + owner.last;
    for (const std::uint32_t mask : {0xFFFFFFFFU, 0xFFFF00FFU, 0xFF0000FFU}) {
        const std::uint32_t* found = std::lower_bound(first, last, tag.value & mask);
        if (found != last && *found == (tag.value & mask)) {
            return kVrs[kVrOfKey[found - kKeys]];
        }
    }
    return Vr::UN;
}

}  // namespace hilum::dicom
