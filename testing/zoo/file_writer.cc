#include "testing/zoo/file_writer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include "ggml.h"
#include "llama.h"
#include "testing/zoo/comparison.h"
#include "testing/zoo/plain_llama.h"
#include "testing/zoo/weights.h"

namespace gumbelspec::zoo {
namespace {

struct GgmlDeleter {
  void operator()(ggml_context* context) const { ggml_free(context); }
};

// The tensors that llama.cpp asks for when it makes a model of these parameters.
std::vector<TensorShape> tensors_of(gguf_context* gguf) {
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = 0;
  params.load_mtp = true;
  std::vector<TensorShape> shapes;
  const auto collect = [](ggml_tensor* tensor, void* data) {
    auto& all = *static_cast<std::vector<TensorShape>*>(data);
    // Some stand twice in a model, but only once in a file.
    const auto is_same = [&](const TensorShape& s) { return s.name == tensor->name; };
    if (std::any_of(all.begin(), all.end(), is_same)) return;
    if (tensor->type != GGML_TYPE_F32 && tensor->type != GGML_TYPE_F16) {
      throw std::runtime_error(std::string("tensor ") + tensor->name + " is of type " +
                               ggml_type_name(tensor->type) + ", which is not written here");
    }
    TensorShape& shape = all.emplace_back();
    shape.name = tensor->name;
    std::copy(tensor->ne, tensor->ne + 4, shape.ne.begin());
  };
  llama_model* model = llama_model_init_from_user(gguf, collect, &shapes, params);
  if (model == nullptr) throw std::runtime_error("llama.cpp: " + last_llama_error());
  llama_model_free(model);
  return shapes;
}

// Of each layer, the projections to queries, keys and values in one matrix, as some files have it.
void fuse_projections(std::vector<TensorShape>& shapes) {
  constexpr std::string_view kQuery = "attn_q.weight";
  for (TensorShape& query : shapes) {
    const auto at = query.name.find(kQuery);
    if (at == std::string::npos) continue;
    const std::string prefix = query.name.substr(0, at);
    query.name = prefix + "attn_qkv.weight";
    for (TensorShape& other : shapes) {
      if (other.name != prefix + "attn_k.weight" && other.name != prefix + "attn_v.weight")
        continue;
      query.ne[1] += other.ne[1];
      other.ne[1] = 0;
    }
  }
  std::erase_if(shapes, [](const TensorShape& shape) { return shape.ne[1] == 0; });
}

class Writer {
 public:
  Writer(const ZooModel& model, std::uint64_t seed, std::string path)
      : gguf_(parameters_of(model)), seed_(seed), path_(std::move(path)) {
    try {
      tensors_ = tensors_of(gguf_.get());
      if (model.is_fused) fuse_projections(tensors_);
    } catch (const std::runtime_error&) {
      if (model.refusal.empty()) throw;
      // Nobody gets as far as the tensors.
      tensors_ = {{"token_embd.weight", {32, 128, 1, 1}}};
    }
    scales_.has_output = std::any_of(tensors_.begin(), tensors_.end(), [](const TensorShape& t) {
      return t.name == "output.weight";
    });
  }

  void leave_out(std::set<int> groups) { omitted_ = std::move(groups); }

  // Leaves out what not every file of the architecture has.
  void leave_out_optional() {
    for (int group = 1; group <= kOptionalGroups; ++group) {
      omitted_.insert(group);
      write();
      try {
        (void)PlainLlama(path_);
      } catch (const std::runtime_error&) {
        omitted_.erase(group);
      }
    }
  }

  Sight calibrate() {
    // In deep models sharp attention makes much of little: of roundings, too.
    constexpr float kMuch = 0.01F;
    Sight sight;
    for (const float sharpness : {1.4F, 1.0F, 0.7F, 0.5F}) {
      scales_.sharpness = sharpness;
      sight = calibrate_scales();
      if (sight.rounding <= kMuch) break;
    }
    return sight;
  }

