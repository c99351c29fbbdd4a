// SPDX-License-Identifier: Apache-2.0
// Buffers of Python as spans of the core, without copies and without py::bytes parameters (whose type errors would
// print the bytes of patients).
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <span>

namespace py = pybind11;

namespace hilum::bindings {

/// Holds a C-contiguous Py_buffer. Create and destroy with the GIL; `bytes()` may be used without it.
class BufferView {
public:
    explicit BufferView(const py::object& source, bool writable = false) {
        const int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0);
        if (PyObject_GetBuffer(source.ptr(), &view_, flags) != 0) {
            throw py::error_already_set();
        }
    }
    ~BufferView() { PyBuffer_Release(&view_); }
    BufferView(const BufferView&) = delete;
    BufferView& operator=(const BufferView&) = delete;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return {static_cast<const std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
    }
    [[nodiscard]] std::span<std::byte> writable() const noexcept {
        return {static_cast<std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
    }
    [[nodiscard]] const Py_buffer& raw() const noexcept { return view_; }

private:
    Py_buffer view_{};
};

inline py::bytes to_bytes(std::span<const std::byte> data) {
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

}  // namespace hilum::bindings
