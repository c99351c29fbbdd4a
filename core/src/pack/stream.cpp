// SPDX-License-Identifier: Apache-2.0
// Records that do not fit into memory.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "hilum/pack/writer.hpp"

namespace hilum::pack {
namespace {

constexpr std::uint64_t kFlushBytes = 8ULL << 20;  // start writing out so that the cache never holds much of it
constexpr std::size_t kPieceBytes = 1ULL << 20;

}  // namespace

void PackWriter::begin(std::uint16_t kind, std::uint32_t flags, std::uint64_t received_ns, std::uint64_t length) {
    require_usable();
    if (length > kMaxPayloadBytes) {
        throw Error(Errc::limit_exceeded, "the record is larger than a pack record may be");
    }
    stream_.emplace();
    stream_->header = next_header(end_);
    stream_->header.kind = kind;
    stream_->header.flags = flags;
    stream_->header.received_ns = received_ns;
    stream_->header.payload_length = length;
}

void PackWriter::write(std::span<const std::byte> data) {
    if (!stream_) {
        throw Error(Errc::invalid_argument, "no record has been begun");
    }
    if (data.size() > stream_->header.payload_length - stream_->written) {
        cancel();
        throw Error(Errc::out_of_range, "more bytes than the record was announced with");
    }
    stream_->sums.update(data);
    stream_->sha.update(data);
    const std::uint64_t at = end_ + kRecordHeaderBytes + stream_->written;
    std::vector<iovec> pieces{{const_cast<std::byte*>(data.data()), data.size()}};
    write_or_cut(pieces, at);
    stream_->written += data.size();
    if (stream_->written - stream_->flushed >= kFlushBytes) {
        start_write_out(file_.get(), end_ + kRecordHeaderBytes + stream_->flushed, stream_->written - stream_->flushed);
        stream_->flushed = stream_->written;
    }
}

Placed PackWriter::finish() {
    if (!stream_) {
        throw Error(Errc::invalid_argument, "no record has been begun");
    }
    RecordHeader& header = stream_->header;
    if (stream_->written != header.payload_length) {
        cancel();
        throw Error(Errc::truncated, "fewer bytes than the record was announced with");
    }
    stream_->sums.finish();
    header.payload_crc = stream_->sums.crc();
    header.table_crc = stream_->sums.table_crc();
    header.sha256 = stream_->sha.digest();
    // Table and padding, with the payload: all of the file but the header.
    const std::uint64_t extent = record_extent(header.payload_length);
    std::vector<std::byte> rest(stream_->sums.table().begin(), stream_->sums.table().end());
    rest.resize(static_cast<std::size_t>(extent - kRecordHeaderBytes - header.payload_length));
    std::vector<iovec> pieces{{rest.data(), rest.size()}};
    write_or_cut(pieces, end_ + kRecordHeaderBytes + header.payload_length);
    flush();
    std::array<std::byte, kRecordHeaderBytes> bytes{};
    encode_record_header(header, bytes);
    pieces = {{bytes.data(), bytes.size()}};
    write_or_cut(pieces, end_);
    flush();
    const Placed placed{end_ + kRecordHeaderBytes, header.payload_length, header.sequence, header.payload_crc,
                        header.sha256};
    end_ += extent;
    sequence_ = header.sequence;
    stream_.reset();
    return placed;
}

void PackWriter::cancel() {
    if (stream_) {
        stream_.reset();
        cut_back();
    }
}

Placed PackWriter::append_from(int fd, std::uint16_t kind, std::uint32_t flags, std::uint64_t received_ns,
                               std::uint64_t length) {
    begin(kind, flags, received_ns, length);
    const auto piece = std::make_unique_for_overwrite<std::byte[]>(kPieceBytes);
    for (std::uint64_t left = length; left != 0;) {
        const ssize_t got =
            ::read(fd, piece.get(), static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, left)));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            const int number = errno;
            cancel();
            throw system_error("cannot read the object to be stored", number);
        }
        if (got == 0) {
            break;
        }
        write({piece.get(), static_cast<std::size_t>(got)});
        left -= static_cast<std::uint64_t>(got);
    }
    return finish();
}

}  // namespace hilum::pack
