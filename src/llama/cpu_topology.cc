#include "src/llama/cpu_topology.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace gumbelspec::internal {
namespace {

int n_logical() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

#if defined(__linux__)
// Siblings of one core name the same list, e.g. "0,64"; empty if unknown.
std::string siblings_of(int cpu) {
  const std::string base = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
  for (const char* name : {"core_cpus_list", "thread_siblings_list"}) {
    std::ifstream file(base + name);
    std::string list;
    if (std::getline(file, list) && !list.empty()) return list;
  }
  return {};
}
#endif

}  // namespace

int n_physical_cores() {
#if defined(__linux__)
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return n_logical();
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::string siblings = siblings_of(cpu);
    if (siblings.empty()) return std::max(1, CPU_COUNT(&allowed));
    cores.insert(std::move(siblings));
  }
  return std::max(1, static_cast<int>(cores.size()));
#else
  return n_logical();
#endif
}

}  // namespace gumbelspec::internal
