# SPDX-License-Identifier: Apache-2.0
"""Streaming parser of multipart/related bodies (RFC 2046 section 5.1, RFC 2387), as STOW-RS sends them.

What senders get wrong and is understood all the same: line ends or text before the first boundary, text after the last,
a boundary in quotes, LF for CRLF (decided by the first boundary line), blanks after a boundary, parts without headers,
headers without the blank line after them.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memchr

from hilum.errors import DataError, HilumError, LimitExceeded, UsageError

__all__ = ["MultipartParser", "parse_content_type"]

cdef enum State:
    PREAMBLE
    AFTER_BOUNDARY
    HEADERS
    BODY
    EPILOGUE
    FAILED

cdef Py_ssize_t MAX_PADDING = 998   # RFC 5322 2.1.1: no line is longer, so blanks beyond it are data
cdef Py_ssize_t MAX_BOUNDARY = 256  # RFC 2046 allows 70


def parse_content_type(value):
    """Split a Content-Type into media type (lower case) and parameters.

    Names are in lower case, quotes are removed, unknown parameters kept, of equal names the first counts. Nothing is an
    error: what cannot be read is left out.
    """
    kind, _, rest = value.partition(";")
    parameters = {}
    while rest:
        name, equals, rest = rest.partition("=")
        if not equals:
            break
        # A name is what stands after the last semicolon: parameters without a value are passed over.
        name = name.rpartition(";")[2].strip().lower()
        rest = rest.lstrip()
        if rest.startswith('"'):
            text, rest = _quoted(rest)
        else:
            text, _, rest = rest.partition(";")
            text = text.strip()
        if name:
            parameters.setdefault(name, text)
    return kind.strip().lower(), parameters


cdef tuple _quoted(str rest):
    """Unescape the quoted string that `rest` starts with; also what follows its semicolon."""
    cdef list out = []
    cdef Py_ssize_t at = 1
    cdef Py_ssize_t size = len(rest)
    while at < size and rest[at] != '"':
        if rest[at] == "\\" and at + 1 < size:
            at += 1
        out.append(rest[at])
        at += 1
    return "".join(out), rest[at + 1:].partition(";")[2]


@cython.final
@cython.auto_pickle(False)
cdef class MultipartParser:
    """Cut a multipart body into parts while it arrives.

    ``feed`` gives events in the order of the body. For each part: ``("headers", dict)`` with names in lower case and
    values unfolded, empty for a part without headers; any number of ``("data", memoryview)``; ``("end", None)``. They
    are the same however the body is cut into chunks, but for where the data is cut; an error that comes after events of
    the same chunk is raised by the next call. Time is linear in the length of the body; what is kept between chunks is
    below ``max_header_bytes`` plus 2 kB.

    Parameters
    ----------
    boundary : bytes
        The ``boundary`` parameter of Content-Type, 1 to 256 bytes; a pair of quotes around it is removed.
    max_header_bytes : int
        Largest size of the headers of one part, in bytes.

    Raises
    ------
    UsageError
        The boundary is empty, too long or has a line end in it.
    """

    cdef readonly bytes boundary
    cdef State _state
    cdef bytes _dash_boundary
    cdef bytes _delimiter        # what ends a body: line end, two hyphens, boundary
    cdef Py_ssize_t _line_end    # bytes of its line end
    cdef Py_ssize_t _matched     # bytes of it seen at the end of the input so far
    cdef Py_ssize_t _virtual     # of these, bytes that belong to the line before and are no data
    cdef bytearray _suffix       # seen after it, not yet known to be the rest of a boundary line
    cdef bint _in_part           # the delimiter ends a part (else the preamble)
    cdef bytearray _line
    cdef list _lines
    cdef Py_ssize_t _header_bytes
    cdef Py_ssize_t _max_header_bytes
    cdef Py_ssize_t _consumed    # bytes of earlier chunks
    cdef object _error           # found after events that were given out first

    def __init__(self, boundary, *, max_header_bytes=16384):
        if len(boundary) >= 2 and boundary[:1] == b'"' and boundary[-1:] == b'"':
            boundary = boundary[1:-1]
        if not 0 < len(boundary) <= MAX_BOUNDARY:
            raise UsageError(f"a multipart boundary has 1 to {MAX_BOUNDARY} bytes, not {len(boundary)}")
        if b"\r" in boundary or b"\n" in boundary:
            raise UsageError("a multipart boundary has no line ends in it")
        self.boundary = bytes(boundary)
        self._dash_boundary = b"--" + self.boundary
        self._set_line_end(b"\n")
        self._state = PREAMBLE
        self._matched = 1  # the body starts at the start of a line
        self._virtual = 1
        self._suffix = bytearray()
        self._in_part = False
        self._line = bytearray()
        self._lines = []
        self._header_bytes = 0
        self._max_header_bytes = max_header_bytes
        self._consumed = 0
        self._error = None

    @property
    def finished(self):
        """Whether the closing boundary has been seen."""
        return self._state == EPILOGUE

    def feed(self, chunk):
        """Events of the next bytes of the body.

        Parameters
        ----------
        chunk : bytes-like
            C-contiguous, any length. ``data`` are views into it, so it must not be changed while they are in use.

        Raises
        ------
        DataError
            A header line without a name and a colon.
        LimitExceeded
            Headers longer than ``max_header_bytes``.
        UsageError
            An earlier call has failed.
        """
        cdef Py_buffer view
        cdef list events = []
        self._raise_pending()
        if self._state == FAILED:
            raise UsageError("this multipart body has failed already")
        PyObject_GetBuffer(chunk, &view, PyBUF_SIMPLE)
        try:
            self._run(<const unsigned char*>view.buf, view.len, chunk, events)
            self._consumed += view.len
        except HilumError as error:
            self._state = FAILED
            if not events:
                raise
            self._error = error
        finally:
            PyBuffer_Release(&view)
        return events

    def finish(self):
        """Tell that the body has ended.

        Raises
        ------
        DataError
            The closing boundary is missing: the body was cut short, or the boundary is wrong.
        """
        self._raise_pending()
        if self._state == EPILOGUE:
            return
        cdef bint began = self._in_part
        self._state = FAILED
        if not began:
            raise DataError("no part: the boundary that Content-Type names is not in the multipart body")
        raise DataError("the multipart body ends before its closing boundary", offset=self._consumed)

    cdef int _raise_pending(self) except -1:
        error = self._error
        self._error = None
        if error is not None:
            raise error
        return 0

    cdef int _set_line_end(self, bytes line_end) except -1:
        self._delimiter = line_end + self._dash_boundary
        self._line_end = len(line_end)
        return 0

    cdef int _run(self, const unsigned char* data, Py_ssize_t size, object chunk, list events) except -1:
        cdef Py_ssize_t at = 0
        cdef object whole = None
        while at < size:
            if self._state == PREAMBLE or self._state == BODY:
                if whole is None:
                    whole = memoryview(chunk).cast("B")
                at = self._scan(data, size, at, whole, events)
            elif self._state == AFTER_BOUNDARY:
                at = self._after_boundary(data, at, events)
            elif self._state == HEADERS:
                at = self._headers(data, size, at, events)
            else:
                break
        return 0

    cdef Py_ssize_t _scan(
        self, const unsigned char* data, Py_ssize_t size, Py_ssize_t at, object whole, list events
    ) except -1:
        """Look for the delimiter from `at` on; what stands before it is data. Returns where to go on.

        The delimiter's first byte does not occur in it again (a boundary has no line ends), so after a mismatch nothing
        of what has matched can be the start of another match: every byte is looked at twice at most.
        """
        cdef const unsigned char* delimiter = self._delimiter
        cdef Py_ssize_t length = len(self._delimiter)
        cdef Py_ssize_t begin = at               # first byte of this chunk that has not been given out
        cdef Py_ssize_t matched = self._matched
        cdef Py_ssize_t carried = matched        # of these, bytes of earlier chunks
        cdef const void* found
        while at < size:
            if matched == 0:
                found = memchr(data + at, delimiter[0], <size_t>(size - at))
                if found == NULL:
                    at = size
                    break
                at = (<const unsigned char*>found - data) + 1
                matched = 1
            elif data[at] == delimiter[matched]:
                matched += 1
                at += 1
                if matched == length:
                    break
            else:
                self._give_delimiter(carried, events)
                matched = 0
                carried = 0
        self._matched = matched
        if self._state == BODY and at - (matched - carried) > begin:
            events.append(("data", whole[begin:at - (matched - carried)]))
        if matched == length:
            self._state = AFTER_BOUNDARY
        return at

    cdef int _give_delimiter(self, Py_ssize_t count, list events) except -1:
        """The first `count` bytes of the delimiter, held back till now, are data after all."""
        if self._in_part and count > self._virtual:
            events.append(("data", memoryview(self._delimiter)[self._virtual:count]))
        self._virtual = 0
        return 0

    cdef Py_ssize_t _after_boundary(self, const unsigned char* data, Py_ssize_t at, list events) except -1:
        """One byte after a delimiter: hyphens, blanks and a line end make it a boundary, anything else data."""
        cdef unsigned char byte = data[at]
        cdef Py_ssize_t length = len(self._suffix)
        cdef unsigned char last = self._suffix[length - 1] if length else 0
        if last == c"-":
            if byte == c"-":
                self._end_part(events)
                self._state = EPILOGUE
                return at + 1
        elif byte == c"\n":
            if not self._in_part:
                self._set_line_end(b"\r\n" if last == c"\r" else b"\n")
            self._end_part(events)
            self._in_part = True
            self._state = HEADERS
            return at + 1
        elif last != c"\r" and length < MAX_PADDING:
            if byte == c" " or byte == c"\t" or byte == c"\r" or (byte == c"-" and length == 0):
                self._suffix.append(byte)
                return at + 1
        self._not_a_boundary(events)
        return at

    cdef int _end_part(self, list events) except -1:
        if self._in_part:
            events.append(("end", None))
        self._suffix.clear()
        self._lines = []
        self._header_bytes = 0
        self._matched = 0
        self._virtual = 0
        return 0

    cdef int _not_a_boundary(self, list events) except -1:
        """The delimiter and what followed it are data; a CR at their end may start another delimiter."""
        self._give_delimiter(len(self._delimiter), events)
        self._matched = 1 if self._suffix[-1:] == self._delimiter[:1] else 0
        if self._matched:
            del self._suffix[-1:]
        if self._in_part and self._suffix:
            events.append(("data", memoryview(bytes(self._suffix))))
        self._suffix.clear()
        self._state = BODY if self._in_part else PREAMBLE
        return 0

    cdef Py_ssize_t _headers(self, const unsigned char* data, Py_ssize_t size, Py_ssize_t at, list events) except -1:
        """Take the rest of one header line, or what there is of it."""
        cdef const void* found = memchr(data + at, c"\n", <size_t>(size - at))
        cdef Py_ssize_t end = size
        if found != NULL:
            end = (<const unsigned char*>found - data) + 1
        # Not more is kept than is allowed, however long the line is.
        cdef Py_ssize_t taken = min(end - at, self._max_header_bytes - self._header_bytes)
        self._line += (<const char*>data)[at:at + taken]
        self._header_bytes += taken
        if self._line.startswith(self._dash_boundary + b"--"):
            self._give_headers(events)
            self._end_part(events)
            self._state = EPILOGUE
            return end
        if taken < end - at:
            raise LimitExceeded(
                f"the headers of a part are longer than {self._max_header_bytes} bytes", offset=self._consumed + at
            )
        if found != NULL:
            line = bytes(self._line[:-2] if self._line[-2:-1] == b"\r" else self._line[:-1])
            self._line.clear()
            self._header_line(line, self._consumed + at, events)
        return end

    cdef int _header_line(self, bytes line, Py_ssize_t offset, list events) except -1:
        if not line:
            self._give_headers(events)
            # The end of the blank line may be the start of the delimiter: then the body is empty.
            self._matched = self._line_end
            self._virtual = self._line_end
            self._state = BODY
        elif line.startswith(self._dash_boundary) and not line[len(self._dash_boundary):].strip(b" \t"):
            self._give_headers(events)
            self._end_part(events)
        elif line[:1] in b" \t" and self._lines:
            self._lines[-1] += b" " + line.strip()
        elif line.find(b":") < 1:
            raise DataError("a header line of a part has no name and colon", offset=offset)
        else:
            self._lines.append(line)
        return 0

    cdef int _give_headers(self, list events) except -1:
        headers = {}
        for line in self._lines:
            name, _, value = line.partition(b":")
            name = name.strip().lower().decode("latin-1")
            value = value.strip()
            try:
                value = value.decode("utf-8")
            except UnicodeDecodeError:
                value = value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self._lines = []
        self._line.clear()
        events.append(("headers", headers))
        return 0
