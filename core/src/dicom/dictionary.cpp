// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/dictionary.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>

namespace hilum::dicom {
namespace {

struct Repeater {
    std::uint32_t mask;
    std::uint32_t value;
    Vr vr;
};

#include "dictionary.inc"

static_assert(std::size(kTags) == std::size(kVrOfTag));
constexpr std::size_t kTagCount = std::size(kTags);

// First entry of groups 0000 to 0080, where the elements of real data sets sit: a search among hundreds, not thousands.
constexpr std::size_t kBuckets = 0x81;

constexpr std::array<std::uint16_t, kBuckets + 1> make_buckets() noexcept {
    static_assert(kTagCount < 0xFFFF);
    std::array<std::uint16_t, kBuckets + 1> first{};
    std::size_t at = 0;
    for (std::size_t bucket = 0; bucket <= kBuckets; ++bucket) {
        while (at < kTagCount && (kTags[at] >> 16U) < bucket) {
            ++at;
        }
        first[bucket] = static_cast<std::uint16_t>(at);
    }
    return first;
}

// Groups 0000 to 0080 have a bucket each; what is above is searched in the rest of the table.
constexpr auto kFirstOfGroup = make_buckets();

}  // namespace

Vr dictionary_vr(Tag tag) noexcept {
    const std::size_t group = tag.group();
    const std::uint32_t* first = kTags + (group < kBuckets ? kFirstOfGroup[group] : kFirstOfGroup[kBuckets]);
    const std::uint32_t* last = group < kBuckets ? kTags + kFirstOfGroup[group + 1] : kTags + kTagCount;
    const std::uint32_t* found = std::lower_bound(first, last, tag.value);
    if (found != last && *found == tag.value) {
        return kVrs[kVrOfTag[found - kTags]];
    }
    if (tag.is_group_length()) {
        return Vr::UL;
    }
    if (tag.is_private()) {
        return tag.is_private_creator() ? Vr::LO : Vr::UN;
    }
    for (const Repeater& repeater : kRepeaters) {
        if ((tag.value & repeater.mask) == repeater.value) {
            return repeater.vr;
        }
    }
    return Vr::UN;
}

}  // namespace hilum::dicom
