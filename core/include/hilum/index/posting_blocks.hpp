// SPDX-License-Identifier: Apache-2.0
// Posting lists as blocks (docs/formats/index.md, "Match keys"): sorted order keys of twelve bytes, 2^48-1 less the
// order and 2^48-1 less the id, both big endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hilum::index {

inline constexpr std::size_t kOrderKey = 12;
inline constexpr std::size_t kMaxPostings = 256;  ///< of one block

/// One block: the first order key is in its database key, the others are in `value`.
struct PostingBlock {
    std::string first;
    std::string value;
};

/// Number of order keys of a block.
[[nodiscard]] std::size_t postings_in(std::string_view value) noexcept;

/// Appends the order keys of a block, `most` (at least one) at most. Throws Errc::bad_record where it is not one or its
/// keys are not in order.
void decode_postings(std::string_view first, std::string_view value, std::string& out, std::size_t most = kMaxPostings);

/// Blocks of sorted order keys without repetition.
[[nodiscard]] std::vector<PostingBlock> encode_postings(std::string_view orders);

/// Sorted order keys of `orders` with those of `add` and without those of `remove`; all sorted.
[[nodiscard]] std::string merge_postings(std::string_view orders, std::string_view add, std::string_view remove);

/// Order keys that are in at least one list of every group. Lists are sorted.
[[nodiscard]] std::string intersect_postings(const std::vector<std::vector<std::string_view>>& groups);

/// Number of sorted order keys that are below `horizon`.
[[nodiscard]] std::size_t postings_before(std::string_view orders, std::string_view horizon) noexcept;

}  // namespace hilum::index
