// SPDX-License-Identifier: Apache-2.0
// Deflated data sets (PS3.5 section A.5): a raw deflate stream after the meta, at most one NUL of padding behind it.
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "hilum/dicom/layout.hpp"
#include "hilum/error.hpp"
#include "hilum/limits.hpp"

namespace hilum::dicom {
namespace {

using Bytes = std::span<const std::byte>;

constexpr int kRawDeflate = -15;
constexpr int kZlib = 15;
constexpr std::size_t kStep = 64U << 10U;  // output grows by what was inflated, never by what a length says

class Inflater {
public:
    explicit Inflater(int window_bits) {
        if (inflateInit2(&stream_, window_bits) != Z_OK) {
            throw Error(Errc::out_of_memory, "no memory to inflate");
        }
    }
    ~Inflater() { inflateEnd(&stream_); }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    /// Append to `out`, which may grow up to `limit` bytes.
    void run(Bytes input, std::size_t base, std::vector<std::byte>& out, std::size_t limit) {
        std::array<std::byte, kStep> step;
        int status = Z_OK;
        std::size_t consumed = 0;
        do {
            const std::size_t chunk = std::min<std::size_t>(input.size() - consumed, 1U << 30U);
            stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data() + consumed));
            stream_.avail_in = static_cast<uInt>(chunk);
            stream_.next_out = reinterpret_cast<Bytef*>(step.data());
            stream_.avail_out = static_cast<uInt>(step.size());
            status = inflate(&stream_, Z_NO_FLUSH);
            const std::size_t read = chunk - stream_.avail_in;
            const std::size_t written = step.size() - stream_.avail_out;
            consumed += read;
            if (written > limit - out.size()) {
                throw Error(Errc::limit_exceeded, "the deflated data set is larger than allowed", base + consumed);
            }
            out.insert(out.end(), step.data(), step.data() + written);
            if (status == Z_BUF_ERROR || (status == Z_OK && read == 0 && written == 0)) {
                throw Error(Errc::truncated, "the deflated data set is cut", base + consumed);
            }
            if (status != Z_OK && status != Z_STREAM_END) {
                throw Error(Errc::bad_deflate, "the deflated data set does not inflate", base + consumed);
            }
        } while (status != Z_STREAM_END);
    }

private:
    z_stream stream_{};
};

/// The syntax that the inflated data set has; never longer than the one it replaces.
std::string_view inflated_syntax(std::string_view deflated) noexcept {
    if (deflated == "1.2.840.10008.1.2.4.95") {
        return "1.2.840.10008.1.2.4.94";
    }
    if (deflated == "1.2.840.10008.1.2.4.205") {
        return "1.2.840.10008.1.2.4.204";
    }
    return kExplicitLittleEndian;
}

}  // namespace

std::vector<std::byte> inflate_object(Bytes data, const ObjectLayout& layout, std::size_t max_bytes) {
    if (!layout.deflated) {
        return {data.begin(), data.end()};
    }
    const Bytes stream = data.subspan(layout.dataset_offset);
    const std::size_t limit =
        layout.dataset_offset + static_cast<std::size_t>(std::min<std::uint64_t>(limits::kMaxInflatedBytes, max_bytes));
    std::vector<std::byte> out(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(layout.dataset_offset));
    if (!out.empty() && !layout.transfer_syntax_uid.empty()) {
        const auto* uid = reinterpret_cast<const std::byte*>(layout.transfer_syntax_uid.data());
        std::byte* at = out.data() + (uid - data.data());
        const std::string_view replacement = inflated_syntax(layout.transfer_syntax_uid);
        std::memset(at, 0, layout.transfer_syntax_uid.size());
        std::memcpy(at, replacement.data(), replacement.size());
    }
    // Some writers put a zlib header in front (RFC 1950: 0x78, and both bytes a multiple of 31). Raw, 0x78 would be a
    // stored block with ones as filling bits, which no encoder writes.
    const bool has_header = stream.size() >= 2 && stream[0] == std::byte{0x78} &&
                            (0x78U * 256U + std::to_integer<unsigned>(stream[1])) % 31U == 0;
    Inflater(has_header ? kZlib : kRawDeflate).run(stream, layout.dataset_offset, out, limit);
    return out;
}

}  // namespace hilum::dicom
