// Time of a pass over n tokens, with the kernels and without, taken in turns in one process.
//
//   pass_bench -m model.gguf [-t 2] [-n 1,2,4,8,16,32] [-c 0,1024] [-r 10] [--only with|without]
//
// -c: tokens already in the cache. Prints the median and the minimum in milliseconds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "gumbelspec/kernels.h"
#include "llama.h"
#include "src/llama/backends.h"

namespace {

namespace kernels = gumbelspec::kernels;

struct Options {
  std::string model, only;
  int threads = 2, runs = 10;
  bool repack = true;  // ggml's own repacking in the runs without the kernels
  std::vector<int> n = {1, 2, 4, 6, 8, 16, 32}, cached = {0};
};

std::vector<int> numbers(const std::string& text) {
  std::vector<int> all;
  std::stringstream in(text);
  for (std::string item; std::getline(in, item, ',');) all.push_back(std::atoi(item.c_str()));
  return all;
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "-m") o.model = value;
    if (name == "-t") o.threads = std::atoi(value.c_str());
    if (name == "-r") o.runs = std::atoi(value.c_str());
    if (name == "-n") o.n = numbers(value);
    if (name == "-c") o.cached = numbers(value);
    if (name == "--only") o.only = value;
    if (name == "--repack") o.repack = value != "0";
  }
  return o;
}

struct Side {
  llama_model* model = nullptr;
  llama_context* ctx = nullptr;

  void open(const Options& o, bool with) {
    llama_model_params mp = llama_model_default_params();
    mp.use_extra_bufts = !with && o.repack;
    model = llama_model_load_from_file(o.model.c_str(), mp);
    if (!model) std::exit(1);
    llama_context_params cp = llama_context_default_params();
    const int most = *std::max_element(o.cached.begin(), o.cached.end()) +
                     *std::max_element(o.n.begin(), o.n.end());
    cp.n_ctx = static_cast<uint32_t>((most + 255) / 256 * 256);
    cp.n_batch = cp.n_ubatch = 512;
    cp.n_threads = cp.n_threads_batch = o.threads;
    cp.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    ctx = llama_init_from_model(model, cp);
    if (!ctx) std::exit(1);
  }

  void decode(int first, int n) const {
    llama_batch batch = llama_batch_init(n, 0, 1);
    batch.n_tokens = n;
    for (int i = 0; i < n; ++i) {
      batch.token[i] = 5 + (first + i) * 37 % 1000;
      batch.pos[i] = first + i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = 1;
    }
    if (llama_decode(ctx, batch) != 0) std::exit(1);
    llama_synchronize(ctx);
    llama_batch_free(batch);
  }

  void fill(int n) const {
    llama_memory_clear(llama_get_memory(ctx), false);
    for (int at = 0; at < n; at += 256) decode(at, std::min(256, n - at));
  }

  double pass_ms(int cached, int n) const {
    const auto start = std::chrono::steady_clock::now();
    decode(cached, n);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    llama_memory_seq_rm(llama_get_memory(ctx), 0, cached, -1);
    return took.count();
  }
};

// Lines of the system's account of this process: how much memory is resident, and of what kind.
void print_resident() {
  std::FILE* status = std::fopen("/proc/self/status", "r");
  if (!status) return;
  char line[256];
  std::printf("\nresident:");
  while (std::fgets(line, sizeof(line), status)) {
    long kib = 0;
    char name[64];
    if (std::sscanf(line, "%63[^:]: %ld kB", name, &kib) != 2) continue;
    if (std::strcmp(name, "VmHWM") == 0) std::printf(" peak %ld MiB,", kib / 1024);
    if (std::strcmp(name, "RssAnon") == 0) std::printf(" own %ld MiB,", kib / 1024);
    if (std::strcmp(name, "RssFile") == 0) std::printf(" mapped files %ld MiB\n", kib / 1024);
  }
  std::fclose(status);
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const Options o = parse(argc, argv);
  gumbelspec::internal::prepare_backends();
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  Side with, without;
  if (o.only != "without") {
    if (kernels::register_device() != kernels::Registration::registered) return 1;
    with.open(o, true);
    kernels::unregister_device();
  }
  if (o.only != "with") without.open(o, false);
  std::printf("| cached | n | kernels ms (min) | ggml ms (min) | ratio |\n|---|---|---|---|---|\n");
  for (const int cached : o.cached) {
    if (with.ctx) with.fill(cached);
    if (without.ctx) without.fill(cached);
    for (const int n : o.n) {
      std::vector<double> a, b;
      for (int r = 0; r <= o.runs; ++r) {
        if (with.ctx) a.push_back(with.pass_ms(cached, n));
        if (without.ctx) b.push_back(without.pass_ms(cached, n));
        if (r == 0) a.clear(), b.clear();  // the first pass of a size builds its graph
      }
      if (a.empty()) a = b;
      if (b.empty()) b = a;
      std::printf("| %d | %d | %.2f (%.2f) | %.2f (%.2f) | %.2f |\n", cached, n, median(a),
                  *std::min_element(a.begin(), a.end()), median(b),
                  *std::min_element(b.begin(), b.end()), median(b) / median(a));
      std::fflush(stdout);
    }
  }
  print_resident();
  return 0;
}
