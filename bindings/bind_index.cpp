// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"
#include "hilum/index/attributes.hpp"
#include "hilum/index/fold.hpp"
#include "hilum/index/identifier.hpp"
#include "hilum/index/match.hpp"
#include "hilum/index/posting_blocks.hpp"
#include "hilum/index/postings.hpp"
#include "hilum/index/qido_json.hpp"
#include "hilum/index/record.hpp"
#include "hilum/index/space.hpp"
#include "hilum/index/stored.hpp"
#include "module.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <vector>

namespace hilum::bindings {
namespace {

using Bytes = std::span<const std::byte>;

/// Borrowed bytes of a bytes object: cheaper than a Py_buffer in loops over thousands of records.
Bytes borrow(py::handle object) {
    if (!PyBytes_Check(object.ptr())) {
        throw py::type_error("bytes expected");
    }
    return {reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(object.ptr())),
            static_cast<std::size_t>(PyBytes_GET_SIZE(object.ptr()))};
}

std::vector<Bytes> borrow_all(const py::iterable& objects) {
    std::vector<Bytes> out;
    for (const py::handle object : objects) {
        out.push_back(borrow(object));
    }
    return out;
}

py::bytes as_bytes(const std::string& text) {
    return {text.data(), text.size()};
}

std::string_view as_text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

index::Condition to_condition(const py::handle& source) {
    const auto t = py::cast<py::tuple>(source);
    index::Condition out;
    out.operation = static_cast<index::Operation>(py::cast<int>(t[0]));
    out.comparison = static_cast<index::Comparison>(py::cast<int>(t[1]));
    out.tag = py::cast<std::uint32_t>(t[2]);
    out.values = py::cast<std::vector<std::string>>(t[3]);
    out.low = py::cast<std::string>(t[4]);
    out.high = py::cast<std::string>(t[5]);
    out.second_tag = py::cast<std::uint32_t>(t[6]);
    for (const py::handle child : py::cast<py::tuple>(t[7])) {
        out.children.push_back(to_condition(child));
    }
    return out;
}

std::unique_ptr<index::Matcher> make_matcher(const py::iterable& conditions) {
    std::vector<index::Condition> out;
    for (const py::handle condition : conditions) {
        out.push_back(to_condition(condition));
    }
    return std::make_unique<index::Matcher>(std::move(out));
}

index::AnswerRow to_views(const py::handle& row) {
    index::AnswerRow out;
    for (const py::handle record : py::cast<py::tuple>(row)) {
        out.emplace_back(borrow(record));
    }
    return out;
}

py::list match_rows(const index::Matcher& matcher, const py::list& rows) {
    py::list out(rows.size());
    std::size_t i = 0;
    for (const py::handle row : rows) {
        index::Row lists;
        for (const auto& record : to_views(row)) {
            lists.push_back(record.attributes());
            lists.push_back(record.derived());
        }
        out[i++] = py::bool_(matcher.matches(lists));
    }
    return out;
}

bool match_lists(const index::Matcher& matcher, const py::iterable& lists) {
    return matcher.matches(borrow_all(lists));
}

py::bytes answers_json(const py::list& rows, const py::object& tags, const std::string& base_url,
                       const py::list& extras) {
    std::vector<index::AnswerRow> views;
    views.reserve(rows.size());
    for (const py::handle row : rows) {
        views.push_back(to_views(row));
    }
    index::AnswerFields fields;
    fields.all = tags.is_none();
    if (!fields.all) {
        fields.tags = py::cast<std::vector<std::uint32_t>>(tags);
    }
    fields.base_url = base_url;
    fields.extras = borrow_all(extras);
    std::string out;
    {
        const py::gil_scoped_release unlocked;
        index::write_answers(views, fields, out);
    }
    return as_bytes(out);
}

py::list identifiers(const py::list& rows, const py::list& extras, const py::list& elements, bool explicit_vr,
                     bool big_endian, bool utf8) {
    std::vector<index::AnswerElement> wanted;
    for (const py::handle element : elements) {
        const auto parts = py::cast<py::tuple>(element);
        const std::string_view vr = as_text(borrow(parts[1]));
        wanted.push_back({py::cast<std::uint32_t>(parts[0]), {vr.at(0), vr.at(1)}, as_text(borrow(parts[2]))});
    }
    const index::IdentifierForm form{wanted, explicit_vr, big_endian, utf8};
    py::list out(rows.size());
    std::string made;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        made.clear();
        const Bytes more = extras.empty() ? Bytes{} : borrow(extras[i]);
        const bool written = index::write_identifier(to_views(rows[i]), more, form, made);
        out[i] = written ? py::object(as_bytes(made)) : py::object(py::none());
    }
    return out;
}

