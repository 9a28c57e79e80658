#include "apps/scale/scaler.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>
#include <system_error>

namespace gumbelspec::scale {
namespace {

std::string name_of(const Source& source, const std::string& path) {
  const std::int64_t id = gguf_find_key(source.gguf(), "general.name");
  return id < 0 ? std::filesystem::path(path).filename().string()
                : std::string(gguf_get_val_str(source.gguf(), id));
}

std::vector<std::uint8_t> ids(const Tensor& t, const ggml_tensor* original) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(t.columns));
  std::iota(ids.begin(), ids.end(), 0);
  if (original != nullptr) std::memcpy(ids.data(), original->data, ids.size() * sizeof ids[0]);
  std::vector<std::uint8_t> bytes(ids.size() * sizeof ids[0]);
  std::memcpy(bytes.data(), ids.data(), bytes.size());
  return bytes;
}

}  // namespace

const std::map<std::string, Part>& layer_parts() {
  static const std::map<std::string, Part> kParts = {
      {"attn_norm", {Axis::embd, Axis::one, Rest::zero}},
      {"attn_q", {Axis::embd, Axis::heads, Rest::noise}},
      {"attn_k", {Axis::embd, Axis::heads_kv, Rest::noise}},
      {"attn_v", {Axis::embd, Axis::heads_kv, Rest::noise}},
      {"attn_output", {Axis::heads, Axis::embd, Rest::zero}},
      {"ffn_norm", {Axis::embd, Axis::one, Rest::zero}},
      {"ffn_gate", {Axis::embd, Axis::ff, Rest::noise}},
      {"ffn_up", {Axis::embd, Axis::ff, Rest::noise}},
      {"ffn_down", {Axis::ff, Axis::embd, Rest::zero}}};
  return kParts;
}

Scaler::Scaler(const Source& source, const Sizes& from, const Sizes& to,
               const std::vector<NamedPart>& parts, const std::optional<Padding>& padding,
               const ScaleOptions& o)
    : source_(source),
      old_(from),
      new_(to),
      padding_(padding),
      type_(type_named(o.type)),
      noise_(o.distinct_rows, o.threads, o.seed) {
  require_growth();
  ggml_quantize_init(type_);
  for (const NamedPart& named : parts) add(named.name, named.part);
}

void Scaler::require_growth() const {
  const auto grows = [](const char* name, int from, int to) {
    if (to < from) {
      fail(std::string(name) + " is " + std::to_string(to) + ", but the original has " +
           std::to_string(from) + "; give at least that");
    }
  };
  const ModelShape& from = old_.shape;
  const ModelShape& to = new_.shape;
  if (to.heads % to.heads_kv != 0) {
    fail("--heads is " + std::to_string(to.heads) + ", which is no multiple of --heads-kv " +
         std::to_string(to.heads_kv) + "; give one");
  }
  grows("--layers", from.layers, to.layers);
  grows("--embd", from.embd, to.embd);
  grows("--ff", from.ff, to.ff);
  grows("--heads-kv", from.heads_kv, to.heads_kv);
  grows("--heads / --heads-kv", from.heads / from.heads_kv, to.heads / to.heads_kv);
}

std::vector<std::uint8_t> Scaler::data(const Tensor& t) {
  const Part& part = parts_.at(t.name);
  const ggml_tensor* original = source_.find(t.name);
  if (part.rest == Rest::ids) return ids(t, original);
  if (part.rows == Axis::one) return norm(t, original, part.columns);
  if (part.rows == Axis::vocab && padding_) return padded_table(t, original);
  std::vector<std::uint8_t> out = part.rest == Rest::noise ? noise_.matrix(t) : zeros(t);
  if (original != nullptr) place(original, part, t, &out);
  return out;
}

void Scaler::add(const std::string& name, const Part& part) {
  const ggml_type type = part.rest == Rest::ids   ? GGML_TYPE_I64
                         : part.rows == Axis::one ? GGML_TYPE_F32
                                                  : type_;
  const Tensor t = {name, type, size(part.columns), size(part.rows)};
  if (t.columns % ggml_blck_size(t.type) != 0) {
    fail(name + " would have rows of " + std::to_string(t.columns) +
         ", but the type needs a multiple of " + std::to_string(ggml_blck_size(t.type)) +
         "; change --embd, --ff or --heads");
  }
  parts_[name] = part;
  tensors_.push_back(t);
}

std::int64_t Scaler::size(Axis axis) const {
  const std::int64_t head_dim = source_.head_dim();
  const ModelShape& shape = new_.shape;
  switch (axis) {
    case Axis::one:
      return 1;
    case Axis::vocab:
      return new_.n_vocab;
    case Axis::drafted:
      return source_.find("output.weight")->ne[1];
    case Axis::embd:
      return shape.embd;
    case Axis::embd_twice:
      return 2 * static_cast<std::int64_t>(shape.embd);
    case Axis::states:
      return 3 * new_.n_state;
    case Axis::ff:
      return shape.ff;
    case Axis::heads:
      return head_dim * shape.heads;
    case Axis::heads_kv:
      return head_dim * shape.heads_kv;
  }
  fail("unknown axis");
}

// What stands side by side stays so, each with its new dimensions behind it. A query head must stay
// with its kv head, so it moves to the group of that one.
std::int64_t Scaler::moved(Axis axis, std::int64_t i) const {
  const auto moved_block = [i](std::int64_t from, std::int64_t to) {
    return i / from * to + i % from;
  };
  if (axis == Axis::embd_twice) return moved_block(old_.shape.embd, new_.shape.embd);
  if (axis == Axis::states) return moved_block(old_.n_state, new_.n_state);
  if (axis != Axis::heads) return i;
  const std::int64_t head_dim = source_.head_dim();
  const std::int64_t head = i / head_dim, group = old_.shape.heads / old_.shape.heads_kv;
  const std::int64_t to = head / group * (new_.shape.heads / new_.shape.heads_kv) + head % group;
  return to * head_dim + i % head_dim;
}

