// SPDX-License-Identifier: Apache-2.0
// CRC-32C (RFC 3720 section 12.1) against torn and rotten bytes, SHA-256 (FIPS 180-4) as the identity of an object.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace hilum {

using Sha256Digest = std::array<std::byte, 32>;

/// CRC-32C of `data`, continued from `seed` (the CRC of what came before; 0 at the start).
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t seed = 0) noexcept;

/// SHA-256 in one go. Errors: out_of_memory.
[[nodiscard]] Sha256Digest sha256(std::span<const std::byte> data);

/// CRC-32C of a stream.
class Crc32c {
public:
    void update(std::span<const std::byte> data) noexcept { value_ = crc32c(data, value_); }
    [[nodiscard]] std::uint32_t value() const noexcept { return value_; }

private:
    std::uint32_t value_ = 0;
};

/// SHA-256 of a stream. Not thread-safe. Errors: out_of_memory.
class Sha256 {
public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::span<const std::byte> data);
    /// Of all bytes so far; more may follow.
    [[nodiscard]] Sha256Digest digest() const;

private:
    struct Context;
    std::unique_ptr<Context> context_;
};

namespace detail {

/// The variants of crc32c, for tests; the second only where cpu::features().sse42.
[[nodiscard]] std::uint32_t crc32c_scalar(std::span<const std::byte> data, std::uint32_t seed) noexcept;
[[nodiscard]] std::uint32_t crc32c_sse42(std::span<const std::byte> data, std::uint32_t seed) noexcept;

}  // namespace detail
}  // namespace hilum
