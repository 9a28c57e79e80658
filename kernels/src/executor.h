// Runs a graph with a team of threads.
#ifndef GUMBELSPEC_KERNELS_SRC_EXECUTOR_H_
#define GUMBELSPEC_KERNELS_SRC_EXECUTOR_H_

#include <atomic>
#include <memory>
#include <vector>

#include "kernels/src/kernel_set.h"
#include "kernels/src/plan.h"
#include "kernels/src/route.h"

namespace gumbelspec::kernels {

// Memory that grows and never shrinks, on a cache-line boundary. The content is lost on growth.
class Workspace {
 public:
  Workspace() = default;
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace();
  // Returns: at least `size` bytes. Throws: std::bad_alloc.
  uint8_t* reserve(size_t size);
  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Not thread-safe: one per backend instance, as ggml uses it.
class Executor {
 public:
  explicit Executor(const KernelSet* kernels) : kernels_(*kernels) {}
  void set_threads(int n) { n_threads_ = n < 1 ? 1 : n; }
  // Every node is one that supports_* accepted, and is_computed.
  void run(const std::vector<const ggml_tensor*>& nodes);

 private:
  // A counter of its own cache line: tasks drawn from a queue, or tasks finished in a step.
  struct alignas(64) Counter {
    std::atomic<int> value{0};
  };

  void work(int thread);
  void wait_for(size_t first, size_t last);
  int run_queue(const Step& step, int queue, int thread);
  void run_task(const Step& step, int task, int thread);
  void run_rows(const Step& step, int task);
  void run_row_op(const RowOp& op, int64_t row, int64_t begin, int64_t end);
  void quantize_row(const RowOp& op, int64_t row, int64_t begin, int64_t end);
  void run_product(const Step& step, int task);
  Route route_of(const Step& step) const;
  void run_gather(const Step& step, int task);
  void run_expert_product(const Step& step, int task);
  void run_attention(const Step& step, int task, int thread);
  void run_angles(const Step& step, int task);
  void run_rotate(const Step& step, int task);
  void run_set_rows(const Step& step, int task);
  void run_get_rows(const Step& step, int task);

  const KernelSet& kernels_;
  int n_threads_ = 1;
  Plan plan_;
  std::unique_ptr<Counter[]> drawn_, finished_;  // by queue, by step
  size_t n_drawn_ = 0, n_finished_ = 0;
  Workspace activations_, angles_, routes_, attention_;
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_EXECUTOR_H_
