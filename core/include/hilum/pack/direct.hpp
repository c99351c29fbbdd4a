// SPDX-License-Identifier: Apache-2.0
// Writing past the page cache (O_DIRECT): what is imported or received by the gigabyte is seldom read next, and making
// room for it in the cache costs several times the write. ADR 0002 has the figures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "hilum/pack/io.hpp"

namespace hilum::pack {

/// Appends to one file by blocks, out of an aligned buffer of its own. Thread-compatible.
class DirectOutput {
public:
    static constexpr std::uint64_t kBlock = 4096;        ///< of the largest sectors there are
    static constexpr std::uint64_t kLeast = 1ULL << 20;  ///< less than this goes through the page cache
    static constexpr std::uint64_t kBuffer = 4ULL << 20;

    /// As write_all, for pieces that end the file: whole blocks go to the disk directly, with the bytes that the file
    /// already has in the first of them; the rest of the last block goes through the page cache. All of it does where
    /// the file system has no direct writing. A flush is needed behind it all the same.
    [[nodiscard]] int append(Io& io, int fd, std::vector<iovec>& pieces, std::uint64_t offset);

private:
    struct Aligned {
        void operator()(std::byte* bytes) const noexcept { ::operator delete[](bytes, std::align_val_t{kBlock}); }
    };

    [[nodiscard]] int write_blocks(Io& io, int fd, std::size_t bytes, std::uint64_t offset);

    std::unique_ptr<std::byte[], Aligned> buffer_;
    bool possible_ = true;
};

}  // namespace hilum::pack
