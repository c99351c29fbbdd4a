// SPDX-License-Identifier: Apache-2.0
// Short texts and attribute lists without what they repeat (docs/formats/index.md, "Stored form").
//
// A text is a head byte and what it calls for. Texts of four bytes and more are remembered while a record is written or
// read, the last of more than 32 in the last place: later ones may repeat one whole or begin like it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hilum::index {

[[noreturn]] void throw_bad_packing();

void put_varint(std::uint64_t value, std::string& out);
void put_le(std::uint64_t value, std::size_t size, std::string& out);
void set_le(std::uint64_t value, std::size_t size, char* at) noexcept;
/// At most eight bytes, little endian.
[[nodiscard]] std::uint64_t load_le(std::string_view bytes) noexcept;

[[nodiscard]] constexpr std::uint64_t zigzag(std::uint64_t value) noexcept {
    return value << 1U ^ (value >> 63U != 0 ? ~std::uint64_t{0} : 0);
}
[[nodiscard]] constexpr std::uint64_t unzigzag(std::uint64_t value) noexcept {
    return value >> 1U ^ ((value & 1U) != 0 ? ~std::uint64_t{0} : 0);
}

inline constexpr std::size_t kRemembered = 32;
inline constexpr std::size_t kWorthRemembering = 4;

class PackedWriter {
public:
    explicit PackedWriter(std::string& out) noexcept : out_(out) {}

    /// `text` has to stay where it is until the last call.
    void text(std::string_view text);
    /// False, with nothing written, when it is not a well formed attribute list.
    bool list(std::string_view list);
    void number(std::uint64_t value) { put_varint(value, out_); }
    void mark(char byte) { out_.push_back(byte); }
    void unmark() { out_.pop_back(); }

private:
    void plain(std::string_view text);
    void remember(std::string_view text) noexcept;

    std::string& out_;
    std::array<std::string_view, kRemembered> seen_;
    std::size_t count_ = 0;
};

class PackedReader {
public:
    /// Texts are appended to `out` and repeated from there; `limit`: bytes that it may have in the end.
    PackedReader(std::string_view stored, const std::string& out, std::size_t limit) noexcept
        : rest_(stored), out_(out), base_(out.size()), limit_(limit) {}

    [[nodiscard]] std::string_view take(std::size_t size);
    [[nodiscard]] std::uint8_t byte() { return static_cast<std::uint8_t>(take(1)[0]); }
    [[nodiscard]] std::uint64_t varint();
    void text(std::string& out);
    void list(std::string& out);
    [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
    /// Throws unless everything was read.
    void finish() const;

private:
    struct Seen {
        std::size_t start = 0;
        std::size_t size = 0;
    };
    void plain(std::uint8_t head, std::string& out);
    [[nodiscard]] Seen seen(std::size_t i) const;
    void room(const std::string& out, std::size_t size) const;

    std::string_view rest_;
    const std::string& out_;
    std::size_t base_;
    std::size_t limit_;
    std::array<Seen, kRemembered> seen_;
    std::size_t count_ = 0;
};

}  // namespace hilum::index
