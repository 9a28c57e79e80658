#include "tests/network/lab.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <exception>
#include <fstream>
#include <random>
#include <stdexcept>
#include <thread>

extern char** environ;

namespace gumbelspec::testing {
namespace {

using Clock = std::chrono::steady_clock;

// To sleep and wake takes so long; packets that follow each other closely are not to wait for it.
constexpr std::chrono::microseconds kTogether{200};

// Returns: whether the command ended with 0; what it says is dropped.
bool succeeds(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  const int failure =
      ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) return false;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void run(const std::vector<std::string>& command) {
  if (succeeds(command)) return;
  std::string text;
  for (const std::string& word : command) text += " " + word;
  throw std::runtime_error("failed:" + text);
}

std::vector<std::string> netem(const std::string& space, const std::string& device,
                               const LinkQuality& quality) {
  return {"ip",     "netns",
          "exec",   space,
          "tc",     "qdisc",
          "add",    "dev",
          device,   "root",
          "netem",  "limit",
          "100000",  // the default drops packets of a fast sender
          "delay",  std::to_string(quality.delay_ms) + "ms",
          "loss",   std::to_string(100.0 * quality.loss) + "%"};
}

// Runs something in a network namespace: a thread may go there, and ends there.
void in_namespace(const std::string& name, const std::function<void()>& work) {
  std::exception_ptr failure;
  std::thread([&] {
    try {
      const int space = ::open(("/var/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC);
      if (space < 0 || ::setns(space, CLONE_NEWNET) != 0) {
        throw std::runtime_error("namespace " + name + " cannot be entered");
      }
      ::close(space);
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

int open_tunnel(const std::string& space, const std::string& device) {
  int fd = -1;
  in_namespace(space, [&] {
    fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    std::strncpy(request.ifr_name, device.c_str(), IFNAMSIZ - 1);
    if (fd < 0 || ::ioctl(fd, TUNSETIFF, &request) != 0) {
      throw std::runtime_error("no tunnel device: " + std::string(std::strerror(errno)));
    }
  });
  return fd;
}

// The usual congestion control, whatever this machine prefers: BBR, say, spaces packets out.
void use_plain_tcp(const std::string& space) {
  in_namespace(space, [] {
    for (const char* name : {"cubic", "reno"}) {
      std::ofstream setting("/proc/sys/net/ipv4/tcp_congestion_control");
      setting << name;
      setting.close();
      if (!setting.fail()) return;
    }
  });
}

bool has_netem() {
  const std::string space = "gumbelspec-probe-" + std::to_string(::getpid());
  if (!succeeds({"ip", "netns", "add", space})) return false;
  const bool has = succeeds(netem(space, "lo", {1.0, 0.0}));
  (void)succeeds({"ip", "netns", "del", space});
  return has;
}

}  // namespace

// Carries packets between two tunnel devices, late, and some not at all.
class NetworkLab::Tunnel {
 public:
  Tunnel(int a, int b, const LinkQuality& quality)
      : fds_{a, b}, quality_(quality), thread_([this] { carry(); }) {}
  ~Tunnel() {
    quits_ = true;
    thread_.join();
    for (const int fd : fds_) ::close(fd);
  }
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  void cut(bool is_cut) { is_cut_ = is_cut; }

 private:
  struct Packet {
    Clock::time_point due;
    std::vector<char> bytes;
  };

  void carry() {
    (void)::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);  // ns; 50 us by default
    while (!quits_) {
      std::array<pollfd, 2> entries{{{fds_[0], POLLIN, 0}, {fds_[1], POLLIN, 0}}};
      const timespec time = until_next();
      (void)::ppoll(entries.data(), entries.size(), &time, nullptr);
      for (std::size_t from = 0; from < 2; ++from) {
        if ((entries[from].revents & POLLIN) != 0) take(from);
        deliver(from);
      }
    }
  }

  [[nodiscard]] timespec until_next() const {
    auto wait = std::chrono::nanoseconds(std::chrono::milliseconds(50));
    for (const auto& queue : queues_) {
      if (!queue.empty())
        wait = std::min<std::chrono::nanoseconds>(wait, queue.front().due - Clock::now());
    }
    return {0, std::max<long>(0, static_cast<long>(wait.count()))};
  }

  void take(std::size_t from) {
    std::array<char, 65536> bytes{};
    for (;;) {
      const ssize_t n = ::read(fds_[from], bytes.data(), bytes.size());
      if (n <= 0) return;
      if (is_cut_ || std::uniform_real_distribution<>()(random_) < quality_.loss) continue;
      const auto delay = std::chrono::duration<double, std::milli>(quality_.delay_ms);
      queues_[from].push_back({Clock::now() + std::chrono::duration_cast<Clock::duration>(delay),
                               {bytes.data(), bytes.data() + n}});
    }
  }

  void deliver(std::size_t from) {
    auto& queue = queues_[from];
    while (!queue.empty() && queue.front().due <= Clock::now() + kTogether) {
      const std::vector<char>& bytes = queue.front().bytes;
      // A full device drops, as a full link does.
      if (!is_cut_) (void)!::write(fds_[1 - from], bytes.data(), bytes.size());
      queue.pop_front();
    }
  }

  const std::array<int, 2> fds_;
  const LinkQuality quality_;
  std::array<std::deque<Packet>, 2> queues_;  // by the side that they come from
  std::mt19937_64 random_{1};
  std::atomic<bool> quits_{false};
  std::atomic<bool> is_cut_{false};
  std::thread thread_;
};

std::string NetworkLab::missing() {
  if (::geteuid() != 0) return "network namespaces need root";
  const std::string space = "gumbelspec-probe-" + std::to_string(::getpid());
  if (!succeeds({"ip", "netns", "add", space})) {
    return "network namespaces cannot be made here (ip netns add; package iproute2)";
  }
  (void)succeeds({"ip", "netns", "del", space});
  if (!has_netem() && ::access("/dev/net/tun", R_OK | W_OK) != 0) {
    return "neither tc netem nor /dev/net/tun is there";
  }
  return {};
}

NetworkLab::NetworkLab(std::size_t n_servers, const LinkQuality& quality)
    : prefix_("gumbelspec-" + std::to_string(::getpid())),
      n_servers_(n_servers),
      uses_netem_(has_netem()) {
  try {
    run({"ip", "netns", "add", client()});
    run({"ip", "-n", client(), "link", "set", "lo", "up"});
    use_plain_tcp(client());
    for (std::size_t i = 0; i < n_servers_; ++i) {
      run({"ip", "netns", "add", server(i)});
      run({"ip", "-n", server(i), "link", "set", "lo", "up"});
      use_plain_tcp(server(i));
      if (uses_netem_) {
        make_veth(i, quality);
      } else {
        make_tunnel(i, quality);
      }
    }
  } catch (...) {
    remove();
    throw;
  }
}

NetworkLab::~NetworkLab() { remove(); }

void NetworkLab::remove() {
  tunnels_.clear();
  for (std::size_t i = 0; i < n_servers_; ++i) (void)succeeds({"ip", "netns", "del", server(i)});
  (void)succeeds({"ip", "netns", "del", client()});
}

void NetworkLab::make_veth(std::size_t i, const LinkQuality& quality) {
  const std::string number = std::to_string(i + 1);
  const std::string device = "veth" + number;
  run({"ip", "link", "add", device, "netns", client(), "type", "veth", "peer", "name", device,
       "netns", server(i)});
  run({"ip", "-n", client(), "addr", "add", "10.77." + number + ".1/24", "dev", device});
  run({"ip", "-n", server(i), "addr", "add", "10.77." + number + ".2/24", "dev", device});
  for (const std::string& space : {client(), server(i)}) {
    run({"ip", "-n", space, "link", "set", device, "up"});
    run(netem(space, device, quality));
  }
}

void NetworkLab::make_tunnel(std::size_t i, const LinkQuality& quality) {
  const std::string number = std::to_string(i + 1);
  const std::string device = "tun" + number;
  const std::string here = "10.77." + number + ".1";
  const std::string there = "10.77." + number + ".2";
  const int a = open_tunnel(client(), device);
  const int b = open_tunnel(server(i), device);
  tunnels_.push_back(std::make_unique<Tunnel>(a, b, quality));
  run({"ip", "-n", client(), "addr", "add", here, "peer", there, "dev", device});
  run({"ip", "-n", server(i), "addr", "add", there, "peer", here, "dev", device});
  for (const std::string& space : {client(), server(i)}) {
    run({"ip", "-n", space, "link", "set", device, "txqueuelen", "10000", "up"});
  }
}

std::string NetworkLab::client() const { return prefix_ + "-client"; }
std::string NetworkLab::server(std::size_t i) const {
  return prefix_ + "-" + std::to_string(i + 1);
}

std::vector<std::string> NetworkLab::on_client() const { return {"ip", "netns", "exec", client()}; }
std::vector<std::string> NetworkLab::on_server(std::size_t i) const {
  return {"ip", "netns", "exec", server(i)};
}
std::string NetworkLab::address(std::size_t i) { return "10.77." + std::to_string(i + 1) + ".2"; }

void NetworkLab::cut(std::size_t i) {
  if (!uses_netem_) return tunnels_[i]->cut(true);
  // Down at the far end, so that this end notices nothing but silence.
  run({"ip", "-n", server(i), "link", "set", "veth" + std::to_string(i + 1), "down"});
}

void NetworkLab::mend(std::size_t i) {
  if (!uses_netem_) return tunnels_[i]->cut(false);
  run({"ip", "-n", server(i), "link", "set", "veth" + std::to_string(i + 1), "up"});
}

void NetworkLab::as_client(const std::function<void()>& work) const {
  in_namespace(client(), work);
}

}  // namespace gumbelspec::testing
