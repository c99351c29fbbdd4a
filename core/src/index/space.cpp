// SPDX-License-Identifier: Apache-2.0
#include "hilum/index/space.hpp"

#include <fcntl.h>

#include <cerrno>
#include <system_error>

#include "hilum/error.hpp"

namespace hilum::index {

bool punch_hole(int descriptor, std::uint64_t offset, std::uint64_t length) {
    constexpr int kMode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    while (::fallocate(descriptor, kMode, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
        if (errno == EOPNOTSUPP || errno == ENOSYS) {
            return false;
        }
        if (errno != EINTR) {
            throw Error(Errc::io_error,
                        "space of the index cannot be given back: " + std::generic_category().message(errno));
        }
    }
    return true;
}

}  // namespace hilum::index
