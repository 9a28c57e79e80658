// Time of one attention operation, by the device and by ggml, in turns.
//
//   attention_bench [-t 2] [--cells 1024,8192] [-n 1,4,8,16] [--heads 32] [--heads-kv 4]
//                   [--head 64] [-r 20]
//
// -n: tokens in the pass. Medians (minimums) in microseconds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "gumbelspec/kernels.h"

namespace {

using Clock = std::chrono::steady_clock;

std::vector<int> numbers(const std::string& text) {
  std::vector<int> all;
  std::stringstream in(text);
  for (std::string item; std::getline(in, item, ',');) all.push_back(std::atoi(item.c_str()));
  return all;
}

double run_us(ggml_backend_t backend, ggml_cgraph* graph) {
  const auto start = Clock::now();
  ggml_backend_graph_compute(backend, graph);
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// The rest of a row of the table.
void compare(ggml_backend_t ours, ggml_backend_t cpu, ggml_cgraph* graph, int n_runs) {
  std::vector<double> a, b;
  for (int r = 0; r <= n_runs; ++r) {
    a.push_back(run_us(ours, graph));
    b.push_back(run_us(cpu, graph));
  }
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  std::printf("| %.0f (%.0f) | %.0f (%.0f) | %.2f |\n", a[a.size() / 2], a[0], b[b.size() / 2],
              b[0], b[b.size() / 2] / a[a.size() / 2]);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> args = {
      {"-t", "2"},         {"--cells", "1024,8192"}, {"-n", "1,4,8,16"}, {"--heads", "32"},
      {"--heads-kv", "4"}, {"--head", "64"},         {"-r", "20"}};
  for (int i = 1; i + 1 < argc; i += 2) args[argv[i]] = argv[i + 1];
  const auto number = [&](const char* name) { return std::atoi(args[name].c_str()); };
  if (gumbelspec::kernels::register_device() != gumbelspec::kernels::Registration::registered)
    return 1;
  ggml_backend_t ours = ggml_backend_init_by_name("GumbelSpec", nullptr);
  ggml_backend_t cpu = ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr);
  ggml_backend_cpu_set_n_threads(cpu, number("-t"));
  auto* set_threads = reinterpret_cast<ggml_backend_set_n_threads_t>(
      ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(ggml_backend_get_device(ours)),
                                        "ggml_backend_set_n_threads"));
  set_threads(ours, number("-t"));

  std::printf(
      "| cells | tokens | kernels us (min) | ggml us (min) | ratio |\n|---|---|---|---|---|\n");
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  for (const int cells : numbers(args["--cells"])) {
    for (const int n : numbers(args["-n"])) {
      ggml_context* ctx = ggml_init({size_t{512} << 20, nullptr, false});
      ggml_tensor* q =
          ggml_new_tensor_3d(ctx, GGML_TYPE_F32, number("--head"), n, number("--heads"));
      // As in llama.cpp's cache: the heads of a cell lie side by side.
      ggml_tensor* k = ggml_permute(
          ctx,
          ggml_new_tensor_3d(ctx, GGML_TYPE_F16, number("--head"), number("--heads-kv"), cells), 0,
          2, 1, 3);
      ggml_tensor* v = ggml_permute(
          ctx,
          ggml_new_tensor_3d(ctx, GGML_TYPE_F16, number("--head"), number("--heads-kv"), cells), 0,
          2, 1, 3);
      ggml_tensor* mask = ggml_new_tensor_2d(ctx, GGML_TYPE_F16, cells, n);
      for (int64_t i = 0; i < ggml_nelements(q); ++i) static_cast<float*>(q->data)[i] = normal(rng);
      for (ggml_tensor* t : {k, v}) {
        for (int64_t i = 0; i < ggml_nelements(t); ++i) {
          static_cast<ggml_fp16_t*>(t->data)[i] = ggml_fp32_to_fp16(normal(rng));
        }
      }
      std::fill_n(static_cast<ggml_fp16_t*>(mask->data), ggml_nelements(mask), ggml_fp16_t{0});
      ggml_cgraph* graph = ggml_new_graph(ctx);
      ggml_build_forward_expand(graph, ggml_flash_attn_ext(ctx, q, k, v, mask, 0.125f, 0.0f, 0.0f));
      std::printf("| %d | %d ", cells, n);
      compare(ours, cpu, graph, number("-r"));
      ggml_free(ctx);
    }
  }
  ggml_backend_free(ours);
  ggml_backend_free(cpu);
  return 0;
}
