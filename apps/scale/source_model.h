// The small model that gumbelspec-scale reads.
#ifndef GUMBELSPEC_APPS_SCALE_SOURCE_MODEL_H_
#define GUMBELSPEC_APPS_SCALE_SOURCE_MODEL_H_

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/scale/gguf_writer.h"
#include "apps/scale/model_shape.h"

namespace gumbelspec::scale {

// Its header, shape and tensors.
class Source {
 public:
  explicit Source(const std::string& path) {
    if (!std::filesystem::is_regular_file(path)) {
      fail("model file \"" + path + "\" does not exist or is no file; check the path");
    }
    ggml_context* tensors = nullptr;
    gguf_.reset(gguf_init_from_file(path.c_str(), {false, &tensors}));
    tensors_.reset(tensors);
    if (!gguf_) fail("model file \"" + path + "\" is not a complete GGUF file; convert it again");
    const int64_t arch = gguf_find_key(gguf(), "general.architecture");
    if (arch >= 0) arch_ = gguf_get_val_str(gguf(), arch);
    if (arch_ != "llama" && !is_head()) {
      fail("model file \"" + path +
           "\" is neither of the llama architecture nor an EAGLE-3 head; give one that is");
    }
    shape_.layers = number("block_count", 0);
    shape_.embd = number("embedding_length", 0);
    shape_.ff = number("feed_forward_length", 0);
    shape_.heads = number("attention.head_count", 0);
    shape_.heads_kv = number("attention.head_count_kv", shape_.heads);
    if (shape_.heads < 1 || shape_.heads_kv < 1)
      fail("model file \"" + path + "\" has no head counts; convert it again");
    head_dim_ = number("attention.key_length", shape_.embd / shape_.heads);
    if (number("attention.value_length", head_dim_) != head_dim_)
      fail("model file \"" + path + "\" has keys and values of different lengths; give another");
  }

  const gguf_context* gguf() const { return gguf_.get(); }
  bool is_head() const { return arch_ == "eagle3"; }
  // "llama.context_length" for "context_length".
  std::string key(const std::string& name) const { return arch_ + "." + name; }
  int64_t find_key(const std::string& name) const {
    return gguf_find_key(gguf(), key(name).c_str());
  }
  // Of the key of that name below the architecture's.
  int number(const std::string& name, int otherwise) const {
    const int64_t id = find_key(name);
    return id < 0 || gguf_get_kv_type(gguf(), id) != GGUF_TYPE_UINT32
               ? otherwise
               : static_cast<int>(gguf_get_val_u32(gguf(), id));
  }
  bool flag(const std::string& name) const {
    const int64_t id = find_key(name);
    return id >= 0 && gguf_get_kv_type(gguf(), id) == GGUF_TYPE_BOOL &&
           gguf_get_val_bool(gguf(), id);
  }
  const ModelShape& shape() const { return shape_; }
  int head_dim() const { return head_dim_; }
  int n_ctx() const { return number("context_length", 0); }
  float epsilon() const {
    const int64_t id = find_key("attention.layer_norm_rms_epsilon");
    return id < 0 ? 1e-5f : gguf_get_val_f32(gguf(), id);
  }
  int64_t n_tensors() const { return gguf_get_n_tensors(gguf()); }
  // Whether token_embd.weight is the output matrix, too.
  bool is_tied() const { return find("output.weight") == nullptr; }
  // Null where there is none of that name.
  const ggml_tensor* find(const std::string& name) const {
    return ggml_get_tensor(tensors_.get(), name.c_str());
  }

 private:
  Gguf gguf_;
  std::string arch_;
  std::unique_ptr<ggml_context, GgmlDeleter> tensors_;
  ModelShape shape_;
  int head_dim_ = 0;
};

inline std::vector<float> floats_of(const ggml_tensor* t) {
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

}  // namespace gumbelspec::scale

#endif  // GUMBELSPEC_APPS_SCALE_SOURCE_MODEL_H_
