// Several models behind one server, each in a process of its own: which are loaded, who waits for
// which, and which has to go for another. No sockets, no processes: see Launch.
#ifndef GUMBELSPEC_APPS_SERVER_ROUTER_ROUTER_H_
#define GUMBELSPEC_APPS_SERVER_ROUTER_ROUTER_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gumbelspec::server {

struct ModelSource {
  std::string name;
  std::string path = {};                    // of the file, for lists; empty: unknown
  std::vector<std::string> arguments = {};  // of the process, without its address
  bool loads_at_start = false;

  bool operator==(const ModelSource& other) const {
    return name == other.name && path == other.path && arguments == other.arguments;
  }
};

// A process that serves a model.
class Instance {
 public:
  virtual ~Instance() = default;  // ends it, and waits for that
  // Where it listens.
  [[nodiscard]] virtual const std::string& address() const = 0;
  // Asks it to finish what it is doing and end. InstanceEvents::on_exit follows.
  virtual void stop() = 0;
};

// What an instance says of itself, from a thread of its own; not before launch() has returned.
struct InstanceEvents {
  std::function<void()> on_ready;   // also when it wakes
  std::function<void()> on_asleep;  // its model is put away until somebody asks
  // The last call, once. why: one line.
  std::function<void(int exit_code, const std::string& why)> on_exit;
};

// Starts an instance. Called by one thread, which lives as long as the router.
// Throws: Error where it cannot be started.
using Launch = std::function<std::unique_ptr<Instance>(const ModelSource&, InstanceEvents)>;

enum class ModelState { unloaded, loading, loaded, sleeping, stopping };
[[nodiscard]] const char* to_string(ModelState state);  // as llama.cpp's server calls it

struct ModelStatus {
  ModelSource source;
  ModelState state = ModelState::unloaded;
  bool has_failed = false;   // the last time it was loaded, without being asked to end
  int exit_code = 0;         // then
  std::string why = {};      // likewise
  std::string address = {};  // of a loaded one
};

struct RouterOptions {
  std::size_t max_loaded = 4;  // 0: any number
  bool loads_on_demand = true;
};

// Threads: any, but for the destructor.
class Router {
 public:
  Router(RouterOptions options, Launch launch);
  // Ends all instances, and waits for that.
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // The models that there are from now on. One that runs and is gone or another now is ended.
  // is_start: those that ask for it are loaded.
  void set_models(const std::vector<ModelSource>& models, bool is_start = false);
  [[nodiscard]] std::vector<ModelStatus> models() const;  // by their names
  [[nodiscard]] const RouterOptions& options() const { return options_; }

  // Asks for it; does not wait. Throws: ApiError{404} for unknown ones; {400} where it is loaded
  // (not loaded) already.
  void load(const std::string& name);
  void unload(const std::string& name);

  // A user of a loaded model, which stays loaded as long as this lives.
  class Lease {
   public:
    Lease(Router& router, std::string name, std::string address)
        : router_(router), name_(std::move(name)), address_(std::move(address)) {}
    ~Lease() { router_.release(name_); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    [[nodiscard]] const std::string& address() const { return address_; }

   private:
    Router& router_;
    const std::string name_;
    const std::string address_;
  };
  // Waits until the model is loaded, which it is asked to be, and for which the one that has been
  // idle longest goes where there is no room; requests for models that are not there are served in
  // the order of their coming.
  // is_gone: whether the client has; asked now and then. may_load: else only one that is loaded, or
  // will be, is waited for.
  // Throws: ApiError{404} for unknown ones, {400} for one that is not loaded, {499} for a client
  // that has gone, {500} where loading fails, {503} while shutting down.
  [[nodiscard]] std::unique_ptr<Lease> acquire(const std::string& name, bool may_load,
                                               const std::function<bool()>& is_gone);

  // From now on nothing is loaded, and who waits is told so.
  void stop_accepting();

 private:
  struct Entry {
    ModelStatus status;
    std::unique_ptr<Instance> instance = {};
    std::size_t n_requests = 0;
    std::size_t n_waiting = 0;   // requests, for its loading
    std::size_t n_failures = 0;  // of loading
    std::uint64_t last_use = 0;
    bool is_listed = true;  // else it goes when it has ended
  };

  void run();
  void serve_queue();
  void start(Entry& entry);
  void ask_to_stop(Entry& entry);
  void enqueue(const std::string& name);
  void dequeue(const std::string& name);
  void release(const std::string& name);
  void note_state(const std::string& name, ModelState state);
  void note_exit(const std::string& name, int exit_code, const std::string& why);
  void forget_unlisted();
  [[nodiscard]] Entry& listed(const std::string& name);
  [[nodiscard]] Entry* idle_longest();
  [[nodiscard]] std::size_t count(bool only_stopping) const;

  const RouterOptions options_;
  const Launch launch_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // By name; an entry that waits for something stays where it is.
  std::map<std::string, Entry> entries_;
  std::deque<std::string> queue_;  // models that are to be loaded, each once
  std::vector<std::unique_ptr<Instance>> ended_;
  std::uint64_t n_uses_ = 0;
  bool accepts_ = true;
  bool quits_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_ROUTER_ROUTER_H_
