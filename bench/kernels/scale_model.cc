// Writes a larger GGUF model that computes the same function as a small one (llama architecture).
//
//   scale_model --in demo-target-q8_0.gguf --out target-1b.gguf --type q8_0
//               --layers 22 --embd 2048 --ff 5632 --heads 32 --heads-kv 4
//
// A pass costs what a model of the new size costs, while texts, and so the acceptance of drafts,
// stay those of the small model. Random weights would measure speed alone: no draft of theirs is
// ever accepted. The vocabulary, and so the output matrix's number of rows, stays small.
//
// Why the function stays: the new dimensions of the residual stream are zero in the embedding and
// nothing writes to them; what new heads, new feed-forward units and new layers (random weights)
// compute meets zero columns of attn_output and ffn_down.
// It stays up to rounding: a long text can leave the small model's at a near tie.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gguf_writer.h"

namespace {

using namespace gumbelspec::bench;

struct Shape {
  int layers = 22, embd = 2048, ff = 5632, heads = 32, heads_kv = 4;
};

struct Options {
  std::string in, out;
  std::string type = "q8_0";
  Shape shape;
  int distinct_rows = 256;  // noise rows quantised per shape, then repeated; 0: every row its own
  int seed = 1;
  int threads = all_cores();
};

Options parse(int argc, char** argv) {
  Options o;
  parse_options({{{"--layers", &o.shape.layers},
                  {"--embd", &o.shape.embd},
                  {"--ff", &o.shape.ff},
                  {"--heads", &o.shape.heads},
                  {"--heads-kv", &o.shape.heads_kv},
                  {"--threads", &o.threads},
                  {"--distinct-rows", &o.distinct_rows},
                  {"--seed", &o.seed}},
                 {{"--in", &o.in}, {"--out", &o.out}, {"--type", &o.type}},
                 {}},
                argc, argv);
  if (o.in.empty() || o.out.empty()) fail("--in and --out are needed");
  if (o.in == o.out) fail("--out must not be --in");
  if (o.shape.heads_kv < 1 || o.shape.heads % o.shape.heads_kv != 0)
    fail("--heads: a multiple of --heads-kv");
  return o;
}

// The small model: its header, shape and tensors.
class Source {
 public:
  explicit Source(const std::string& path) {
    ggml_context* tensors = nullptr;
    gguf_.reset(gguf_init_from_file(path.c_str(), {false, &tensors}));
    tensors_.reset(tensors);
    if (!gguf_) fail("cannot read " + path);
    const int64_t arch = gguf_find_key(gguf(), "general.architecture");
    if (arch < 0 || std::string(gguf_get_val_str(gguf(), arch)) != "llama")
      fail(path + " is not of the llama architecture");
    shape_.layers = number("llama.block_count", 0);
    shape_.embd = number("llama.embedding_length", 0);
    shape_.ff = number("llama.feed_forward_length", 0);
    shape_.heads = number("llama.attention.head_count", 0);
    shape_.heads_kv = number("llama.attention.head_count_kv", shape_.heads);
    if (shape_.heads < 1 || shape_.heads_kv < 1) fail(path + " has no head counts");
    head_dim_ = number("llama.attention.key_length", shape_.embd / shape_.heads);
    if (number("llama.attention.value_length", head_dim_) != head_dim_)
      fail(path + ": keys and values of different lengths");
  }

  const gguf_context* gguf() const { return gguf_.get(); }
  const Shape& shape() const { return shape_; }
  int head_dim() const { return head_dim_; }
  float epsilon() const {
    const int64_t id = gguf_find_key(gguf(), "llama.attention.layer_norm_rms_epsilon");
    return id < 0 ? 1e-5f : gguf_get_val_f32(gguf(), id);
  }
  int64_t n_tensors() const { return gguf_get_n_tensors(gguf()); }
  // Null where there is none of that name.
  const ggml_tensor* find(const std::string& name) const {
    return ggml_get_tensor(tensors_.get(), name.c_str());
  }

 private:
  int number(const char* key, int otherwise) const {
    const int64_t id = gguf_find_key(gguf(), key);
    return id < 0 ? otherwise : static_cast<int>(gguf_get_val_u32(gguf(), id));
  }

