// What the programs that write GGUF models share: types, noise, and the file itself.
#ifndef GUMBELSPEC_APPS_SCALE_GGUF_WRITER_H_
#define GUMBELSPEC_APPS_SCALE_GGUF_WRITER_H_

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "ggml.h"
#include "gguf.h"

namespace gumbelspec::scale {

[[noreturn]] inline void fail(const std::string& message) { throw std::runtime_error(message); }

inline int all_cores() {
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

// `more`: what else the caller takes, for the message.
inline ggml_type type_named(const std::string& name, const std::string& more = "") {
  static const std::map<std::string, ggml_type> kTypes = {
      {"f32", GGML_TYPE_F32},   {"f16", GGML_TYPE_F16},   {"bf16", GGML_TYPE_BF16},
      {"q8_0", GGML_TYPE_Q8_0}, {"q4_0", GGML_TYPE_Q4_0}, {"q4_k", GGML_TYPE_Q4_K},
      {"q5_k", GGML_TYPE_Q5_K}, {"q6_k", GGML_TYPE_Q6_K}};
  std::string lower = name;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto it = kTypes.find(lower);
  if (it == kTypes.end())
    fail("unknown type " + name + "; use f32, f16, bf16, q8_0, q4_0, q4_K, q5_K or q6_K" + more);
  return it->second;
}

struct Tensor {
  std::string name;
  ggml_type type;
  int64_t columns, rows;
  int64_t n_matrices = 1;  // one for each expert
  int64_t n_rows() const { return rows * n_matrices; }
};

// Quantised rows of uniform noise of variance 1 / columns, so that activations keep their size.
class Noise {
 public:
  // distinct_rows: rows quantised per shape, then repeated; 0: every row its own.
  Noise(int distinct_rows, int threads, unsigned seed)
      : distinct_rows_(distinct_rows), threads_(threads), rng_(seed) {}

  std::vector<uint8_t> matrix(const Tensor& t) {
    const size_t row_bytes = ggml_row_size(t.type, t.columns);
    const int64_t distinct =
        distinct_rows_ > 0 ? std::min<int64_t>(distinct_rows_, t.n_rows()) : t.n_rows();
    const std::vector<uint8_t>* rows = &pool_[{t.type, t.columns}];
    std::vector<uint8_t> own;
    if (distinct_rows_ <= 0 || static_cast<int64_t>(rows->size() / row_bytes) < distinct) {
      own = quantise(t, distinct);
      if (distinct_rows_ > 0) pool_[{t.type, t.columns}] = own;
      rows = &own;
    }
    if (distinct == t.n_rows() && rows == &own) return own;
    std::vector<uint8_t> data(row_bytes * static_cast<size_t>(t.n_rows()));
    const size_t have = rows->size() / row_bytes;
    for (int64_t r = 0; r < t.n_rows(); ++r) {
      std::memcpy(data.data() + static_cast<size_t>(r) * row_bytes,
                  rows->data() + rng_() % have * row_bytes, row_bytes);
    }
    return data;
  }

 private:
  std::vector<uint8_t> quantise(const Tensor& t, int64_t n_rows) {
    const size_t row_bytes = ggml_row_size(t.type, t.columns);
    std::vector<uint8_t> out(row_bytes * static_cast<size_t>(n_rows));
    const float range = std::sqrt(3.0f / static_cast<float>(t.columns));
    const auto first_seed = static_cast<uint32_t>(rng_());
    ggml_quantize_init(t.type);
    // The types of one and two bits want to know which columns matter: all alike.
    const std::vector<float> importance(static_cast<size_t>(t.columns), 1.0f);
    const auto work = [&](int64_t begin, int64_t end) {
      std::vector<float> row(static_cast<size_t>(t.columns));
      for (int64_t r = begin; r < end; ++r) {
        std::minstd_rand rng(first_seed + static_cast<uint32_t>(r));
        std::uniform_real_distribution<float> uniform(-range, range);
        for (float& x : row) x = uniform(rng);
        ggml_quantize_chunk(t.type, row.data(), out.data() + static_cast<size_t>(r) * row_bytes, 0,
                            1, t.columns, importance.data());
      }
    };
    const int n = static_cast<int>(std::min<int64_t>(threads_, n_rows));
    std::vector<std::thread> team;
    team.reserve(static_cast<size_t>(n));
    for (int i = 0; i < n; ++i) team.emplace_back(work, n_rows * i / n, n_rows * (i + 1) / n);
    for (std::thread& thread : team) thread.join();
    return out;
  }

  int distinct_rows_, threads_;
  std::mt19937_64 rng_;
  std::map<std::pair<ggml_type, int64_t>, std::vector<uint8_t>> pool_;
};

struct GgufDeleter {
  void operator()(gguf_context* c) const { gguf_free(c); }
};
struct GgmlDeleter {
  void operator()(ggml_context* c) const { ggml_free(c); }
};
using Gguf = std::unique_ptr<gguf_context, GgufDeleter>;

// The file could not be written; everything else that is wrong is a std::runtime_error.
class WriteError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline size_t tensor_bytes(const Tensor& t) {
  return ggml_row_size(t.type, t.columns) * static_cast<size_t>(t.n_rows());
}

inline std::string size_text(size_t bytes) { return std::to_string(bytes / 1'000'000 + 1) + " MB"; }

// Throws: WriteError if there is no room for so many bytes where `path` is to be.
inline void require_space(const std::string& path, size_t n_bytes) {
  std::error_code failure;
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  const auto space = std::filesystem::space(folder, failure);
  if (failure || space.available >= n_bytes) return;
  throw WriteError("cannot write " + path + ": it needs " + size_text(n_bytes) + ", but " +
                   size_text(space.available) + " are free; free some or write elsewhere");
}

// Throws: std::runtime_error if the new model would overwrite the one that it is made of.
inline void require_other_file(const std::string& in, const std::string& out) {
  std::error_code ignored;
  if (std::filesystem::equivalent(in, out, ignored)) {
    fail("the new model would overwrite the original \"" + in + "\"; give another name");
  }
}

// A file under a temporary name until it is complete; an incomplete one is removed.
class PartialFile {
 public:
  explicit PartialFile(const std::string& path) : path_(path), name_(path + ".partial") {}
  ~PartialFile() {
    if (!is_complete_) std::remove(name_.c_str());
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  const std::string& name() const { return name_; }
  [[noreturn]] void fail() const {
    throw WriteError("cannot write " + path_ + ": " + std::strerror(errno) +
                     "; check the path and the free space");
  }
  void complete() {
    if (std::rename(name_.c_str(), path_.c_str()) != 0) fail();
    is_complete_ = true;
  }

 private:
  std::string path_, name_;
  bool is_complete_ = false;
};

// The header from `out` (its keys set already, no tensors yet), then what `data` gives per tensor.
inline void write_gguf(const std::string& path, gguf_context* out,
                       const std::vector<Tensor>& tensors,
                       const std::function<std::vector<uint8_t>(const Tensor&)>& data) {
  const std::unique_ptr<ggml_context, GgmlDeleter> meta(
      ggml_init({(tensors.size() + 1) * ggml_tensor_overhead(), nullptr, true}));
  for (const Tensor& t : tensors) {
    const int64_t sizes[] = {t.columns, t.rows, t.n_matrices};
    ggml_tensor* shape = ggml_new_tensor(meta.get(), t.type,
                                         t.n_matrices > 1 ? 3
                                         : t.rows > 1     ? 2
                                                          : 1,
                                         sizes);
    ggml_set_name(shape, t.name.c_str());
    gguf_add_tensor(out, shape);
  }
  PartialFile partial(path);
  // ggml says nothing about why it could not open a file.
  std::ofstream file(partial.name(), std::ios::binary);
  if (!file) partial.fail();
  file.close();
  if (!gguf_write_to_file(out, partial.name().c_str(), true)) partial.fail();

  file.open(partial.name(), std::ios::binary | std::ios::app);
  const size_t alignment = gguf_get_alignment(out);
  for (const Tensor& t : tensors) {
    std::vector<uint8_t> bytes = data(t);
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    if (!file) partial.fail();
  }
  file.close();
  if (!file) partial.fail();
  partial.complete();
}

inline std::vector<uint8_t> bytes_of(const std::vector<float>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace gumbelspec::scale

#endif  // GUMBELSPEC_APPS_SCALE_GGUF_WRITER_H_
