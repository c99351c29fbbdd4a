// SPDX-License-Identifier: Apache-2.0
#include "hilum/dicom/rewrite.hpp"

#include <algorithm>
#include <map>

#include "hilum/byte_order.hpp"
#include "hilum/dicom/dictionary.hpp"
#include "hilum/dicom/element.hpp"
#include "hilum/dicom/layout.hpp"
#include "hilum/dicom/private_dictionary.hpp"
#include "hilum/error.hpp"

namespace hilum::dicom {
namespace {

using Bytes = std::span<const std::byte>;

class Rewriter {
public:
    Rewriter(Bytes data, Encoding from, Encoding to, bool pixels_signed, std::span<const Replacement> replacements)
        : data_(data), from_(from), to_(to), signed_(pixels_signed), replacements_(replacements) {
        out_.reserve(data.size() + data.size() / 8 + 256);
    }

    std::vector<std::byte> run(std::size_t begin) {
        ElementReader reader(data_, begin, from_, warnings_);
        Owners owners;
        std::size_t next = 0;
        for (Element e; reader.next(e);) {
            while (next < replacements_.size() && replacements_[next].tag < e.tag) {
                append(replacements_[next++].element);
            }
            if (next < replacements_.size() && replacements_[next].tag == e.tag) {
                append(replacements_[next++].element);
            } else if (!e.tag.is_group_length() || keeps_length(e.tag)) {
                put_element(reader, e, owners);
            }
        }
        while (next < replacements_.size()) {
            append(replacements_[next++].element);
        }
        return std::move(out_);
    }

private:
    using Owners = std::map<std::uint32_t, PrivateOwner>;  // by group and block

    bool keeps_length(Tag tag) const noexcept {
        return from_ == to_ &&
               std::ranges::none_of(replacements_, [&](const Replacement& r) { return r.tag.group() == tag.group(); });
    }

    void append(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

    template <typename Number>
    void put(Number number) {
        if (to_.big_endian) {
            for (unsigned i = sizeof(Number); i-- > 0;) {
                out_.push_back(static_cast<std::byte>(number >> (8 * i)));
            }
        } else {
            for (unsigned i = 0; i < sizeof(Number); ++i) {
                out_.push_back(static_cast<std::byte>(number >> (8 * i)));
            }
        }
    }

    void put_tag(Tag tag) {
        put(tag.group());
        put(tag.element());
    }

    /// Everything before the value; returns where the length stands.
    std::size_t put_header(Tag tag, Vr vr, std::uint32_t length) {
        put_tag(tag);
        if (to_.explicit_vr) {
            const VrTraits& traits = traits_of(vr);
            if (!traits.known || (!traits.long_length && length > 0xFFFF)) {
                vr = Vr::UN;
            }
            const auto number = static_cast<std::uint16_t>(vr);
            out_.push_back(static_cast<std::byte>(number & 0xFFU));
            out_.push_back(static_cast<std::byte>(number >> 8U));
            if (!traits_of(vr).long_length) {
                put(static_cast<std::uint16_t>(length));
                return out_.size() - 2;
            }
            put(std::uint16_t{0});
        }
        put(length);
        return out_.size() - 4;
    }

    /// The 32-bit length at `at` becomes what was written since.
    void close(std::size_t at) {
        const std::size_t length = out_.size() - at - 4;
        if (length >= kUndefinedLength) {
            throw Error(Errc::limit_exceeded, "a sequence would be longer than 4 GiB");
        }
        std::vector<std::byte> whole;
        whole.swap(out_);
        put(static_cast<std::uint32_t>(length));
        std::copy(out_.begin(), out_.end(), whole.begin() + static_cast<std::ptrdiff_t>(at));
        out_.swap(whole);
    }

    std::size_t end_of(ElementReader& reader, const Element& e) {
        if (!e.undefined_length()) {
            return e.value_offset + e.length;
        }
        const std::size_t end = skip_undefined(data_, e, e.value_offset + e.value.size(), reader.depth(), warnings_);
        reader.close(e, end);
        return end;
    }

    void put_element(ElementReader& reader, const Element& e, Owners& owners) {
        if (from_ == to_) {
            append(data_.subspan(e.offset, end_of(reader, e) - e.offset));
            return;
        }
        if (e.tag.is_private_creator()) {
            owners[e.tag.value & 0xFFFF00FFU] = find_private_owner(trim_padding(e.characters()));
        }
        if (e.vr == Vr::UN || e.is_encapsulated()) {
            const std::size_t end = end_of(reader, e);
            put_header(e.tag, e.vr == Vr::none ? Vr::OB : e.vr, e.length);
            append(data_.subspan(e.value_offset, end - e.value_offset));
        } else if (e.is_sequence()) {
            put_sequence(reader, e);
        } else {
            put_value(e, owners);
        }
    }

    void put_sequence(ElementReader& reader, const Element& e) {
        const std::size_t sequence = put_header(e.tag, Vr::SQ, kUndefinedLength);
        SequenceReader items(reader, e);
        for (ElementReader item; items.next(item);) {
            const auto length = load<std::uint32_t>(data_.data() + items.item_offset() + 4, e.encoding.big_endian);
            put_tag(tags::kItem);
            put(kUndefinedLength);
            const std::size_t begin = out_.size() - 4;
            Owners owners;
            for (Element inner; item.next(inner);) {
                if (!inner.tag.is_group_length()) {
                    put_element(item, inner, owners);
                }
            }
            end_container(begin, length, tags::kItemDelimitation);
        }
        end_container(sequence, e.length, tags::kSequenceDelimitation);
    }

    void end_container(std::size_t begin, std::uint32_t length, Tag delimiter) {
        if (length != kUndefinedLength) {
            close(begin);
            return;
        }
        put_tag(delimiter);
        put(std::uint32_t{0});
    }

    Vr vr_of(const Element& e, const Owners& owners) const {
        Vr vr = e.effective_vr();
        if (vr == Vr::UN && e.tag.is_private() && !e.tag.is_private_creator()) {
            const auto found = owners.find((e.tag.value & 0xFFFF0000U) | (e.tag.element() >> 8U));
            vr = found == owners.end() ? Vr::UN : private_vr(found->second, e.tag);
            vr = vr == Vr::SQ ? Vr::UN : vr;
        }
        return resolve_vr(vr, signed_);
    }

    void put_value(const Element& e, const Owners& owners) {
        const Vr vr = vr_of(e, owners);
        put_header(e.tag, vr, e.length);
        const std::size_t at = out_.size();
        append(e.value);
        const std::size_t unit = traits_of(vr).unit;
        if (e.encoding.big_endian != to_.big_endian && unit > 1) {
            for (std::size_t i = at; i + unit <= out_.size(); i += unit) {
                std::reverse(out_.begin() + static_cast<std::ptrdiff_t>(i),
                             out_.begin() + static_cast<std::ptrdiff_t>(i + unit));
            }
        }
    }

    Bytes data_;
    Encoding from_;
    Encoding to_;
    bool signed_;
    std::span<const Replacement> replacements_;
    Warnings warnings_;
    std::vector<std::byte> out_;
};

}  // namespace

std::vector<std::byte> rewrite(Bytes data, std::size_t begin, Encoding from, Encoding to, bool pixels_signed,
                               std::span<const Replacement> replacements) {
    return Rewriter(data, from, to, pixels_signed, replacements).run(begin);
}

}  // namespace hilum::dicom
