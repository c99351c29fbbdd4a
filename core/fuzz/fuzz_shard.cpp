// SPDX-License-Identifier: Apache-2.0
// Any bytes as the shard of a small volume, with a checksum that fits where the first byte says so: it is refused, or
// every voxel can be read.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "hilum/checksum.hpp"
#include "hilum/error.hpp"
#include "hilum/volume/bricks.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size < 3) {
        return 0;
    }
    const hilum::volume::Layout layout{{1U + bytes[1] % 40U, 3, 33}, hilum::SampleType::u8};
    std::vector<std::byte> shard(size - 2);
    std::memcpy(shard.data(), bytes + 2, shard.size());
    const std::size_t index = (layout.shape[0] > 32 ? 4U : 2U) * 16U;
    if ((bytes[0] & 1U) != 0 && shard.size() >= index + 4) {
        const std::uint32_t fits = hilum::crc32c(std::span(shard).subspan(shard.size() - 4 - index, index));
        std::memcpy(shard.data() + shard.size() - 4, &fits, sizeof(fits));
    }
    const int fd = ::memfd_create("shard", 0);
    if (fd < 0 || ::write(fd, shard.data(), shard.size()) != static_cast<ssize_t>(shard.size())) {
        std::abort();
    }
    try {
        const auto bricks = hilum::volume::Bricks::map("/proc/self/fd/" + std::to_string(fd), layout, {});
        std::vector<std::byte> out(std::size_t{layout.shape[0]} * 3 * 33);
        hilum::volume::read_box(bricks.view(), {{0, 0, 0}, layout.shape}, out, 1);
    } catch (const hilum::Error&) {
    }
    ::close(fd);
    return 0;
}
