// Numbers for the kernels, and how far results are apart.
#ifndef GUMBELSPEC_TESTS_KERNELS_KERNEL_DATA_H_
#define GUMBELSPEC_TESTS_KERNELS_KERNEL_DATA_H_

#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

namespace gumbelspec::kernels {

// Normal; one in fifty is `outliers` times as large, where that is not 0.
inline std::vector<float> noise(size_t n, unsigned seed, float outliers = 0.0f) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = normal(rng) * (outliers > 0 && rng() % 50 == 0 ? outliers : 1.0f);
  return x;
}

// Root of the mean squared error over root of the mean square.
inline double relative_error(const std::vector<float>& got, const std::vector<double>& want) {
  double error = 0.0, size = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(error / size);
}

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_TESTS_KERNELS_KERNEL_DATA_H_