/// Stored record of a body; `stored` is room to work in.
py::bytes sealed(std::uint8_t database, const py::handle& key, const py::handle& body, std::string& stored) {
    stored.clear();
    index::pack_body(index::stored_as(database), borrow(key), as_text(borrow(body)), stored);
    return as_bytes(index::seal_record(database, borrow(key), std::as_bytes(std::span(stored))));
}

py::list seal_records(int database, const py::list& items) {
    py::list out(items.size());
    std::size_t i = 0;
    std::string stored;
    for (const py::handle item : items) {
        const auto pair = py::cast<py::tuple>(item);
        out[i++] = py::make_tuple(pair[0], sealed(static_cast<std::uint8_t>(database), pair[0], pair[1], stored));
    }
    return out;
}

py::list seal_each(const py::dict& databases, const py::list& items) {
    py::list out(items.size());
    std::size_t i = 0;
    std::string stored;
    for (const py::handle item : items) {
        const auto [name, key, body] = py::cast<std::tuple<py::object, py::object, py::object>>(item);
        const auto number = static_cast<std::uint8_t>(py::cast<int>(databases[name]));
        out[i++] = py::make_tuple(name, key, sealed(number, key, body, stored));
    }
    return out;
}

/// Checksum and body of a record whose checksum is right.
void open_into(std::uint8_t database, index::StoredAs form, const std::string& name, Bytes key, Bytes record,
               std::string& out) {
    index::check_record(database, name, key, record);
    const std::string_view text = as_text(record);
    out.assign(text.substr(0, 4));
    index::unpack_body(form, key, text.substr(4), out);
}

py::object open_record(int database, const std::string& name, const py::object& key, const py::object& record) {
    const auto number = static_cast<std::uint8_t>(database);
    const index::StoredAs form = index::stored_as(number);
    if (form == index::StoredAs::plain) {
        index::check_record(number, name, borrow(key), borrow(record));
        return record;
    }
    std::string body;
    open_into(number, form, name, borrow(key), borrow(record), body);
    return as_bytes(body);
}

py::list open_records(int database, const std::string& name, const py::list& items) {
    const auto number = static_cast<std::uint8_t>(database);
    const index::StoredAs form = index::stored_as(number);
    py::list out(form == index::StoredAs::plain ? 0 : items.size());
    std::size_t i = 0;
    std::string body;
    for (const py::handle item : items) {
        const auto pair = py::cast<py::tuple>(item);
        if (form == index::StoredAs::plain) {
            index::check_record(number, name, borrow(pair[0]), borrow(pair[1]));
            continue;
        }
        open_into(number, form, name, borrow(pair[0]), borrow(pair[1]), body);
        out[i++] = py::make_tuple(pair[0], as_bytes(body));
    }
    return form == index::StoredAs::plain ? items : out;
}

std::vector<index::PostingRule> make_rules(const py::iterable& rules) {
    std::vector<index::PostingRule> out;
    for (const py::handle rule : rules) {
        const auto t = py::cast<py::tuple>(rule);
        out.push_back({py::cast<std::vector<std::uint32_t>>(t[0]), py::cast<std::uint8_t>(t[1]), py::cast<bool>(t[2]),
                       py::cast<bool>(t[3]), py::cast<bool>(t[4]), py::cast<bool>(t[5])});
    }
    return out;
}

struct PostingRules {
    std::vector<index::PostingRule> rules;
};

py::list posting_keys(const PostingRules& self, int level, const py::iterable& lists) {
    const auto keys = index::posting_keys(self.rules, static_cast<std::uint8_t>(level), borrow_all(lists));
    py::list out(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
        out[i] = as_bytes(keys[i]);
    }
    return out;
}