  void write() const;

  void write_nudged(std::string path, float nudge) {
    std::swap(path, path_);
    scales_.nudge = 1.0F + nudge;
    write();
    scales_.nudge = 1.0F;
    std::swap(path, path_);
  }

 private:
  [[nodiscard]] Sight look() const;
  Sight calibrate_scales();

  Gguf gguf_;
  std::uint64_t seed_;
  std::string path_;
  std::vector<TensorShape> tensors_;
  std::set<int> omitted_;
  WeightScales scales_;
};

// Some architectures forbid tokens by a very small logit.
bool is_allowed(float logit) { return logit > -1e30F; }

float deviation(std::span<const float> row) {
  double sum = 0.0;
  double squares = 0.0;
  double n = 0.0;
  for (const float x : row) {
    if (!is_allowed(x)) continue;
    sum += x;
    squares += static_cast<double>(x) * x;
    n += 1.0;
  }
  return static_cast<float>(std::sqrt(std::max(0.0, squares / n - sum / n * sum / n)));
}

float change(std::span<const float> a, std::span<const float> b) {
  std::vector<float> difference(a.size());
  std::transform(a.begin(), a.end(), b.begin(), difference.begin(),
                 [](float x, float y) { return is_allowed(x) && is_allowed(y) ? x - y : x; });
  return deviation(difference);
}

std::vector<int> random_text(std::size_t n, std::size_t n_vocab, unsigned& state) {
  std::vector<int> text(n);
  for (int& token : text) {
    state = state * 1664525U + 1013904223U;
    token = static_cast<int>((state >> 8U) % static_cast<unsigned>(n_vocab));
  }
  return text;
}

float rounding_at(const PlainLlama& llama) {
  constexpr std::size_t kText = 40;
  unsigned state = 2;
  const std::vector<int> text = random_text(kText, llama.n_vocab(), state);
  PlainSettings together;
  together.n_prompt = kText;
  // What tokens of a mixture jump to another expert is chance, so the median.
  return difference(llama.own_rows(text, 8), llama.own_rows(text, 8, together)).median;
}

Sight look_at(const PlainLlama& llama) {
  constexpr std::size_t kText = 30;
  constexpr int kTexts = 4;
  PlainSettings together;
  together.n_prompt = kText;
  unsigned state = 1;
  Sight sum;
  for (int i = 0; i < kTexts; ++i) {
    const std::vector<int> text = random_text(kText, llama.n_vocab(), state);
    const auto last_row = [&](const std::vector<int>& t) {
      return llama.rows(t, kText - 1, together).at(0);
    };
    const std::vector<float> row = last_row(text);
    std::vector<int> other = text;
    int& changed = other[kText - 1 - 8];
    changed = (changed + 1) % static_cast<int>(llama.n_vocab());
    std::vector<int> swapped = text;
    std::swap(swapped[kText - 1 - 5], swapped[kText - 1 - 9]);
    const float spread = deviation(row);
    sum.spread += spread / kTexts;
    sum.context += change(row, last_row(other)) / spread / kTexts;
    sum.order += change(row, last_row(swapped)) / spread / kTexts;
  }
  return sum;
}

Sight Writer::calibrate_scales() {
  constexpr float kSpread = 2.0F;
  constexpr float kEnough = 0.5F;
  scales_.output = 1.0F;
  Sight best;
  float best_embedding = 1.0F;
  for (const float embedding : {1.0F, 0.3F, 0.1F, 0.03F}) {
    scales_.embedding = embedding;
    const Sight sight = look();
    if (sight.context > best.context) {
      best = sight;
      best_embedding = embedding;
    }
    if (best.context >= kEnough) break;
  }
  scales_.embedding = best_embedding;
  // More than once: soft caps bend what is scaled.
  for (int i = 0; i < 4 && std::fabs(best.spread - kSpread) > 0.1F * kSpread; ++i) {
    if (!(best.spread > 0.0F)) break;
    scales_.output *= kSpread / best.spread;
    best = look();
  }
  best.rounding = rounding_at(PlainLlama(path_));
  return best;
}

void Writer::write() const {
  const std::unique_ptr<ggml_context, GgmlDeleter> meta(
      ggml_init({(tensors_.size() + 1) * ggml_tensor_overhead(), nullptr, true}));
  const Gguf out(gguf_init_empty());
  gguf_set_kv(out.get(), gguf_.get());
  std::vector<std::vector<float>> data;
  for (const TensorShape& shape : tensors_) {
    if (omitted_.count(optional_group(shape.name)) > 0) continue;
    ggml_tensor* tensor = ggml_new_tensor(meta.get(), GGML_TYPE_F32, 4, shape.ne.data());
    ggml_set_name(tensor, shape.name.c_str());
    gguf_add_tensor(out.get(), tensor);
    gguf_set_tensor_data(out.get(), shape.name.c_str(),
                         data.emplace_back(values_of(shape, scales_, seed_)).data());
  }
  if (!gguf_write_to_file(out.get(), path_.c_str(), false)) {
    throw std::runtime_error("cannot write " + path_);
  }
}

Sight Writer::look() const {
  write();
  return look_at(PlainLlama(path_));
}

llama_ftype file_type(const std::string& weights) {
  if (weights == "q8_0") return LLAMA_FTYPE_MOSTLY_Q8_0;
  if (weights == "q4_k") return LLAMA_FTYPE_MOSTLY_Q4_K_M;
  if (weights == "bf16") return LLAMA_FTYPE_MOSTLY_BF16;
  throw std::runtime_error("weights of type " + weights + " are not known here");
}

}  // namespace

std::string write_unseen_model(const ZooModel& model, std::uint64_t seed,
                               const std::string& folder) {
  std::string path = folder + "/" + model.name + ".gguf";
  Writer writer(model, seed, path);
  writer.leave_out({1, 2, 3});
  writer.write();
  return path;
}

namespace {

void quantize(const std::string& from, const std::string& to, llama_ftype type) {
  llama_model_quantize_params params = llama_model_quantize_default_params();
  // It takes norms with unusual names for matrices.
  static const llama_model_tensor_override kKept[] = {{"norm", GGML_TYPE_F32},
                                                      {nullptr, GGML_TYPE_COUNT}};
  params.tt_overrides = kKept;
  params.nthread = 1;
  params.ftype = type;
  if (llama_model_quantize(from.c_str(), to.c_str(), &params) != 0) {
    throw std::runtime_error("llama.cpp does not quantize it: " + last_llama_error());
  }
}

}  // namespace

WrittenModel write_model(const ZooModel& model, std::uint64_t seed, const std::string& folder) {
  WrittenModel written;
  if (!model.refusal.empty()) {
    written.path = write_unseen_model(model, seed, folder);
    return written;
  }
  const std::string stem = folder + "/" + model.name;
  written.plain_path = stem + ".f32.gguf";
  Writer writer(model, seed, written.plain_path);
  if (!model.is_full) writer.leave_out_optional();
  written.sight = writer.calibrate();
  written.nudged_plain_path = stem + ".nudged.f32.gguf";
  writer.write_nudged(written.nudged_plain_path, 1e-6F);
  written.path = written.plain_path;
  written.nudged_path = written.nudged_plain_path;
  if (model.weights == "f32") return written;
  written.path = stem + ".gguf";
  written.nudged_path = stem + ".nudged.gguf";
  quantize(written.plain_path, written.path, file_type(model.weights));
  // Beside weights in blocks ggml keeps the scales of activations in half precision, ours in
  // single: half of the last bit of such a scale is what may differ.
  const std::string nudged = stem + ".nudged.more.gguf";
  writer.write_nudged(nudged, 0x1p-11F);
  quantize(nudged, written.nudged_path, file_type(model.weights));
  std::remove(nudged.c_str());
  return written;
}

}  // namespace gumbelspec::zoo
