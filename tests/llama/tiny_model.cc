#include "tests/llama/tiny_model.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <vector>

#include "gguf.h"
#include "testing/ggml_weights.h"
#include "tests/llama/tiny_vocabulary.h"

namespace gumbelspec::testing {
namespace {

// SplitMix64: the same weights with every standard library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  // Uniform in [-1, 1).
  float next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    z ^= z >> 31U;
    return static_cast<float>(z >> 40U) / static_cast<float>(1U << 23U) - 1.0F;
  }

 private:
  std::uint64_t state_;
};

class Writer {
 public:
  explicit Writer(const TinyModel& model)
      : model_(model),
        gguf_(gguf_init_empty(), &gguf_free),
        tensors_(ggml_init({kMaxTensors * ggml_tensor_overhead(), nullptr, true}), &ggml_free),
        random_(model.seed) {}

  void write(const std::string& path) {
    write_vocabulary(gguf_.get(), model_.vocabulary);
    if (!model_.vocabulary.is_there) set_count("vocab_size", n_vocab());
    if (is("bert")) gguf_set_val_u32(gguf_.get(), "tokenizer.ggml.token_type_count", 2);
    write_parameters();
    write_tensors();
    if (!gguf_write_to_file(gguf_.get(), path.c_str(), false)) {
      throw std::runtime_error("cannot write " + path);
    }
    if (model_.alignment != kAlignment) realign(path);
  }

 private:
  static constexpr std::size_t kMaxTensors = 4096;
  static constexpr std::uint32_t kAlignment = 32;  // what ggml's writer always writes with

  // Moves the data to where a reader of another alignment looks for it. The tensors keep their
  // distances: those of these models take multiples of 64 bytes.
  void realign(const std::string& path) const {
    std::ifstream in(path, std::ios::binary);
    std::string file{std::istreambuf_iterator<char>(in), {}};
    in.close();
    std::size_t n_data = 0;
    for (const auto& bytes : data_) {
      if (bytes.size() % 64 != 0) throw std::runtime_error("a tensor cannot be realigned");
      n_data += bytes.size();
    }
    const ggml_tensor* last = nullptr;
    for (ggml_tensor* t = ggml_get_first_tensor(tensors_.get()); t != nullptr;
         t = ggml_get_next_tensor(tensors_.get(), t)) {
      last = t;
    }
    // Behind a tensor's name: number of dimensions, dimensions, type, offset.
    const std::size_t n_begin = file.size() - n_data;
    const auto n_dims = static_cast<std::size_t>(ggml_n_dims(last));
    const std::size_t n_header = file.rfind(ggml_get_name(last), n_begin) +
                                 std::strlen(ggml_get_name(last)) + 4 + 8 * n_dims + 4 + 8;
    std::string moved = file.substr(0, n_header);
    moved.resize((n_header + model_.alignment - 1) / model_.alignment * model_.alignment, '\0');
    std::ofstream(path, std::ios::binary) << moved << file.substr(n_begin);
  }

  [[nodiscard]] bool is(const char* architecture) const {
    return model_.architecture == architecture;
  }
  [[nodiscard]] std::int64_t head_size() const { return model_.n_embd / model_.n_head; }
  [[nodiscard]] std::int64_t n_embd_kv() const { return head_size() * model_.n_head_kv; }
  [[nodiscard]] std::int64_t n_vocab() const {
    const TinyVocabulary& vocabulary = model_.vocabulary;
    if (!vocabulary.file.empty()) {
      const auto tokens = gguf_find_key(gguf_.get(), "tokenizer.ggml.tokens");
      return static_cast<std::int64_t>(gguf_get_arr_n(gguf_.get(), tokens));
    }
    return vocabulary.n_tokens + vocabulary.n_unused + vocabulary.n_control;
  }