/// Gives the pairs of a batch one after the other, so that they are never all objects at once.
class PostingPairs {
public:
    PostingPairs(const PostingRules& rules, py::list entities) : entities_(std::move(entities)) {
        std::vector<index::PostedEntity> posted;
        posted.reserve(entities_.size());
        orders_.reserve(entities_.size());
        for (const py::handle entity : entities_) {
            const auto t = py::cast<py::tuple>(entity);
            const Bytes order = borrow(t[0]);
            posted.push_back({{reinterpret_cast<const char*>(order.data()), order.size()},
                              py::cast<std::uint8_t>(t[1]),
                              borrow_all(py::cast<py::tuple>(t[2]))});
            orders_.push_back(py::cast<py::bytes>(t[0]));
        }
        const py::gil_scoped_release unlocked;
        batch_ = std::make_unique<index::PostingBatch>(rules.rules, posted);
    }

    py::tuple next() {
        if (at_ == batch_->size()) {
            throw py::stop_iteration();
        }
        const std::string_view key = batch_->key(at_);
        std::string orders;
        for (; at_ < batch_->size() && batch_->key(at_) == key; ++at_) {
            orders.append(as_text(borrow(orders_[batch_->entity(at_)])));
        }
        return py::make_tuple(py::bytes(key.data(), key.size()), as_bytes(orders), py::bytes());
    }

private:
    py::list entities_;
    std::vector<py::bytes> orders_;
    std::unique_ptr<index::PostingBatch> batch_;
    std::size_t at_ = 0;
};

py::list change_postings(const py::object& first, const py::object& value, const py::object& add,
                         const py::object& remove) {
    std::string orders;
    if (!borrow(first).empty()) {
        index::decode_postings(as_text(borrow(first)), as_text(borrow(value)), orders);
    }
    py::list out;
    for (const auto& block :
         index::encode_postings(index::merge_postings(orders, as_text(borrow(add)), as_text(borrow(remove))))) {
        out.append(py::make_tuple(as_bytes(block.first), as_bytes(block.value)));
    }
    return out;
}

py::bytes intersect_postings(const py::list& groups) {
    std::vector<std::vector<std::string_view>> lists;
    for (const py::handle group : groups) {
        auto& into = lists.emplace_back();
        for (const py::handle list : py::cast<py::list>(group)) {
            into.push_back(as_text(borrow(list)));
        }
    }
    return as_bytes(index::intersect_postings(lists));
}

py::list split_postings(const py::object& orders) {
    const std::string_view text = as_text(borrow(orders));
    py::list out(text.size() / index::kOrderKey);
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = py::bytes(text.data() + i * index::kOrderKey, index::kOrderKey);
    }
    return out;
}

py::list text_list(const std::vector<std::string_view>& texts) {
    py::list out;
    for (const std::string_view text : texts) {
        out.append(py::bytes(text.data(), text.size()));
    }
    return out;
}

}  // namespace

