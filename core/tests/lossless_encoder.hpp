// SPDX-License-Identifier: Apache-2.0
// A plain encoder of JPEG lossless (ISO/IEC 10918-1 Annex H), so that the decoder meets every predictor, precision,
// restart interval and point transform. Written from the standard, bit by bit, to share nothing with the decoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hilum::test {

struct LosslessImage {
    unsigned precision = 8;
    unsigned rows = 1;
    unsigned columns = 1;
    unsigned components = 1;
    std::vector<std::uint16_t> samples;  ///< interleaved
};

struct LosslessOptions {
    unsigned predictor = 1;
    unsigned transform = 0;
    unsigned restart_rows = 0;
    bool separate_scans = false;
    bool long_codes = false;  ///< categories in 10 to 16 bit codes, beyond the decoder's look-up
};

class LosslessEncoder {
public:
    LosslessEncoder(const LosslessImage& image, const LosslessOptions& options) : image_(image), options_(options) {}

    std::vector<std::byte> encode() {
        put_marker(0xD8);
        put_frame();
        put_table();
        if (options_.restart_rows != 0) {
            put_marker(0xDD);
            put_word(4);
            put_word(options_.restart_rows * image_.columns);
        }
        if (options_.separate_scans) {
            for (unsigned c = 0; c < image_.components; ++c) {
                put_scan(c, 1);
            }
        } else {
            put_scan(0, image_.components);
        }
        put_marker(0xD9);
        return out_;
    }

private:
    void put(unsigned value) { out_.push_back(static_cast<std::byte>(value & 0xFFU)); }
    void put_word(unsigned value) {
        put(value >> 8U);
        put(value);
    }
    void put_marker(unsigned marker) {
        put(0xFF);
        put(marker);
    }
    void put_frame() {
        put_marker(0xC3);
        put_word(8 + 3 * image_.components);
        put(image_.precision);
        put_word(image_.rows);
        put_word(image_.columns);
        put(image_.components);
        for (unsigned c = 0; c < image_.components; ++c) {
            put(c + 1);
            put(0x11);
            put(0);
        }
    }
    /// 17 categories: codes of 5 bits, or one each of 1, 2 ... bits so that the last ones are long.
    void put_table() {
        put_marker(0xC4);
        put_word(2 + 17 + 17);
        put(0);
        for (unsigned length = 1; length <= 16; ++length) {
            if (options_.long_codes) {
                put(length < 16 ? 1 : 2);
            } else {
                put(length == 5 ? 17 : 0);
            }
        }
        for (unsigned category = 0; category < 17; ++category) {
            put(category);
        }
    }
    void put_code(unsigned category) {
        if (!options_.long_codes) {
            put_bits(category, 5);
            return;
        }
        const unsigned length = category < 15 ? category + 1 : 16;
        const unsigned ones = (1U << length) - 2U;
        put_bits(category == 16 ? ones + 1U : ones, length);
    }
    void put_bits(unsigned value, unsigned count) {
        for (unsigned i = count; i-- > 0;) {
            bits_ = bits_ << 1U | (value >> i & 1U);
            if (++filled_ == 8) {
                put(bits_);
                if ((bits_ & 0xFFU) == 0xFF) {
                    put(0);
                }
                bits_ = 0;
                filled_ = 0;
            }
        }
    }
    void flush() {
        while (filled_ != 0) {
            put_bits(1, 1);
        }
    }
    [[nodiscard]] int sample(unsigned x, unsigned y, unsigned c) const {
        return image_.samples[(std::size_t{y} * image_.columns + x) * image_.components + c] >> options_.transform;
    }
    [[nodiscard]] int prediction(unsigned x, unsigned y, unsigned c, bool first_row) const {
        if (first_row) {
            return x == 0 ? 1 << (image_.precision - options_.transform - 1U) : sample(x - 1, y, c);
        }
        if (x == 0) {
            return sample(x, y - 1, c);
        }
        const int a = sample(x - 1, y, c);
        const int b = sample(x, y - 1, c);
        const int d = sample(x - 1, y - 1, c);
        switch (options_.predictor) {
            case 1:
                return a;
            case 2:
                return b;
            case 3:
                return d;
            case 4:
                return a + b - d;
            case 5:
                return a + ((b - d) >> 1);
            case 6:
                return b + ((a - d) >> 1);
            default:
                return (a + b) >> 1;
        }
    }
    void put_difference(int difference) {
        difference = static_cast<std::int16_t>(difference & 0xFFFF);
        if (difference == -32768) {  // H.1.2.2: modulo 2^16 the same as 32768, which has no magnitude bits
            put_code(16);
            return;
        }
        const unsigned magnitude = static_cast<unsigned>(difference < 0 ? -difference : difference);
        unsigned category = 0;
        while (magnitude >> category != 0) {
            ++category;
        }
        put_code(category);
        const int bits = difference < 0 ? difference + static_cast<int>((1U << category) - 1U) : difference;
        put_bits(static_cast<unsigned>(bits), category);
    }
    void put_scan(unsigned first, unsigned count) {
        put_marker(0xDA);
        put_word(6 + 2 * count);
        put(count);
        for (unsigned c = first; c < first + count; ++c) {
            put(c + 1);
            put(0);
        }
        put(options_.predictor);
        put(0);
        put(options_.transform);
        unsigned restart = 0;
        for (unsigned y = 0; y < image_.rows; ++y) {
            const bool begins = options_.restart_rows != 0 && y % options_.restart_rows == 0;
            if (begins && y != 0) {
                flush();
                put_marker(0xD0 + restart++ % 8);
            }
            for (unsigned x = 0; x < image_.columns; ++x) {
                for (unsigned c = first; c < first + count; ++c) {
                    put_difference(sample(x, y, c) - prediction(x, y, c, y == 0 || begins));
                }
            }
        }
        flush();
    }

    const LosslessImage& image_;
    LosslessOptions options_;
    std::vector<std::byte> out_;
    unsigned bits_ = 0;
    unsigned filled_ = 0;
};

}  // namespace hilum::test