  std::string key(const char* name) const { return model_.architecture + "." + name; }
  void set_count(const char* name, std::int64_t value) {
    gguf_set_val_u32(gguf_.get(), key(name).c_str(), static_cast<std::uint32_t>(value));
  }
  void set_real(const char* name, float value) {
    gguf_set_val_f32(gguf_.get(), key(name).c_str(), value);
  }

  void write_parameters() {
    gguf_set_val_str(gguf_.get(), "general.architecture", model_.architecture.c_str());
    if (model_.alignment != kAlignment) {
      gguf_set_val_u32(gguf_.get(), "general.alignment", model_.alignment);
    }
    set_count("context_length", model_.n_context);
    set_count("embedding_length", model_.n_embd);
    set_count("block_count", model_.n_layer_said < 0 ? model_.n_layer : model_.n_layer_said);
    set_real("attention.layer_norm_rms_epsilon", 1e-5F);
    set_real("attention.layer_norm_epsilon", 1e-5F);
    const bool has_attention = !is("mamba");
    set_count("feed_forward_length", has_attention ? model_.n_ff : 0);
    set_count("attention.head_count", has_attention ? model_.n_head : 0);
    if (is("jamba")) {
      std::vector<std::uint32_t> n_head_kv;
      for (std::int64_t i = 0; i < model_.n_layer; ++i) {
        n_head_kv.push_back(i % 2 == 0 ? 0U : static_cast<std::uint32_t>(model_.n_head_kv));
      }
      gguf_set_arr_data(gguf_.get(), key("attention.head_count_kv").c_str(), GGUF_TYPE_UINT32,
                        n_head_kv.data(), n_head_kv.size());
    } else if (has_attention) {
      set_count("attention.head_count_kv", model_.n_head_kv);
    }
    if (is("gemma2") || is("gemma3")) {
      set_count("attention.sliding_window", model_.n_window);
      set_count("attention.key_length", head_size());
      set_count("attention.value_length", head_size());
    }
    if (is("gemma2")) {
      set_real("attn_logit_softcapping", 50.0F);
      set_real("final_logit_softcapping", 30.0F);
    }
    if (is("phi3")) set_count("rope.dimension_count", head_size());
    if (model_.n_context_original > 0) {
      set_count("rope.scaling.original_context_length", model_.n_context_original);
    }
    if (is("t5")) set_count("attention.relative_buckets_count", 8);
    if (model_.pooling_type >= 0) set_count("pooling_type", model_.pooling_type);
    if (!model_.is_causal) gguf_set_val_bool(gguf_.get(), key("attention.causal").c_str(), false);
    if (is("mamba") || is("jamba")) {
      set_count("ssm.conv_kernel", 4);
      set_count("ssm.inner_size", 2 * model_.n_embd);
      set_count("ssm.state_size", 8);
      set_count("ssm.time_step_rank", 8);
    }
  }

  // A tensor with values in center + [-scale, scale).
  void add(const std::string& name, std::int64_t n0, std::int64_t n1, float center, float scale,
           ggml_type type) {
    ggml_tensor* tensor = n1 == 0 ? ggml_new_tensor_1d(tensors_.get(), type, n0)
                                  : ggml_new_tensor_2d(tensors_.get(), type, n0, n1);
    ggml_set_name(tensor, name.c_str());
    std::vector<float> values(static_cast<std::size_t>(ggml_nelements(tensor)));
    // Constants take no numbers, so that they do not change the other tensors.
    for (float& value : values) {
      value = scale == 0.0F ? center : center + scale * random_.next();
    }
    auto& bytes = data_.emplace_back(ggml_nbytes(tensor));
    if (type == GGML_TYPE_F32) {
      std::memcpy(bytes.data(), values.data(), bytes.size());
    } else {
      store_weights(type, values.data(), ggml_nrows(tensor), n0, bytes.data());
    }
    gguf_add_tensor(gguf_.get(), tensor);
    gguf_set_tensor_data(gguf_.get(), name.c_str(), bytes.data());
  }
  void matrix(const std::string& name, std::int64_t n_in, std::int64_t n_out) {
    // Twice the variance-preserving scale, so that attention is far from uniform.
    const float scale = 2.0F * std::sqrt(3.0F / static_cast<float>(n_in));
    add(name, n_in, n_out, 0.0F, scale,
        n_in % 256 == 0 || !ggml_is_quantized(model_.weights) ||
                ggml_blck_size(model_.weights) <= 32
            ? model_.weights
            : model_.narrow_weights);
  }
  void table(const std::string& name, std::int64_t n_in, std::int64_t n_rows) {
    add(name, n_in, n_rows, 0.0F, 1.0F, GGML_TYPE_F32);
  }
  void norm(const std::string& name, std::int64_t n) {
    add(name + ".weight", n, 0, 1.0F, 0.1F, GGML_TYPE_F32);
    if (has_bias()) bias(name, n);
  }
  void bias(const std::string& name, std::int64_t n) {
    add(name + ".bias", n, 0, 0.0F, 0.1F, GGML_TYPE_F32);
  }
  [[nodiscard]] bool has_bias() const { return is("phi2") || is("gpt2") || is("bert"); }

