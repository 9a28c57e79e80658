// Processes as the router has them; a shell stands for the program.
#include "apps/server/router/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace gumbelspec::server {
namespace {

using ::testing::HasSubstr;

class Watch {
 public:
  InstanceEvents events() {
    InstanceEvents events;
    events.on_ready = [this] { note("ready"); };
    events.on_asleep = [this] { note("asleep"); };
    events.on_exit = [this](int exit_code, const std::string& why) {
      note("exit " + std::to_string(exit_code) + ": " + why);
    };
    return events;
  }
  void note(const std::string& what) {
    {
      const std::lock_guard lock(mutex_);
      seen_ += what + "\n";
    }
    changed_.notify_all();
  }
  std::string wait_for(const std::string& what) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return seen_.find(what) != std::string::npos; });
    return seen_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string seen_;
};

// Its arguments end with --host and the socket, which the shell has as $0 and $1.
std::unique_ptr<Instance> run(const std::string& script, Watch& watch, ChildOptions options = {}) {
  options.program = "/bin/sh";
  return start_child(options, {"m", "", {"-c", script}}, "/nowhere/1.sock", watch.events());
}

TEST(ChildProcess, TellsWhatItSaysAndHowItEnds) {
  Watch watch;
  Watch log;
  ChildOptions options;
  options.log = [&](const std::string& line) { log.note(line); };
  const auto child = run(
      "echo 'gumbelspec: ready: m' >&2; echo 'GET /x 200' >&2; echo 'gumbelspec: asleep: x' >&2; "
      "echo \"gumbelspec: $0 $1\" >&2; exit 3",
      watch, options);
  EXPECT_EQ(watch.wait_for("exit"), "ready\nasleep\nexit 3: --host /nowhere/1.sock\n");
  const std::string said = log.wait_for("--host");
  EXPECT_THAT(said, HasSubstr("gumbelspec: m: ready: m\nGET /x 200\n"));
  EXPECT_EQ(child->address(), "/nowhere/1.sock");
}

TEST(ChildProcess, EndsWhenItIsTold) {
  Watch watch;
  const auto child =
      run("trap 'exit 0' TERM; echo 'gumbelspec: ready' >&2; while :; do sleep 0.01; done", watch);
  (void)watch.wait_for("ready");
  child->stop();
  EXPECT_THAT(watch.wait_for("exit"), HasSubstr("exit 0"));
}

TEST(ChildProcess, IsKilledWhereItDoesNot) {
  Watch watch;
  ChildOptions options;
  options.longest_stop = std::chrono::seconds(0);
  const auto child = run("trap '' TERM; echo 'gumbelspec: ready' >&2; while :; do sleep 0.01; done",
                         watch, options);
  (void)watch.wait_for("ready");
  child->stop();
  EXPECT_THAT(watch.wait_for("exit"), HasSubstr("exit 137"));
}

TEST(ChildProcess, GoesWithItsInstance) {
  Watch watch;
  auto child = run("echo 'gumbelspec: ready' >&2; exec sleep 1000", watch);
  (void)watch.wait_for("ready");
  child.reset();
  EXPECT_THAT(watch.wait_for("exit"), HasSubstr("exit 143"));
}

TEST(ChildProcess, DoesNotGetWhatIsHidden) {
  Watch watch;
  ::setenv("ROUTER_TEST_SHOWN", "s", 1);
  ::setenv("ROUTER_TEST_HIDDEN", "h", 1);
  ChildOptions options;
  options.hidden_variables = {"ROUTER_TEST_HIDDEN"};
  const auto child =
      run("echo \"gumbelspec: <$ROUTER_TEST_SHOWN$ROUTER_TEST_HIDDEN>\" >&2", watch, options);
  EXPECT_THAT(watch.wait_for("exit"), HasSubstr("<s>"));
}

TEST(ChildProcess, AProgramThatIsNotThereIsAnEndLikeOthers) {
  Watch watch;
  ChildOptions options;
  options.program = "/nowhere/program";
  const auto child = start_child(options, {"m"}, "/nowhere/1.sock", watch.events());
  EXPECT_THAT(watch.wait_for("exit"), HasSubstr("exit 127"));
}

TEST(SocketFolder, IsThisUsersAndGoesWithIt) {
  std::string path;
  {
    SocketFolder folder;
    path = folder.next();
    EXPECT_NE(folder.next(), path);
    const auto parent = std::filesystem::path(path).parent_path();
    const auto rights = std::filesystem::status(parent).permissions();
    EXPECT_EQ(rights, std::filesystem::perms::owner_all);
  }
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(path).parent_path()));
}

}  // namespace
}  // namespace gumbelspec::server
