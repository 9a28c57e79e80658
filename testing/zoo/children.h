// Runs jobs in processes of their own, several at once: what ends one of them ends no other.
#ifndef GUMBELSPEC_TESTING_ZOO_CHILDREN_H_
#define GUMBELSPEC_TESTING_ZOO_CHILDREN_H_

#include <cstddef>
#include <functional>
#include <string>

namespace gumbelspec::zoo {

struct ChildEnd {
  int signal = 0;  // that ended it; 0: none
  int exit_code = 0;
  std::string output;  // what it wrote to its own pipe
  std::string errors;  // the end of what it, or a library in it, wrote to standard error
};

struct ChildJobs {
  std::size_t n_jobs = 0;
  std::size_t n_at_once = 1;
  int limit_s = 120;  // of processor time, for a job; SIGXCPU ends it
  // In the child: the index of its job, and a function that sends bytes to the parent.
  std::function<void(std::size_t, const std::function<void(const std::string&)>&)> run;
  // In the parent, as they end.
  std::function<void(std::size_t, const ChildEnd&)> on_end;
};

// Requires: one thread in this process. Throws: std::runtime_error if the system gives no process.
void run_children(const ChildJobs& jobs);

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_CHILDREN_H_
