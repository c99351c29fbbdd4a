# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, freethreading_compatible=True, autotestdict=False
"""Keys and records of the index for whole batches (docs/formats/index.md): loops over Python objects, nothing else."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    INSTANCE_FIXED = 112
    HEADER = 4  # kind, version, number of blobs; the checksum is put before it later
    ATTRIBUTE_HEADER = 8
    INSTANCE_KIND = 4
    RECORD_VERSION = 1
    INSTANCE_BLOBS = 8
    CHILD_KEY = 25
    LONGEST_UID = 64
    LONGEST_TEXT = 400
    ORDER_KEY = 12

cdef uint64_t MOST_ID = (<uint64_t>1 << 48) - 1
cdef uint32_t NO_NUMBER = 0xFFFFFFFF


cdef inline void put_be(char* at, uint64_t value, int size) noexcept nogil:
    cdef int i
    for i in range(size):
        at[i] = <char>((value >> (8 * (size - 1 - i))) & 0xFF)


cdef inline void put_le(char* at, uint64_t value, int size) noexcept nogil:
    cdef int i
    for i in range(size):
        at[i] = <char>((value >> (8 * i)) & 0xFF)


cdef inline uint64_t get_le(const uint8_t* at, int size) noexcept nogil:
    cdef int i
    cdef uint64_t value = 0
    for i in range(size):
        value |= <uint64_t>at[i] << (8 * i)
    return value


cdef object find_value(bytes attributes, uint32_t tag):
    """Value of one attribute of a list, None when it is absent or the list ends early."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(attributes)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(attributes)
    cdef Py_ssize_t at = 0
    cdef uint32_t found
    cdef Py_ssize_t length
    while size - at >= ATTRIBUTE_HEADER:
        found = <uint32_t>get_le(data + at, 4)
        length = <Py_ssize_t>get_le(data + at + 6, 2)
        if found > tag or length > size - at - ATTRIBUTE_HEADER:
            return None
        if found == tag:
            return attributes[at + ATTRIBUTE_HEADER:at + ATTRIBUTE_HEADER + length]
        at += ATTRIBUTE_HEADER + length
    return None


def attribute_value(bytes attributes not None, uint32_t tag):
    """Value of ``tag`` in an attribute list as bytes, or None."""
    return find_value(attributes, tag)


cdef uint32_t biased(bytes text) noexcept:
    """A number of VR IS so that it sorts unsigned; NO_NUMBER when it is not one."""
    cdef bytes stripped = text.split(b"\\", 1)[0].strip()
    cdef int64_t number
    try:
        number = int(stripped)
    except (ValueError, OverflowError):
        return NO_NUMBER
    number = min(max(number, -0x80000000), 0x7FFFFFFE)
    return <uint32_t>(number + <int64_t>0x80000000)


def order_number(bytes attributes not None, uint32_t tag):
    """InstanceNumber or SeriesNumber as an unsigned number that sorts like it; 0xFFFFFFFF when there is none."""
    cdef object value = find_value(attributes, tag)
    return NO_NUMBER if value is None else biased(value)


cdef bytes make_child_key(uint64_t parent, uint32_t number, bytes uid, uint64_t identity):
    cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(uid)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(uid)
    cdef uint64_t tail = 0
    cdef uint32_t mixed = 2166136261
    cdef Py_ssize_t i
    for i in range(size):
        mixed = (mixed ^ text[i]) * <uint32_t>16777619
        tail = 0 if text[i] == 46 else tail * 10 + (text[i] - 48)
    cdef int width = 0
    while width < 8 and tail >> (8 * width):
        width += 1
    cdef bytes key = PyBytes_FromStringAndSize(NULL, CHILD_KEY + width)
    cdef char* out = PyBytes_AS_STRING(key)
    put_be(out, parent, 8)
    put_be(out + 8, number, 4)
    out[12] = <char>width
    put_be(out + 13, tail, width)
    put_be(out + 13 + width, mixed, 4)
    put_be(out + 17 + width, identity, 8)
    return key