  Gguf gguf_;
  std::unique_ptr<ggml_context, GgmlDeleter> tensors_;
  Shape shape_;
  int head_dim_ = 0;
};

std::vector<float> floats_of(const ggml_tensor* t) {
  std::vector<float> out(static_cast<size_t>(ggml_nelements(t)));
  if (t->type == GGML_TYPE_F32) {
    std::memcpy(out.data(), t->data, out.size() * sizeof(float));
  } else {
    const auto to_float = ggml_get_type_traits(t->type)->to_float;
    if (to_float == nullptr) fail(std::string(t->name) + ": its type cannot be read");
    to_float(t->data, out.data(), ggml_nelements(t));
  }
  return out;
}

enum class Axis { one, vocab, embd, ff, heads, heads_kv };
enum class Rest { noise, zero };  // what the new part of a matrix holds

struct Part {
  Axis columns, rows;
  Rest rest;
};

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

class Scaler {
 public:
  Scaler(const Source& source, const Options& o)
      : source_(source),
        old_(source.shape()),
        new_(o.shape),
        type_(type_named(o.type)),
        noise_(o.distinct_rows, o.threads, static_cast<unsigned>(o.seed)) {
    const auto grows = [](const char* name, int from, int to) {
      if (to < from) fail(std::string(name) + " must be at least " + std::to_string(from));
    };
    grows("--layers", old_.layers, new_.layers);
    grows("--embd", old_.embd, new_.embd);
    grows("--ff", old_.ff, new_.ff);
    grows("--heads-kv", old_.heads_kv, new_.heads_kv);
    grows("--heads / --heads-kv", old_.heads / old_.heads_kv, new_.heads / new_.heads_kv);
    ggml_quantize_init(type_);
    list_tensors();
  }

  const std::vector<Tensor>& tensors() const { return tensors_; }

  std::vector<uint8_t> data(const Tensor& t) {
    const Part& part = parts_.at(t.name);
    const ggml_tensor* original = source_.find(t.name);
    if (part.rows == Axis::one) return norm(t, original);
    std::vector<uint8_t> out = part.rest == Rest::noise ? noise_.matrix(t) : zeros(t);
    if (original != nullptr) place(original, part, t, &out);
    return out;
  }

 private:
  void add(const std::string& name, const Part& part, int64_t n_vocab) {
    const Tensor t = {name, part.rows == Axis::one ? GGML_TYPE_F32 : type_,
                      size(part.columns, n_vocab), size(part.rows, n_vocab)};
    if (t.columns % ggml_blck_size(t.type) != 0)
      fail(name + ": columns must be a multiple of " + std::to_string(ggml_blck_size(t.type)));
    parts_[name] = part;
    tensors_.push_back(t);
  }

  void list_tensors() {
    const ggml_tensor* embedding = source_.find("token_embd.weight");
    if (embedding == nullptr) fail("the --in file has no token_embd.weight");
    const int64_t n_vocab = embedding->ne[1];
    int64_t n_found = 0;
    const auto add_found = [&](const std::string& name, const Part& part) {
      if (source_.find(name) != nullptr) ++n_found;
      add(name, part, n_vocab);
    };
    const Part table = {Axis::embd, Axis::vocab, Rest::zero};
    add_found("token_embd.weight", table);
    add_found("output_norm.weight", {Axis::embd, Axis::one, Rest::zero});
    if (source_.find("output.weight") != nullptr) add_found("output.weight", table);
    for (int i = 0; i < new_.layers; ++i) {
      for (const auto& [part, axes] : layer_parts())
        add_found("blk." + std::to_string(i) + "." + part + ".weight", axes);
    }
    // A bias, a frequency table or a missing matrix would change the function without a word.
    if (n_found != source_.n_tensors() ||
        n_found != static_cast<int64_t>(tensors_.size()) -
                       static_cast<int64_t>(layer_parts().size()) * (new_.layers - old_.layers))
      fail("the --in file has tensors that this program does not know, or lacks some");
  }

  int64_t size(Axis axis, int64_t n_vocab) const {
    const int64_t head_dim = source_.head_dim();
    switch (axis) {
      case Axis::one:
        return 1;
      case Axis::vocab:
        return n_vocab;
      case Axis::embd:
        return new_.embd;
      case Axis::ff:
        return new_.ff;
      case Axis::heads:
        return head_dim * new_.heads;
      case Axis::heads_kv:
        return head_dim * new_.heads_kv;
    }
    fail("unknown axis");
  }

