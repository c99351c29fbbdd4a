// SPDX-License-Identifier: Apache-2.0
// Reading a mapped file that somebody may cut short meanwhile.
#pragma once

#include <cstddef>
#include <span>

namespace hilum::dicom {

/// While one exists, this thread reads zeros where the file behind `mapped` has ended or cannot be read, instead of the
/// process being ended by SIGBUS; broken() then says so, and nothing that was read may be used. One at a time per
/// thread. The handler of SIGBUS that it installs stays, and passes all other faults on to the one before it.
class MapGuard {
public:
    /// `mapped` is a whole mapping: it begins at a page, and is unmapped after this is gone.
    explicit MapGuard(std::span<const std::byte> mapped) noexcept;
    ~MapGuard();
    MapGuard(const MapGuard&) = delete;
    MapGuard& operator=(const MapGuard&) = delete;

    [[nodiscard]] bool broken() const noexcept;
};

}  // namespace hilum::dicom