cdef bytes pack_uid(bytes uid):
    """Two characters of a UID to a byte, ended by a zero: sorts like the text. What is no UID: 255 and the text."""
    cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(uid)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(uid)
    cdef Py_ssize_t i
    cdef int nibble
    for i in range(size):
        if text[i] != 46 and not 48 <= text[i] <= 57:
            return b"\xff" + uid[:LONGEST_TEXT]
    if size > LONGEST_UID:
        return b"\xff" + uid[:LONGEST_TEXT]
    cdef bytes key = PyBytes_FromStringAndSize(NULL, 1 + size // 2)
    cdef char* out = PyBytes_AS_STRING(key)
    for i in range(size + 1 + (size + 1) % 2):
        nibble = 0 if i >= size else 1 if text[i] == 46 else text[i] - 46
        if i % 2 == 0:
            out[i // 2] = <char>(nibble << 4)
        else:
            out[i // 2] = <char>((<uint8_t>out[i // 2]) | nibble)
    return key


def uid_key(bytes uid not None, uint64_t study=0):
    """Key of a study, an instance or, with its study's id, a series in the database of its level's UIDs."""
    cdef bytes key = pack_uid(uid)
    cdef char tail[6]
    if study == 0:
        return key
    put_be(tail, study, 6)
    return key + tail[:6]


def child_key(uint64_t parent, uint32_t number, bytes uid not None, uint64_t identity):
    """Key under which a series or instance stands among its parent's children, in display order."""
    return make_child_key(parent, number, uid, identity)


def id_key(uint64_t identity):
    """Big endian key of an id."""
    cdef bytes key = PyBytes_FromStringAndSize(NULL, 8)
    put_be(PyBytes_AS_STRING(key), identity, 8)
    return key


def ids_of_order_keys(list order_keys not None, uint64_t newest):
    """Ids in order keys, as numbers and as keys; those above ``newest`` are left out."""
    cdef list ids = []
    cdef list keys = []
    cdef bytes order
    cdef const uint8_t* at
    cdef uint64_t identity
    cdef int i
    for order in order_keys:
        if PyBytes_GET_SIZE(order) != ORDER_KEY:
            raise ValueError(f"an order key has {ORDER_KEY} bytes, not {PyBytes_GET_SIZE(order)}")
        at = <const uint8_t*>PyBytes_AS_STRING(order)
        identity = 0
        for i in range(ORDER_KEY // 2, ORDER_KEY):
            identity = identity << 8 | at[i]
        identity = MOST_ID - identity
        if identity <= newest:
            ids.append(identity)
            keys.append(id_key(identity))
    return ids, keys


cdef bytes pack_record(bytes fixed, list blobs, int kind):
    cdef Py_ssize_t count = len(blobs)
    cdef Py_ssize_t size = HEADER + PyBytes_GET_SIZE(fixed) + 4 * count
    cdef bytes blob
    for blob in blobs:
        size += PyBytes_GET_SIZE(blob)
    cdef bytes record = PyBytes_FromStringAndSize(NULL, size)
    cdef char* out = PyBytes_AS_STRING(record)
    out[0] = <char>kind
    out[1] = RECORD_VERSION
    put_le(out + 2, <uint64_t>count, 2)
    memcpy(out + HEADER, PyBytes_AS_STRING(fixed), PyBytes_GET_SIZE(fixed))
    cdef char* lengths = out + HEADER + PyBytes_GET_SIZE(fixed)
    cdef char* at = lengths + 4 * count
    for blob in blobs:
        put_le(lengths, <uint64_t>PyBytes_GET_SIZE(blob), 4)
        lengths += 4
        memcpy(at, PyBytes_AS_STRING(blob), PyBytes_GET_SIZE(blob))
        at += PyBytes_GET_SIZE(blob)
    return record


def encode_record(int kind, bytes fixed not None, list blobs not None):
    """Body of a record (all but the checksum) of ``kind`` with its fixed part and blobs."""
    return pack_record(fixed, blobs, kind)


def decode_blobs(bytes record not None, Py_ssize_t fixed_size):
    """List of a sealed record's blobs; ValueError when the lengths do not add up."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(record)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(record)
    cdef Py_ssize_t lengths = 4 + HEADER + fixed_size
    if size < lengths or data[5] != RECORD_VERSION:
        raise ValueError("index record is too short or of an unknown version")
    cdef Py_ssize_t count = <Py_ssize_t>get_le(data + 6, 2)
    cdef Py_ssize_t at = lengths + 4 * count
    cdef Py_ssize_t length
    cdef Py_ssize_t i
    cdef list blobs = []
    if size < at:
        raise ValueError("index record ends inside its lengths")
    for i in range(count):
        length = <Py_ssize_t>get_le(data + lengths + 4 * i, 4)
        if length > size - at:
            raise ValueError("lengths in an index record do not add up")
        blobs.append(record[at:at + length])
        at += length
    if at != size:
        raise ValueError("lengths in an index record do not add up")
    return blobs


cdef bytes encode_pixels(object pixels):
    if pixels is None:
        return b""
    return "\t".join([str(part) for part in pixels]).encode()


cdef bytes instance_body(object entry, bytes uid, uint64_t series, uint64_t study, uint64_t variant, uint32_t number,
                         bytes table):
    cdef bytes fixed = PyBytes_FromStringAndSize(NULL, INSTANCE_FIXED)
    cdef char* out = PyBytes_AS_STRING(fixed)
    cdef object location = entry.location
    cdef bytes digest = entry.sha256
    if PyBytes_GET_SIZE(digest) != 32:
        raise ValueError("sha256 must be 32 bytes")
    put_le(out, series, 8)
    put_le(out + 8, study, 8)
    put_le(out + 16, variant, 8)
    put_le(out + 24, location.pack, 8)
    put_le(out + 32, location.offset, 8)
    put_le(out + 40, location.length, 8)
    put_le(out + 48, entry.header_length, 8)
    put_le(out + 56, entry.received_ns, 8)
    put_le(out + 64, entry.crc32c, 4)
    put_le(out + 68, entry.flags, 4)
    put_le(out + 72, number, 4)
    put_le(out + 76, 0, 4)
    memcpy(out + 80, PyBytes_AS_STRING(digest), 32)
    cdef list blobs = [
        uid,
        (<str>entry.sop_class_uid).encode(),
        (<str>entry.transfer_syntax_uid).encode(),
        encode_pixels(entry.pixels),
        table,
        "\t".join(entry.warnings).encode(),
        entry.attributes[3],
        b"",
    ]
    return pack_record(fixed, blobs, INSTANCE_KIND)


def encode_instance(entry, bytes uid not None, uint64_t series, uint64_t study, uint64_t variant, uint32_t number,
                    bytes table not None):
    """Body of one instance record."""
    return instance_body(entry, uid, series, study, variant, number, table)


def encode_instances(list entries not None, uint64_t series, uint64_t study, list variants not None,
                     uint64_t first_id, uint32_t number_tag, Py_ssize_t inline_table, list records not None,
                     list uids not None, list children not None, list tables not None):
    """Append the (key, body) pairs of a series' new instances to ``records``, ``uids``, ``children`` and ``tables``.

    Ids are ``first_id`` and up in the order of ``entries``. A frame table above ``inline_table`` bytes goes to ``tables``.
    """
    cdef uint64_t identity = first_id
    cdef Py_ssize_t i
    cdef bytes uid, key, table
    cdef uint32_t number
    cdef object entry, value
    for i in range(len(entries)):
        entry = entries[i]
        uid = (<str>entry.sop_instance_uid).encode()
        value = find_value(entry.attributes[3], number_tag)
        number = NO_NUMBER if value is None else biased(value)
        key = PyBytes_FromStringAndSize(NULL, 8)
        put_be(PyBytes_AS_STRING(key), identity, 8)
        table = entry.frame_table
        if PyBytes_GET_SIZE(table) > inline_table:
            tables.append((key, table))
            table = b""
        records.append((key, instance_body(entry, uid, series, study, variants[i], number, table)))
        uids.append((pack_uid(uid), key))
        children.append((make_child_key(series, number, uid, identity), b""))
        identity += 1


def encode_values(tuple heads not None, tuple values not None):
    """Attribute list of values (str): ``heads`` has six bytes for each, its tag and VR, in the order of tags."""
    cdef Py_ssize_t count = len(heads)
    cdef Py_ssize_t size = 0
    cdef Py_ssize_t i
    cdef Py_ssize_t length
    cdef bytes raw, head
    cdef list encoded = []
    if len(values) != count:
        raise ValueError("as many values as heads are needed")
    for i in range(count):
        raw = (<str>values[i]).encode()
        if PyBytes_GET_SIZE(raw) > 0xFFFF:
            raw = raw[:0xFFFF]
        if PyBytes_GET_SIZE(<bytes>heads[i]) != 6:
            raise ValueError("a head has six bytes")
        size += ATTRIBUTE_HEADER + PyBytes_GET_SIZE(raw)
        encoded.append(raw)
    cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
    cdef char* at = PyBytes_AS_STRING(out)
    for i in range(count):
        head = heads[i]
        raw = encoded[i]
        length = PyBytes_GET_SIZE(raw)
        memcpy(at, PyBytes_AS_STRING(head), 6)
        put_le(at + 6, <uint64_t>length, 2)
        memcpy(at + ATTRIBUTE_HEADER, PyBytes_AS_STRING(raw), length)
        at += ATTRIBUTE_HEADER + length
    return out


def encode_counts(dict counts not None):
    """Lines of ``name TAB count``, sorted by name."""
    if not counts:
        return b""
    return "\n".join([f"{name}\t{counts[name]}" for name in sorted(counts)]).encode()


def add_counts(dict counters not None, int level, bytes key not None, tuple lengths not None, object studies,
               object series, object instances, object size):
    """Add to the counters (lists of four) of a key's prefixes of these lengths."""
    cdef Py_ssize_t length
    cdef bytes prefix
    cdef char* out
    cdef list cell
    cdef object found
    for length in lengths:
        if length > PyBytes_GET_SIZE(key):
            raise ValueError("the key is shorter than its prefix")
        prefix = PyBytes_FromStringAndSize(NULL, length + 2)
        out = PyBytes_AS_STRING(prefix)
        out[0] = <char>level
        out[1] = <char>length
        memcpy(out + 2, PyBytes_AS_STRING(key), length)
        found = counters.get(prefix)
        if found is None:
            counters[prefix] = [studies, series, instances, size]
            continue
        cell = found
        cell[0] = cell[0] + studies
        cell[1] = cell[1] + series
        cell[2] = cell[2] + instances
        cell[3] = cell[3] + size
