// SPDX-License-Identifier: Apache-2.0
// One scan of JPEG-LS, written.
#pragma once

#include <cstddef>
#include <span>

#include "scan.hpp"

namespace hilum::codec::jpeg_ls {

/// Bytes that a scan may need: no code is longer than LIMIT, 2 * (bits + max(8, bits)) bits (A.2.1, C.2.4.1.2), of
/// which FF may stand at most twice; a line may end in a run code.
[[nodiscard]] std::uint64_t scan_bound(std::uint32_t rows, std::uint64_t samples, unsigned bits) noexcept;

/// Encodes `samples`, those of a pixel beside each other, one component after the other in each row
/// (`Interleave::line`, or one component). `scan.container` is 1 or 2; what lies above Preset::maximum must be zero.
/// `scan.out`, `step` and `restart_rows` are not used. Returns the bytes written to `out`, which has scan_bound().
[[nodiscard]] std::size_t encode_scan(std::span<const std::byte> samples, const Scan& scan, std::byte* out);

}  // namespace hilum::codec::jpeg_ls