void Scaler::quantise(const Tensor& t, const std::vector<float>& row, std::uint8_t* to) const {
  // Some types cannot do without: every column is worth the same.
  const std::vector<float> importance(row.size(), 1.0F);
  ggml_quantize_chunk(t.type, row.data(), to, 0, 1, t.columns,
                      ggml_quantize_requires_imatrix(t.type) ? importance.data() : nullptr);
}

std::vector<std::uint8_t> Scaler::zeros(const Tensor& t) const {
  const std::size_t row_bytes = ggml_row_size(t.type, t.columns);
  std::vector<std::uint8_t> row(row_bytes), out;
  quantise(t, std::vector<float>(static_cast<std::size_t>(t.columns)), row.data());
  out.reserve(row_bytes * static_cast<std::size_t>(t.rows));
  for (std::int64_t r = 0; r < t.rows; ++r) out.insert(out.end(), row.begin(), row.end());
  return out;
}

// Columns move in whole heads or not at all: with heads of whole blocks of 32, a Q8_0 block stays
// one and is quantised to the values it had.
void Scaler::place(const ggml_tensor* original, const Part& part, const Tensor& t,
                   std::vector<std::uint8_t>* out) const {
  const std::vector<float> values = floats_of(original);
  const std::size_t row_bytes = ggml_row_size(t.type, t.columns);
  const std::int64_t n_columns = original->ne[0];
  std::vector<float> row(static_cast<std::size_t>(t.columns));
  for (std::int64_t r = 0; r < original->ne[1]; ++r) {
    for (std::int64_t c = 0; c < n_columns; ++c) {
      row.at(static_cast<std::size_t>(moved(part.columns, c))) =
          values[static_cast<std::size_t>(r * n_columns + c)];
    }
    quantise(t, row, out->data() + static_cast<std::size_t>(moved(part.rows, r)) * row_bytes);
  }
}

std::vector<std::uint8_t> Scaler::padded_table(const Tensor& t, const ggml_tensor* original) const {
  const std::vector<float> values = floats_of(original);
  const std::size_t row_bytes = ggml_row_size(t.type, t.columns);
  const auto n_columns = original->ne[0];
  std::vector<std::uint8_t> out(row_bytes * static_cast<std::size_t>(t.rows));
  for (std::int64_t r = 0; r < t.rows; ++r) {
    std::vector<float> row(static_cast<std::size_t>(t.columns));
    if (r < padding_->n_real) std::copy_n(values.begin() + r * n_columns, n_columns, row.begin());
    if (t.name == "output.weight") {
      padding_->fill_output(r, row);
    } else {
      padding_->fill_embedding(r, row);
    }
    quantise(t, row, out.data() + static_cast<std::size_t>(r) * row_bytes);
  }
  return out;
}

// The mean square over more dimensions, the new ones zero, is old / new of what it was.
std::vector<std::uint8_t> Scaler::norm(const Tensor& t, const ggml_tensor* original,
                                       Axis axis) const {
  std::vector<float> weights(static_cast<std::size_t>(t.columns), 1.0F);
  if (original != nullptr) {
    const std::vector<float> values = floats_of(original);
    const double scale =
        std::sqrt(static_cast<double>(values.size()) / static_cast<double>(weights.size()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto to = static_cast<std::size_t>(moved(axis, static_cast<std::int64_t>(i)));
      weights.at(to) = static_cast<float>(static_cast<double>(values[i]) * scale);
    }
  }
  if (padding_ && t.name == "output_norm.weight") {
    padding_->fill_final_norm(weights);
  } else if (padding_) {
    std::fill_n(weights.begin() + padding_->first_dim, padding_->n_dims, 0.0F);
  }
  return bytes_of(weights);
}

std::size_t write_scaled(const Source& source, Scaler& scaler, const ScaleOptions& o,
                         const std::function<void(gguf_context*)>& set_keys) {
  std::size_t n_bytes = 0;
  for (const Tensor& t : scaler.tensors()) n_bytes += tensor_bytes(t);
  require_space(o.out, n_bytes);
  const Gguf out(gguf_init_empty());
  gguf_set_kv(out.get(), source.gguf());
  set_keys(out.get());
  std::size_t n_done = 0;
  write_gguf(o.out, out.get(), scaler.tensors(), [&](const Tensor& t) {
    if (o.on_progress) o.on_progress(static_cast<double>(n_done) / static_cast<double>(n_bytes));
    n_done += tensor_bytes(t);
    return scaler.data(t);
  });
  return n_bytes;
}

void set_names(const Source& source, const std::string& path, const std::string& change,
               gguf_context* gguf) {
  constexpr const char* kFrom = "gumbelspec.scaled_from";
  const std::string name = name_of(source, path);
  gguf_set_val_str(gguf, "general.name", (name + ", " + change).c_str());
  // Of a model that was made so itself, what that was made of stays.
  if (gguf_find_key(gguf, kFrom) < 0) gguf_set_val_str(gguf, kFrom, name.c_str());
  gguf_remove_key(gguf, "general.file_type");
}

void set_names(const Source& source, const std::string& path, const ModelShape& shape,
               gguf_context* gguf) {
  set_names(source, path,
            "scaled to " + std::to_string(shape.layers) + " layers of " +
                std::to_string(shape.embd) + " dimensions",
            gguf);
}

}  // namespace gumbelspec::scale
