// SPDX-License-Identifier: Apache-2.0
// Space of a file given back to the file system.
#pragma once

#include <cstdint>

namespace hilum::index {

/// Makes a hole of a range of an open file, which keeps its size. False where the file system cannot; throws
/// Errc::io_error for other failures.
bool punch_hole(int descriptor, std::uint64_t offset, std::uint64_t length);

}  // namespace hilum::index