  void write_tensors() {
    add("token_embd.weight", model_.n_embd, n_vocab(), 0.0F, 1.0F, model_.embeddings);
    if (is("t5")) return write_t5();
    if (is("bert")) {
      table("token_types.weight", model_.n_embd, 2);
      norm("token_embd_norm", model_.n_embd);
    } else {
      norm("output_norm", model_.n_embd);
      if (!is("gemma2")) matrix("output.weight", model_.n_embd, n_vocab());
      if (is("phi2")) bias("output", n_vocab());
    }
    if (is("gpt2") || is("bert")) table("position_embd.weight", model_.n_embd, model_.n_context);
    if (is("phi3") && model_.n_context_original > 0) {
      add("rope_factors_short.weight", head_size() / 2, 0, 1.0F, 0.0F, GGML_TYPE_F32);
      add("rope_factors_long.weight", head_size() / 2, 0, 4.0F, 0.0F, GGML_TYPE_F32);
    }
    for (std::int64_t i = 0; i < model_.n_layer; ++i) {
      const std::string block = "blk." + std::to_string(i) + ".";
      if (is("mamba") || (is("jamba") && i % 2 == 0)) {
        write_recurrent(block);
      } else {
        write_attention(block);
      }
      if (!is("mamba")) write_feed_forward(block);
    }
    if (!model_.ranks) return;
    matrix("cls.weight", model_.n_embd, model_.n_embd);
    bias("cls", model_.n_embd);
    matrix("cls.output.weight", model_.n_embd, 1);
  }

  void write_attention(const std::string& block) {
    const std::int64_t n = model_.n_embd;
    norm(block + (is("bert") ? "attn_output_norm" : "attn_norm"), n);
    if (is("gpt2") || is("cogvlm")) {
      matrix(block + "attn_qkv.weight", n, n + 2 * n_embd_kv());
      if (is("gpt2")) bias(block + "attn_qkv", n + 2 * n_embd_kv());
    } else {
      matrix(block + "attn_q.weight", n, n);
      matrix(block + "attn_k.weight", n, n_embd_kv());
      matrix(block + "attn_v.weight", n, n_embd_kv());
    }
    if (is("qwen2")) {
      bias(block + "attn_q", n);
      bias(block + "attn_k", n_embd_kv());
      bias(block + "attn_v", n_embd_kv());
    }
    if (is("qwen3") || is("gemma3")) {
      norm(block + "attn_q_norm", head_size());
      norm(block + "attn_k_norm", head_size());
    }
    if (is("chameleon")) {
      for (const char* part : {"attn_q_norm", "attn_k_norm"}) {
        const bool is_q = std::strcmp(part, "attn_q_norm") == 0;
        add(block + part + ".weight", head_size(), is_q ? model_.n_head : model_.n_head_kv, 1.0F,
            0.1F, GGML_TYPE_F32);
      }
    }
    matrix(block + "attn_output.weight", n, n);
    if (has_bias()) bias(block + "attn_output", n);
    if (is("cogvlm")) write_vision_expert(block);
    if (is("gemma2") || is("gemma3")) {
      norm(block + "post_attention_norm", n);
      norm(block + "post_ffw_norm", n);
    }
  }

