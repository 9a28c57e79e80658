// Perplexity of a text with the kernels and without, on the same chunks.
//
//   perplexity_bench -m model.gguf -f text.txt [-c 256] [--chunks 100] [-t 2]
//                    [--types all|q4_0,q4_k_m,...]
//
// Each chunk of c tokens is decoded on its own; the second half of it is scored. --types: of the
// model quantised to these, names as llama-quantize has them, every column of a matrix as important
// as the others, in a temporary file; without it, of the model as it is.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "gguf.h"
#include "gumbelspec/kernels.h"
#include "llama.h"
#include "src/llama/backends.h"

namespace {

double negative_log_likelihood(const float* logits, int n_vocab, llama_token token) {
  const float top = *std::max_element(logits, logits + n_vocab);
  double sum = 0.0;
  for (int v = 0; v < n_vocab; ++v) sum += std::exp(static_cast<double>(logits[v] - top));
  return std::log(sum) + top - logits[token];
}

using Arguments = std::map<std::string, std::string>;

// Of v0.5.0's llama-quantize, without those that are mixtures of others.
constexpr struct {
  const char* name;
  llama_ftype type;
} kTypes[] = {{"q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
              {"q6_k", LLAMA_FTYPE_MOSTLY_Q6_K},
              {"q5_k_m", LLAMA_FTYPE_MOSTLY_Q5_K_M},
              {"q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},
              {"q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},
              {"q4_k_m", LLAMA_FTYPE_MOSTLY_Q4_K_M},
              {"q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
              {"q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
              {"iq4_nl", LLAMA_FTYPE_MOSTLY_IQ4_NL},
              {"iq4_xs", LLAMA_FTYPE_MOSTLY_IQ4_XS},
              {"mxfp4", LLAMA_FTYPE_MOSTLY_MXFP4_MOE},
              {"q3_k_m", LLAMA_FTYPE_MOSTLY_Q3_K_M},
              {"iq3_s", LLAMA_FTYPE_MOSTLY_IQ3_S},
              {"iq3_xxs", LLAMA_FTYPE_MOSTLY_IQ3_XXS},
              {"q2_k", LLAMA_FTYPE_MOSTLY_Q2_K},
              {"iq2_s", LLAMA_FTYPE_MOSTLY_IQ2_S},
              {"iq2_xs", LLAMA_FTYPE_MOSTLY_IQ2_XS},
              {"iq2_xxs", LLAMA_FTYPE_MOSTLY_IQ2_XXS},
              {"iq1_m", LLAMA_FTYPE_MOSTLY_IQ1_M},
              {"iq1_s", LLAMA_FTYPE_MOSTLY_IQ1_S},
              {"tq2_0", LLAMA_FTYPE_MOSTLY_TQ2_0},
              {"tq1_0", LLAMA_FTYPE_MOSTLY_TQ1_0},
              {"q2_0", LLAMA_FTYPE_MOSTLY_Q2_0},
              {"q1_0", LLAMA_FTYPE_MOSTLY_Q1_0},
              {"bf16", LLAMA_FTYPE_MOSTLY_BF16},
              {"f16", LLAMA_FTYPE_MOSTLY_F16},
              {"f32", LLAMA_FTYPE_ALL_F32}};

// Returns: false where llama.cpp refuses.
bool quantise(const std::string& from, const std::string& to, llama_ftype type) {
  ggml_context* tensors = nullptr;
  gguf_context* file = gguf_init_from_file(from.c_str(), {true, &tensors});
  if (file == nullptr) return false;
  std::vector<llama_model_imatrix_data> importance;
  std::vector<float> ones(size_t{1} << 20, 1.0F);
  for (ggml_tensor* t = ggml_get_first_tensor(tensors); t; t = ggml_get_next_tensor(tensors, t)) {
    const auto columns = static_cast<size_t>(t->ne[0] * t->ne[2]);
    if (columns <= ones.size()) importance.push_back({t->name, ones.data(), columns});
  }
  importance.push_back({nullptr, nullptr, 0});
  llama_model_quantize_params params = llama_model_quantize_default_params();
  params.ftype = type;
  params.allow_requantize = params.pure = true;
  params.imatrix = importance.data();
  const bool done = llama_model_quantize(from.c_str(), to.c_str(), &params) == 0;
  gguf_free(file);
  ggml_free(tensors);
  return done;
}

double perplexity(Arguments& args, const std::string& path, const std::string& text) {
  llama_model_params mp = llama_model_default_params();
  llama_model* model = llama_model_load_from_file(path.c_str(), mp);
  if (!model) std::exit(1);
  const llama_vocab* vocab = llama_model_get_vocab(model);
  std::vector<llama_token> tokens(text.size() + 16);
  const int n = llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                               static_cast<int32_t>(tokens.size()), false, false);
  tokens.resize(static_cast<size_t>(std::max(n, 0)));
  const int size = std::atoi(args["-c"].c_str());
  llama_context_params cp = llama_context_default_params();
  cp.n_ctx = cp.n_batch = cp.n_ubatch = static_cast<uint32_t>(size);
  cp.n_threads = cp.n_threads_batch = std::atoi(args["-t"].c_str());
  cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  llama_context* ctx = llama_init_from_model(model, cp);
  if (!ctx) std::exit(1);
  const int n_vocab = llama_vocab_n_tokens(vocab);
  const int chunks = std::min(std::atoi(args["--chunks"].c_str()), n / size);
  double sum = 0.0;
  int count = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    llama_memory_clear(llama_get_memory(ctx), false);
    llama_batch batch = llama_batch_init(size, 0, 1);
    batch.n_tokens = size;
    const llama_token* at = tokens.data() + static_cast<ptrdiff_t>(chunk) * size;
    for (int i = 0; i < size; ++i) {
      batch.token[i] = at[i];
      batch.pos[i] = i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = 1;
    }
    if (llama_decode(ctx, batch) != 0) std::exit(1);
    for (int i = size / 2; i + 1 < size; ++i, ++count) {
      sum += negative_log_likelihood(llama_get_logits_ith(ctx, i), n_vocab, at[i + 1]);
    }
    llama_batch_free(batch);
  }
  llama_free(ctx);
  llama_model_free(model);
  return std::exp(sum / count);
}

void compare(Arguments& args, const std::string& path, const std::string& name,
             const std::string& text) {
  const double without = perplexity(args, path, text);
  if (gumbelspec::kernels::register_device() != gumbelspec::kernels::Registration::registered) {
    std::exit(1);
  }
  const double with = perplexity(args, path, text);
  gumbelspec::kernels::unregister_device();
  std::printf("| %s | %.4f | %.4f | %+.4f %% |\n", name.c_str(), with, without,
              100.0 * (with / without - 1.0));
  std::fflush(stdout);
}

// Whether `name` is an item of the list.
bool has(const std::string& list, const std::string& name) {
  return list == "all" || ("," + list + ",").find("," + name + ",") != std::string::npos;
}

}  // namespace

int main(int argc, char** argv) {
  gumbelspec::internal::prepare_backends();
  Arguments args = {{"-c", "256"}, {"--chunks", "100"}, {"-t", "2"}};
  for (int i = 1; i + 1 < argc; i += 2) args[argv[i]] = argv[i + 1];
  std::ifstream file(args["-f"]);
  std::stringstream text;
  text << file.rdbuf();
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  std::printf("| type | kernels | ggml | difference |\n|---|---|---|---|\n");
  if (args["--types"].empty()) {
    compare(args, args["-m"], "as it is", text.str());
    return 0;
  }
  const std::string path = std::filesystem::temp_directory_path() /
                           ("perplexity_bench." + std::to_string(std::random_device()()) + ".gguf");
  for (const auto& [name, type] : kTypes) {
    if (!has(args["--types"], name)) continue;
    if (quantise(args["-m"], path, type)) {
      compare(args, path, name, text.str());
    } else {
      std::printf("| %s | refused by llama.cpp | | |\n", name);
    }
  }
  std::filesystem::remove(path);
  return 0;
}
