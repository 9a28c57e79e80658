// Writes the small model's tensors into larger ones (why the function stays: scale_model.h).
#ifndef GUMBELSPEC_APPS_SCALE_SCALER_H_
#define GUMBELSPEC_APPS_SCALE_SCALER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/scale/gguf_writer.h"
#include "apps/scale/padding.h"
#include "apps/scale/scale_model.h"
#include "apps/scale/source_model.h"

namespace gumbelspec::scale {

// What a matrix's columns or rows are, and so where those of the small model go in the larger one.
enum class Axis {
  one,         // a vector: one row
  vocab,       // tokens
  drafted,     // tokens that a head can draft: as many as before
  embd,        // the residual stream
  embd_twice,  // a head's layer: a token's embedding, then a state
  states,      // a head's input: the target's residual stream at three layers
  ff,
  heads,
  heads_kv
};
// What the new part of a matrix holds. ids: it is a list of token ids, copied, or 0, 1, 2, ...
enum class Rest { noise, zero, ids };

struct Part {
  Axis columns, rows;
  Rest rest;
};

struct NamedPart {
  std::string name;
  Part part;
};

// "attn_q" and the others of a layer of the llama architecture.
[[nodiscard]] const std::map<std::string, Part>& layer_parts();

// A size before or after.
struct Sizes {
  ModelShape shape;
  std::int64_t n_vocab = 0;
  std::int64_t n_state = 0;  // a head's: width of the target's residual stream
};

class Scaler {
 public:
  // parts: the tensors to write, in this order; those that the source lacks are all new.
  // Lifetime: source and padding must outlive it. Throws: std::runtime_error.
  Scaler(const Source& source, const Sizes& from, const Sizes& to,
         const std::vector<NamedPart>& parts, const std::optional<Padding>& padding,
         const ScaleOptions& o);

  [[nodiscard]] const std::vector<Tensor>& tensors() const { return tensors_; }
  [[nodiscard]] std::vector<std::uint8_t> data(const Tensor& t);

 private:
  void require_growth() const;
  void add(const std::string& name, const Part& part);
  [[nodiscard]] std::int64_t size(Axis axis) const;
  [[nodiscard]] std::int64_t moved(Axis axis, std::int64_t i) const;
  void quantise(const Tensor& t, const std::vector<float>& row, std::uint8_t* to) const;
  [[nodiscard]] std::vector<std::uint8_t> zeros(const Tensor& t) const;
  void place(const ggml_tensor* original, const Part& part, const Tensor& t,
             std::vector<std::uint8_t>* out) const;
  [[nodiscard]] std::vector<std::uint8_t> padded_table(const Tensor& t,
                                                       const ggml_tensor* original) const;
  [[nodiscard]] std::vector<std::uint8_t> norm(const Tensor& t, const ggml_tensor* original,
                                               Axis axis) const;

  const Source& source_;
  Sizes old_, new_;
  const std::optional<Padding>& padding_;
  ggml_type type_;
  Noise noise_;
  std::vector<Tensor> tensors_;
  std::map<std::string, Part> parts_;
};

// Writes the file of `o`; keys: those of the source, changed by set_keys. Returns the bytes of its
// tensors. Throws: WriteError; std::runtime_error.
std::size_t write_scaled(const Source& source, Scaler& scaler, const ScaleOptions& o,
                         const std::function<void(gguf_context*)>& set_keys);

// general.name, which says how the source was changed, and gumbelspec.scaled_from, which tells what
// model the function is. Requires: the keys of the source are there.
void set_names(const Source& source, const std::string& path, const std::string& change,
               gguf_context* gguf);
void set_names(const Source& source, const std::string& path, const ModelShape& shape,
               gguf_context* gguf);

}  // namespace gumbelspec::scale

#endif  // GUMBELSPEC_APPS_SCALE_SCALER_H_
