// Speed of the matrix kernels alone, against what the machine can do.
//
//   kernel_bench [--isa auto] [-t 2] [--types q8_0,q4_0,...] [-n 1,2,4,8,16] [--mib 512] [-k 2048]
//
// Multiplies matrices of `mib` MiB in all (larger than the caches) and prints, per type and n, the
// time, the bandwidth (and its share of a plain read's), and the multiply-adds per second (and
// their share of the peak of the instructions that a product takes at least, measured on
// registers). Medians; all measured in the same run.
#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/src/file_pages.h"
#include "kernels/src/isa.h"
#include "kernels/src/kernel_set.h"
#include "kernels/src/plan.h"

namespace {

using namespace gumbelspec::kernels;  // NOLINT: a benchmark of these very things

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class Fn>
double median_seconds(int runs, const Fn& fn) {
  fn();
  std::vector<double> t;
  for (int r = 0; r < runs; ++r) {
    const double start = seconds();
    fn();
    t.push_back(seconds() - start);
  }
  std::sort(t.begin(), t.end());
  return t[t.size() / 2];
}

__attribute__((target("avx2"))) void read_all(const uint8_t* data, size_t size) {
  for (size_t i = 0; i + 128 <= size; i += 128) {
    __m256i a, b, c, d;
    // Volatile: the loads themselves are what is measured.
    asm volatile("vmovdqa %4, %0\n vmovdqa %5, %1\n vmovdqa %6, %2\n vmovdqa %7, %3"
                 : "=x"(a), "=x"(b), "=x"(c), "=x"(d)
                 : "m"(*reinterpret_cast<const __m256i*>(data + i)),
                   "m"(*reinterpret_cast<const __m256i*>(data + i + 32)),
                   "m"(*reinterpret_cast<const __m256i*>(data + i + 64)),
                   "m"(*reinterpret_cast<const __m256i*>(data + i + 96)));
  }
}

// The shortest sequences of instructions that multiply and add, on registers alone, in chains that
// do not wait for each other. Each call is kLoop rounds of eight sequences.
constexpr int kLoop = 1000000;
#define GUMBELSPEC_EIGHT_TIMES(sequence)                                              \
  sequence("0") sequence("1") sequence("2") sequence("3") sequence("4") sequence("5") \
      sequence("6") sequence("7")
#define GUMBELSPEC_CLOBBERED "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7"

__attribute__((target("avx512f,avx512vnni"))) void dot_512() {
#define SEQUENCE(r) "vpdpbusd %%zmm30,%%zmm31,%%zmm" r "\n"
  for (int i = 0; i < kLoop; ++i)
    asm volatile(GUMBELSPEC_EIGHT_TIMES(SEQUENCE)::: GUMBELSPEC_CLOBBERED);
#undef SEQUENCE
}
// AVX2, codes of up to 6 bits: products, their sums.
__attribute__((target("avx2"))) void dot_bytes() {
#define SEQUENCE(r) "vpmaddubsw %%ymm15,%%ymm14,%%ymm13\n vpaddw %%ymm13,%%ymm" r ",%%ymm" r "\n"
  for (int i = 0; i < kLoop; ++i)
    asm volatile(GUMBELSPEC_EIGHT_TIMES(SEQUENCE)::: GUMBELSPEC_CLOBBERED, "xmm13");
#undef SEQUENCE
}
// AVX2, codes of 8 bits: signs, products, their widened sums.
__attribute__((target("avx2"))) void dot_signed() {
#define SEQUENCE(r)                                                        \
  "vpsignb %%ymm15,%%ymm14,%%ymm13\n vpmaddubsw %%ymm13,%%ymm12,%%ymm13\n" \
  "vpmaddwd %%ymm11,%%ymm13,%%ymm13\n vpaddd %%ymm13,%%ymm" r ",%%ymm" r "\n"
  for (int i = 0; i < kLoop; ++i)
    asm volatile(GUMBELSPEC_EIGHT_TIMES(SEQUENCE)::: GUMBELSPEC_CLOBBERED, "xmm13");
#undef SEQUENCE
}
__attribute__((target("avx2,fma"))) void dot_floats() {
#define SEQUENCE(r) "vfmadd231ps %%ymm15,%%ymm14,%%ymm" r "\n"
  for (int i = 0; i < kLoop; ++i)
    asm volatile(GUMBELSPEC_EIGHT_TIMES(SEQUENCE)::: GUMBELSPEC_CLOBBERED);
#undef SEQUENCE
}

// Whether what is multiplied needs all eight bits.
bool has_wide_codes(ggml_type type) {
  return type == GGML_TYPE_Q8_0 || type == GGML_TYPE_IQ4_NL || type == GGML_TYPE_IQ4_XS;
}

// Multiply-adds per second of that sequence for a format; 0 where none is written down here.
double dot_peak(const KernelSet* kernels, ggml_type type, int threads) {
  const std::string name = kernels->name;
  const bool whole = activation_format(type) == ActivationFormat::int8;
  void (*loop)() = nullptr;
  double products = 0;
  if (name == "avx512" && whole) {
    loop = dot_512, products = 64;
  } else if (name == "avx2" && !whole) {
    loop = dot_floats, products = 8;
  } else if (name == "avx2") {
    loop = has_wide_codes(type) ? dot_signed : dot_bytes, products = 32;
  }
  if (!loop) return 0.0;
  const double t = median_seconds(5, [&] {
#pragma omp parallel num_threads(threads)
    loop();
  });
  return threads * 8.0 * products * kLoop / t;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> all;
  std::stringstream in(text);
  for (std::string item; std::getline(in, item, ',');) all.push_back(item);
  return all;
}

ggml_type type_named(std::string name) {
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const ggml_type type : weight_types()) {
    if (name == weight_type_name(type)) return type;
  }
  std::fprintf(stderr, "kernel_bench: no weight type %s\n", name.c_str());
  std::exit(1);
}