  // What images would go through.
  void write_vision_expert(const std::string& block) {
    const std::int64_t n = model_.n_embd;
    matrix(block + "vis_attn_qkv.weight", n, 3 * n);
    matrix(block + "vis_attn_output.weight", n, n);
    matrix(block + "vis_gate.weight", n, model_.n_ff);
    matrix(block + "vis_up.weight", n, model_.n_ff);
    matrix(block + "vis_down.weight", model_.n_ff, n);
  }

  void write_recurrent(const std::string& block) {
    const std::int64_t n = model_.n_embd;
    const std::int64_t n_inner = 2 * n;
    norm(block + "attn_norm", n);
    matrix(block + "ssm_in.weight", n, 2 * n_inner);
    table(block + "ssm_conv1d.weight", 4, n_inner);
    bias(block + "ssm_conv1d", n_inner);
    matrix(block + "ssm_x.weight", n_inner, 8 + 2 * 8);
    table(block + "ssm_dt.weight", 8, n_inner);
    bias(block + "ssm_dt", n_inner);
    if (is("jamba")) {
      for (const char* name : {"ssm_dt_norm", "ssm_b_norm", "ssm_c_norm"}) norm(block + name, 8);
    }
    add(block + "ssm_a", 8, n_inner, -1.0F, 0.5F, GGML_TYPE_F32);
    add(block + "ssm_d", n_inner, 0, 1.0F, 0.1F, GGML_TYPE_F32);
    matrix(block + "ssm_out.weight", n_inner, n);
  }

  void write_feed_forward(const std::string& block) {
    const std::int64_t n = model_.n_embd;
    const bool has_gate = !has_bias() && !is("phi3");
    if (is("bert")) norm(block + "layer_output_norm", n);
    if (!is("bert") && !is("phi2")) norm(block + "ffn_norm", n);
    if (has_gate) matrix(block + "ffn_gate.weight", n, model_.n_ff);
    matrix(block + "ffn_up.weight", n, is("phi3") ? 2 * model_.n_ff : model_.n_ff);
    matrix(block + "ffn_down.weight", model_.n_ff, n);
    if (has_bias()) {
      bias(block + "ffn_up", model_.n_ff);
      bias(block + "ffn_down", n);
    }
  }

  void write_t5() {
    const std::int64_t n = model_.n_embd;
    const std::int64_t n_kv = head_size() * model_.n_head_kv;
    for (const std::string side : {"enc.", "dec."}) {
      norm(side + "output_norm", n);
      for (std::int64_t i = 0; i < model_.n_layer; ++i) {
        const std::string block = side + "blk." + std::to_string(i) + ".";
        for (const std::string part : {"attn_", "cross_attn_"}) {
          if (side == "enc." && part == "cross_attn_") continue;
          norm(block + part + "norm", n);
          for (const char* name : {"q", "k", "v"}) {
            matrix(block + part + name + ".weight", n, n_kv);
          }
          matrix(block + part + "o.weight", n_kv, n);
        }
        add(block + "attn_rel_b.weight", model_.n_head, 8, 0.0F, 1.0F, GGML_TYPE_F32);
        norm(block + "ffn_norm", n);
        matrix(block + "ffn_up.weight", n, model_.n_ff);
        matrix(block + "ffn_down.weight", model_.n_ff, n);
      }
    }
  }

  const TinyModel& model_;
  std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf_;
  std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors_;
  Random random_;
  std::vector<std::vector<char>> data_;
};

}  // namespace

void write_tiny_model(const TinyModel& model, const std::string& path) {
  Writer(model).write(path);
}

}  // namespace gumbelspec::testing
