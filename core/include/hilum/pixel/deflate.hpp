// SPDX-License-Identifier: Apache-2.0
// A small deflate encoder (RFC 1951) for filtered image rows: runs of one byte and dynamic Huffman codes, nothing else.
// The same input gives the same bytes on every machine: no zlib version, no processor, no floating point has a say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hilum::pixel {

/// Appends a whole zlib stream (RFC 1950) to `out`.
void append_zlib_stream(std::span<const std::uint8_t> in, std::vector<std::byte>& out);

/// Code lengths (0 for symbols that do not occur) of a Huffman code for `counts`, none longer than `longest`.
/// At least one count must not be 0; 2^longest must not be less than the number of symbols.
void huffman_lengths(std::span<const std::uint32_t> counts, unsigned longest, std::span<std::uint8_t> lengths);

}  // namespace hilum::pixel