struct Bench {
  const KernelSet* kernels;
  int threads;
  int64_t k;
  size_t bytes;

  void run(ggml_type type, const std::vector<int>& ns, double bandwidth) const {
    const double peak = dot_peak(kernels, type, threads);
    const int64_t rows = static_cast<int64_t>(bytes / packed_bytes(type, k, 16)) * 16;
    const size_t size = packed_bytes(type, k, rows);
    auto* weights = static_cast<uint8_t*>(allocate_zeroed(size));
    // Zero is as good as any code; scales of zero keep every sum finite.
    std::memset(weights, 0, size);
    for (const int n : ns) {
      const Tiles tiles = make_tiles(activation_format(type), k, n);
      std::vector<uint8_t> activations(tiles.bytes() + 64);
      std::vector<float> x(static_cast<size_t>(k), 0.5f), out(static_cast<size_t>(rows * n));
      for (int t = 0; t < tiles.n_tiles; ++t) {
        for (int c = 0; c < tiles.width(t); ++c) {
          kernels->quantize(
              tiles.format,
              {x.data(), k,
               activations.data() + static_cast<size_t>(tiles.first(t)) * tiles.column_bytes(),
               tiles.width(t), c, 0, (k + kBlock - 1) / kBlock});
        }
      }
      const int64_t panels = panel_count(rows);
      GemmJob job{type,       weights, panel_layout(type, k), k, rows, activations.data(), n,
                  out.data(), rows};
      job.n_tiles = tiles.n_tiles;
      job.column_bytes = tiles.column_bytes();
      const double t = median_seconds(9, [&] {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 16)
        for (int64_t p = 0; p < panels; p += 4) {
          kernels->gemm(job, p, std::min(p + 4, panels));
        }
      });
      const double rate = static_cast<double>(size) / t;
      const double macs = static_cast<double>(rows) * static_cast<double>(k) * n / t;
      std::printf("| %s | %d | %.2f | %.1f | %.0f %% | %.0f | %.0f %% |\n", weight_type_name(type),
                  n, t * 1e3, rate / 1e9, 100 * rate / bandwidth, macs / 1e9,
                  peak > 0 ? 100 * macs / peak : 0.0);
      std::fflush(stdout);
    }
    free_zeroed(weights, size);
  }
};

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> args = {
      {"--isa", "auto"},       {"-t", "2"},      {"--types", "q8_0,q4_0,q4_k,q5_k,q6_k,f16,bf16"},
      {"-n", "1,2,4,8,16,32"}, {"--mib", "512"}, {"-k", "2048"}};
  for (int i = 1; i + 1 < argc; i += 2) args[argv[i]] = argv[i + 1];
  bool known = false;
  const KernelSet* kernels = find_kernels(args["--isa"], &known);
  if (!kernels) {
    std::fprintf(stderr, "kernel_bench: no kernels for --isa %s here\n", args["--isa"].c_str());
    return 1;
  }
  const int threads = std::atoi(args["-t"].c_str());
  const size_t bytes = static_cast<size_t>(std::atoi(args["--mib"].c_str())) << 20;
  auto* memory = static_cast<uint8_t*>(allocate_zeroed(bytes));
  std::memset(memory, 1, bytes);
  const double bandwidth =
      static_cast<double>(bytes) / median_seconds(9, [&] {
        const size_t part = bytes / static_cast<size_t>(threads);
#pragma omp parallel num_threads(threads)
        read_all(memory + static_cast<size_t>(omp_get_thread_num()) * part, part);
      });
  free_zeroed(memory, bytes);
  std::printf("%s, %d threads: plain read %.1f GB/s\n\n", kernels->name, threads, bandwidth / 1e9);
  std::printf(
      "| type | n | ms | GB/s | of read | GMAC/s | of peak |\n|---|---|---|---|---|---|---|\n");
  std::vector<int> ns;
  for (const std::string& n : split(args["-n"])) ns.push_back(std::atoi(n.c_str()));
  for (const std::string& name : split(args["--types"])) {
    Bench{kernels, threads, std::atoi(args["-k"].c_str()), bytes}.run(type_named(name), ns,
                                                                      bandwidth);
  }
  return 0;
}
