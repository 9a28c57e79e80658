#include "kernels/src/buffer.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/src/file_pages.h"
#include "kernels/src/weight_format.h"

namespace gumbelspec::kernels {
namespace {

struct PackedMemory {
  void* base;
  size_t size;
};

// A tensor of the buffer seen as a packed matrix: views refer to rows of their source.
struct Matrix {
  ggml_type type;
  int64_t n_columns, n_rows;  // rows of one of the matrices of a stack
  size_t row_bytes;           // of ggml's form
  size_t offset;              // of the tensor's first byte within ggml's form of the whole matrix
  void* packed;

  // Panels hold rows of one matrix only. `row` counts through the whole stack.
  int64_t packed_row(int64_t row) const {
    return row / n_rows * panel_count(n_rows) * kPanelRows + row % n_rows;
  }
  void pack(int64_t row, const void* from) const {
    pack_row(type, n_columns, packed_row(row), from, packed);
  }
  void unpack(int64_t row, void* to) const {
    unpack_row(type, n_columns, packed_row(row), packed, to);
  }
};

const ggml_tensor* whole_of(const ggml_tensor* tensor) {
  return tensor->view_src ? tensor->view_src : tensor;
}

// The bytes of a tensor that does not lie packed, or null. An adapter's matrices, of any type, go
// to the memory that the matrix they are for lies in.
uint8_t* plain_bytes(const ggml_tensor* tensor) {
  return can_pack(whole_of(tensor)) ? nullptr : static_cast<uint8_t*>(tensor->data);
}

Matrix matrix_of(const ggml_tensor* tensor) {
  const ggml_tensor* whole = whole_of(tensor);
  const size_t offset = tensor->view_src ? tensor->view_offs : 0;
  return {whole->type, whole->ne[0], whole->ne[1], ggml_row_size(whole->type, whole->ne[0]),
          offset,      whole->data};
}

// Calls fn(row, first byte in row, number of bytes, position in the caller's data) for the rows
// that [offset, offset + size) of ggml's form touches, rows in parallel.
template <class Fn>
void for_each_row(const Matrix& m, size_t offset, size_t size, const Fn& fn) {
  if (size == 0) return;
  const size_t begin = m.offset + offset, end = begin + size;
  const auto first = static_cast<int64_t>(begin / m.row_bytes);
  const auto last = static_cast<int64_t>((end - 1) / m.row_bytes);
#pragma omp parallel for schedule(dynamic, 64) if (last - first > 256)
  for (int64_t row = first; row <= last; ++row) {
    const size_t row_begin = static_cast<size_t>(row) * m.row_bytes;
    const size_t from = std::max(row_begin, begin), to = std::min(row_begin + m.row_bytes, end);
    fn(row, from - row_begin, to - from, from - begin);
  }
}

void free_buffer(ggml_backend_buffer_t buffer) {
  auto* memory = static_cast<PackedMemory*>(buffer->context);
  free_zeroed(memory->base, memory->size);
  delete memory;
}

void* get_base(ggml_backend_buffer_t buffer) {
  return static_cast<PackedMemory*>(buffer->context)->base;
}

// Blocks are read and written in place only where their 16-bit fields may lie.
bool is_aligned(const uint8_t* p) { return reinterpret_cast<uintptr_t>(p) % 2 == 0; }

void set_rows(const Matrix& m, const void* data, size_t offset, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  for_each_row(m, offset, size, [&](int64_t row, size_t at, size_t n, size_t pos) {
    if (n == m.row_bytes && is_aligned(bytes + pos)) return m.pack(row, bytes + pos);
    std::vector<uint8_t> whole(m.row_bytes);
    m.unpack(row, whole.data());
    std::memcpy(whole.data() + at, bytes + pos, n);
    m.pack(row, whole.data());
  });
}

void set_tensor(ggml_backend_buffer_t, ggml_tensor* tensor, const void* data, size_t offset,
                size_t size) {
  if (uint8_t* plain = plain_bytes(tensor)) {
    std::memcpy(plain + offset, data, size);
    return;
  }
  set_rows(matrix_of(tensor), data, offset, size);
  // The packed copy is the one in use from here on: pages of a mapped model file may go.
  release_file_pages(data, size);
}

void memset_tensor(ggml_backend_buffer_t, ggml_tensor* tensor, uint8_t value, size_t offset,
                   size_t size) {
  if (uint8_t* plain = plain_bytes(tensor)) {
    std::memset(plain + offset, value, size);
    return;
  }
  const std::vector<uint8_t> bytes(size, value);
  set_rows(matrix_of(tensor), bytes.data(), offset, size);
}

void get_tensor(ggml_backend_buffer_t, const ggml_tensor* tensor, void* data, size_t offset,
                size_t size) {
  if (const uint8_t* plain = plain_bytes(tensor)) {
    std::memcpy(data, plain + offset, size);
    return;
  }
  const Matrix m = matrix_of(tensor);
  auto* bytes = static_cast<uint8_t*>(data);
  for_each_row(m, offset, size, [&](int64_t row, size_t at, size_t n, size_t pos) {
    if (n == m.row_bytes && is_aligned(bytes + pos)) return m.unpack(row, bytes + pos);
    std::vector<uint8_t> whole(m.row_bytes);
    m.unpack(row, whole.data());
    std::memcpy(bytes + pos, whole.data() + at, n);
  });
}

void clear(ggml_backend_buffer_t buffer, uint8_t value) {
  auto* memory = static_cast<PackedMemory*>(buffer->context);
  if (memory->base) std::memset(memory->base, value, memory->size);
}

constexpr ggml_backend_buffer_i kBufferInterface = {
    /* .free_buffer   = */ free_buffer,
    /* .get_base      = */ get_base,
    /* .init_tensor   = */ nullptr,
    /* .memset_tensor = */ memset_tensor,
    /* .set_tensor    = */ set_tensor,
    /* .get_tensor    = */ get_tensor,
    /* .set_tensor_2d = */ nullptr,
    /* .get_tensor_2d = */ nullptr,
    /* .cpy_tensor    = */ nullptr,
    /* .clear         = */ clear,
    /* .reset         = */ nullptr,
};

const char* type_name(ggml_backend_buffer_type_t) { return "GumbelSpec"; }

ggml_backend_buffer_t alloc_buffer(ggml_backend_buffer_type_t type, size_t size) {
  void* base = allocate_zeroed(std::max<size_t>(size, kAlign));
  if (!base) return nullptr;
  auto* memory = new PackedMemory{base, std::max<size_t>(size, kAlign)};
  return ggml_backend_buffer_init(type, kBufferInterface, memory, size);
}

size_t type_alignment(ggml_backend_buffer_type_t) { return kAlign; }

size_t alloc_size(ggml_backend_buffer_type_t, const ggml_tensor* tensor) {
  if (!can_pack(tensor)) return ggml_nbytes(tensor);
  // Kernels fetch ahead of what they need; the slack keeps that within the buffer.
  const auto n_matrices = static_cast<size_t>(tensor->ne[2] * tensor->ne[3]);
  const size_t matrix = packed_bytes(tensor->type, tensor->ne[0], tensor->ne[1]);
  return std::max(n_matrices * matrix, ggml_nbytes(tensor));
}

bool is_host(ggml_backend_buffer_type_t) { return false; }

}  // namespace

ggml_backend_buffer_type_t packed_buffer_type() {
  static ggml_backend_buffer_type type = {
      /* .iface   = */ {type_name, alloc_buffer, type_alignment, nullptr, alloc_size, is_host},
      /* .device  = */ nullptr,
      /* .context = */ nullptr,
  };
  return &type;
}

void set_packed_buffer_device(ggml_backend_dev_t device) { packed_buffer_type()->device = device; }

bool can_pack(const ggml_tensor* tensor) {
  return is_weight_type(tensor->type) && ggml_is_contiguous(tensor);
}

bool is_packed(const ggml_tensor* tensor) {
  return tensor->buffer != nullptr && tensor->buffer->buft == packed_buffer_type() &&
         tensor->view_src == nullptr && can_pack(tensor);
}

}  // namespace gumbelspec::kernels