void bind_index(py::module_& m) {
    using namespace py::literals;
    py::class_<index::Matcher>(m, "Matcher", "Compiled conditions of a query.")
        .def(py::init(&make_matcher), "conditions"_a)
        .def("match_rows", &match_rows, "rows"_a, "One bool per row of records (tuples of bytes, study first).")
        .def("match_lists", &match_lists, "lists"_a, "Whether attribute lists meet all conditions.");
    py::class_<PostingPairs>(m, "PostingPairs",
                             "Match keys in order, each with its order keys and nothing to take out.")
        .def("__iter__", [](const py::object& self) { return self; })
        .def("__next__", &PostingPairs::next);
    py::class_<PostingRules>(m, "PostingRules", "What is posted in the match database.")
        .def(py::init([](const py::iterable& rules) { return PostingRules{make_rules(rules)}; }), "rules"_a)
        .def("keys", &posting_keys, "level"_a, "lists"_a, "Sorted match keys of one entity's attribute lists.")
        .def(
            "pairs", [](const PostingRules& self, const py::list& entities) { return PostingPairs(self, entities); },
            "entities"_a, "Match keys with order keys of many (order key, level, tuple of attribute lists).");
    m.def(
        "qido_json", &answers_json, "rows"_a, "tags"_a, "base_url"_a, "extras"_a = py::list(),
        "JSON array of rows of records; tags: sorted ints, None for all; extras: an attribute list per row, or none.");
    m.def(
        "identifiers", &identifiers, "rows"_a, "extras"_a, "elements"_a, "explicit_vr"_a, "big_endian"_a, "utf8"_a,
        "Data set of each row for C-FIND, None where it is not plain text; elements: (tag, VR, whole element or b'').");
    m.def("seal_records", &seal_records, "database"_a, "items"_a,
          "(key, stored record) of (key, body) pairs: the checksum, then the body in its stored form.");
    m.def("seal_each", &seal_each, "databases"_a, "items"_a,
          "(name, key, stored record) of (name, key, body): as seal_records, by the numbers of the named databases.");
    m.def("open_records", &open_records, "database"_a, "name"_a, "items"_a,
          "(key, sealed record) pairs of stored ones, DataError unless every checksum is right.");
    m.def("open_record", &open_record, "database"_a, "name"_a, "key"_a, "record"_a,
          "Sealed record of a stored one, DataError unless its checksum is right.");
    m.def(
        "merge_attributes",
        [](const py::iterable& lists) { return as_bytes(index::merge_attributes(borrow_all(lists))); }, "lists"_a,
        "First non-empty value of each attribute over the lists.");
    m.def(
        "select_attributes",
        [](const py::object& list, const std::vector<std::uint32_t>& tags, bool others) {
            return as_bytes(index::select_attributes(borrow(list), tags, others));
        },
        "list"_a, "tags"_a, "others"_a = false, "The attributes of a list whose tags are (not) in the sorted tags.");
    m.def(
        "attribute_tags",
        [](const py::object& list) {
            std::vector<std::uint32_t> tags;
            index::AttributeCursor cursor(borrow(list));
            index::Attribute attribute;
            while (cursor.next(attribute)) {
                tags.push_back(attribute.tag);
            }
            return tags;
        },
        "list"_a, "Tags of an attribute list, sorted.");
    m.def(
        "posted_value",
        [](const std::string& value, bool person) { return as_bytes(index::posted_value(value, person)); }, "value"_a,
        "person"_a, "Comparable form of a value as match keys hold it.");
    m.def(
        "posting_key",
        [](int level, std::uint32_t tag, const py::object& kind, const py::object& value) {
            const auto letter = static_cast<index::PostingKind>(as_text(borrow(kind)).at(0));
            return as_bytes(index::posting_key(static_cast<std::uint8_t>(level), tag, letter, as_text(borrow(value))));
        },
        "level"_a, "tag"_a, "kind"_a, "value"_a = py::bytes(), "Match key of a folded value; kind: one letter.");
    m.def(
        "postings_in", [](const py::object& value) { return index::postings_in(as_text(borrow(value))); }, "value"_a,
        "Number of order keys of a block.");
    m.def(
        "decode_postings",
        [](const py::object& first, const py::object& value, std::size_t most) {
            std::string out;
            index::decode_postings(as_text(borrow(first)), as_text(borrow(value)), out, most);
            return as_bytes(out);
        },
        "first"_a, "value"_a, "most"_a = index::kMaxPostings,
        "Order keys of a block, one behind the other, the first ``most`` only; DataError when it is damaged.");
    m.def("change_postings", &change_postings, "first"_a, "value"_a, "add"_a, "remove"_a,
          "Blocks (first order key, value) instead of one (none: empty), with order keys added and taken out.");
    m.def("intersect_postings", &intersect_postings, "groups"_a,
          "Order keys that are in at least one list of every group.");
    m.def(
        "postings_before",
        [](const py::object& orders, const py::object& horizon) {
            return index::postings_before(as_text(borrow(orders)), as_text(borrow(horizon)));
        },
        "orders"_a, "horizon"_a, "Number of sorted order keys below another one.");
    m.def("split_postings", &split_postings, "orders"_a, "Order keys one by one.");
    m.def("punch_hole", &index::punch_hole, "descriptor"_a, "offset"_a, "length"_a,
          "Make a hole of a range of an open file; False where the file system cannot.");
    m.def(
        "grams", [](const std::string& text) { return text_list(index::grams(text)); }, "text"_a,
        "Runs of three characters of a folded text.");
    m.def(
        "name_words", [](const std::string& text) { return text_list(index::name_words(text)); }, "text"_a,
        "Words of a folded name.");
    m.def(
        "soundex", [](const std::string& word) { return index::soundex(word); }, "word"_a,
        "Soundex of a folded word, empty when it is not a to z only.");
    m.def(
        "wildcard_match",
        [](const std::string& text, const std::string& pattern) { return index::wildcard_match(text, pattern); },
        "text"_a, "pattern"_a, "Match of * and ?.");
}

}  // namespace hilum::bindings
