// SPDX-License-Identifier: Apache-2.0
// One scan of JPEG-LS: samples of up to four components from its bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hilum::codec::jpeg_ls {

/// Preset coding parameters (C.2.4.1.1); zero stands for the default.
struct Preset {
    unsigned maximum = 0;  ///< MAXVAL
    unsigned t1 = 0;
    unsigned t2 = 0;
    unsigned t3 = 0;
    unsigned reset = 0;
};

enum class Interleave : std::uint8_t { none, line, sample };

struct Scan {
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    unsigned components = 1;  ///< of this scan
    unsigned near = 0;
    Interleave interleave = Interleave::none;
    Preset preset;                   ///< whole: complete() has been called
    std::uint32_t restart_rows = 0;  ///< lines between restart markers; 0 without
    // Where samples go: the first component's first sample.
    std::byte* out = nullptr;
    std::size_t container = 1;  ///< bytes of one sample in `out`
    std::size_t step = 1;       ///< samples from one pixel to the next
};

/// Defaults for what is zero. False when the parameters cannot be (C.2.4.1.1).
[[nodiscard]] bool complete(Preset& preset, unsigned precision, unsigned near) noexcept;

enum class Outcome : std::uint8_t { good, ended, damaged, no_restart };

struct Result {
    Outcome outcome = Outcome::good;
    std::size_t at = 0;  ///< bytes of `data` that were read
};

/// Decodes until the last line; `data` begins behind the scan header.
[[nodiscard]] Result decode_scan(std::span<const std::byte> data, const Scan& scan);

}  // namespace hilum::codec::jpeg_ls
