// Perplexity of a text with the kernels and without, on the same chunks.
//
//   perplexity_bench -m model.gguf -f text.txt [-c 256] [--chunks 100] [-t 2]
//
// Each chunk of c tokens is decoded on its own; the second half of it is scored.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

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

double perplexity(std::map<std::string, std::string>& args, const std::string& text) {
  llama_model_params mp = llama_model_default_params();
  llama_model* model = llama_model_load_from_file(args["-m"].c_str(), mp);
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
    const llama_token* at = tokens.data() + chunk * size;
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

}  // namespace

int main(int argc, char** argv) {
  gumbelspec::internal::prepare_backends();
  std::map<std::string, std::string> args = {{"-c", "256"}, {"--chunks", "100"}, {"-t", "2"}};
  for (int i = 1; i + 1 < argc; i += 2) args[argv[i]] = argv[i + 1];
  std::ifstream file(args["-f"]);
  std::stringstream text;
  text << file.rdbuf();
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  const double without = perplexity(args, text.str());
  if (gumbelspec::kernels::register_device() != gumbelspec::kernels::Registration::registered)
    return 1;
  const double with = perplexity(args, text.str());
  std::printf("kernels %.4f, ggml %.4f, difference %+.4f %%\n", with, without,
              100.0 * (with / without - 1.0));
  return 0;
}