  // A query head must stay with its kv head, so it moves to the group of that one.
  int64_t moved(Axis axis, int64_t i) const {
    if (axis != Axis::heads) return i;
    const int64_t head_dim = source_.head_dim();
    const int64_t head = i / head_dim, group = old_.heads / old_.heads_kv;
    const int64_t to = head / group * (new_.heads / new_.heads_kv) + head % group;
    return to * head_dim + i % head_dim;
  }

  void quantise(const Tensor& t, const std::vector<float>& row, uint8_t* to) const {
    ggml_quantize_chunk(t.type, row.data(), to, 0, 1, t.columns, nullptr);
  }

  std::vector<uint8_t> zeros(const Tensor& t) const {
    const size_t row_bytes = ggml_row_size(t.type, t.columns);
    std::vector<uint8_t> row(row_bytes), out;
    quantise(t, std::vector<float>(static_cast<size_t>(t.columns)), row.data());
    out.reserve(row_bytes * static_cast<size_t>(t.rows));
    for (int64_t r = 0; r < t.rows; ++r) out.insert(out.end(), row.begin(), row.end());
    return out;
  }

  // Columns move in whole heads or not at all: with heads of whole blocks of 32, a Q8_0 block stays
  // one and is quantised to the values it had.
  void place(const ggml_tensor* original, const Part& part, const Tensor& t,
             std::vector<uint8_t>* out) const {
    const std::vector<float> values = floats_of(original);
    const size_t row_bytes = ggml_row_size(t.type, t.columns);
    const int64_t n_columns = original->ne[0];
    std::vector<float> row(static_cast<size_t>(t.columns));
    for (int64_t r = 0; r < original->ne[1]; ++r) {
      for (int64_t c = 0; c < n_columns; ++c) {
        row.at(static_cast<size_t>(moved(part.columns, c))) =
            values[static_cast<size_t>(r * n_columns + c)];
      }
      quantise(t, row, out->data() + static_cast<size_t>(moved(part.rows, r)) * row_bytes);
    }
  }

  // The mean square over more dimensions, the new ones zero, is old / new of what it was.
  std::vector<uint8_t> norm(const Tensor& t, const ggml_tensor* original) const {
    std::vector<float> weights(static_cast<size_t>(t.columns), 1.0f);
    if (original != nullptr) {
      const std::vector<float> values = floats_of(original);
      const double scale = std::sqrt(static_cast<double>(old_.embd) / new_.embd);
      for (size_t i = 0; i < values.size(); ++i)
        weights.at(i) = static_cast<float>(static_cast<double>(values[i]) * scale);
    }
    return bytes_of(weights);
  }

  const Source& source_;
  Shape old_, new_;
  ggml_type type_;
  Noise noise_;
  std::vector<Tensor> tensors_;
  std::map<std::string, Part> parts_;
};

void set_parameters(const Source& source, const Shape& s, gguf_context* g) {
  const auto number = [&](const char* key, int value) {
    gguf_set_val_u32(g, key, static_cast<uint32_t>(value));
  };
  const int64_t name = gguf_find_key(source.gguf(), "general.name");
  const std::string scaled = name < 0 ? "model" : gguf_get_val_str(source.gguf(), name);
  gguf_set_val_str(g, "general.name",
                   (scaled + ", scaled to " + std::to_string(s.layers) + " layers of " +
                    std::to_string(s.embd) + " dimensions")
                       .c_str());
  gguf_remove_key(g, "general.file_type");
  number("llama.block_count", s.layers);
  number("llama.embedding_length", s.embd);
  number("llama.feed_forward_length", s.ff);
  number("llama.attention.head_count", s.heads);
  number("llama.attention.head_count_kv", s.heads_kv);
  number("llama.attention.key_length", source.head_dim());
  number("llama.attention.value_length", source.head_dim());
  const double shrink = static_cast<double>(source.shape().embd) / s.embd;
  gguf_set_val_f32(g, "llama.attention.layer_norm_rms_epsilon",
                   static_cast<float>(static_cast<double>(source.epsilon()) * shrink));
}

void write_model(const Options& o) {
  const Source source(o.in);
  Scaler scaler(source, o);
  const Gguf out(gguf_init_empty());
  gguf_set_kv(out.get(), source.gguf());
  set_parameters(source, o.shape, out.get());
  write_gguf(o.out, out.get(), scaler.tensors(), [&](const Tensor& t) { return scaler.data(t); });
}

}  // namespace

int main(int argc, char** argv) {
  try {
    write_model(parse(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "scale_model: %s\n", error.what());
    return 1;
  }
}
