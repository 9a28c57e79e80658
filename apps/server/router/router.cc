#include "apps/server/router/router.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "apps/server/api/api_error.h"
#include "apps/server/api/json_text.h"

namespace gumbelspec::server {
namespace {

// How long a client can be gone before it is noticed.
constexpr std::chrono::milliseconds kLook{20};

bool is_usable(ModelState state) {
  return state == ModelState::loaded || state == ModelState::sleeping;
}

ApiError shutting_down() {
  return {503, "server_error", "the server is shutting down", "", "shutting_down"};
}

}  // namespace

const char* to_string(ModelState state) {
  switch (state) {
    case ModelState::unloaded:
      return "unloaded";
    case ModelState::loading:
      return "loading";
    case ModelState::loaded:
    case ModelState::stopping:  // it still finishes what it is doing
      return "loaded";
    case ModelState::sleeping:
      return "sleeping";
  }
  return "";
}

Router::Router(RouterOptions options, Launch launch)
    : options_(options), launch_(std::move(launch)), thread_([this] { run(); }) {}

Router::~Router() {
  {
    const std::lock_guard lock(mutex_);
    accepts_ = false;
    quits_ = true;
    queue_.clear();
    for (auto& [name, entry] : entries_) ask_to_stop(entry);
  }
  changed_.notify_all();
  thread_.join();
}

void Router::set_models(const std::vector<ModelSource>& models, bool is_start) {
  const std::lock_guard lock(mutex_);
  for (auto& [name, entry] : entries_) entry.is_listed = false;
  for (const ModelSource& source : models) {
    Entry& entry = entries_[source.name];
    const bool is_other = !(entry.status.source == source);
    entry.is_listed = true;
    entry.status.source = source;
    if (is_other) ask_to_stop(entry);
    if (is_start && source.loads_at_start) enqueue(source.name);
  }
  for (auto& [name, entry] : entries_) {
    if (entry.is_listed) continue;
    dequeue(name);
    ask_to_stop(entry);
  }
  forget_unlisted();
  changed_.notify_all();
}

std::vector<ModelStatus> Router::models() const {
  const std::lock_guard lock(mutex_);
  std::vector<ModelStatus> out;
  for (const auto& [name, entry] : entries_) {
    if (!entry.is_listed) continue;
    out.push_back(entry.status);
    if (is_usable(entry.status.state)) out.back().address = entry.instance->address();
  }
  return out;
}

Router::Entry& Router::listed(const std::string& name) {
  const auto found = entries_.find(name);
  if (found != entries_.end() && found->second.is_listed) return found->second;
  throw ApiError(404, "invalid_request_error",
                 "there is no model " + shown(Json(name)) + "; GET /models lists those there are",
                 "model", "model_not_found");
}

void Router::load(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const Entry& entry = listed(name);
  if (!accepts_) throw shutting_down();
  if (is_usable(entry.status.state) || entry.status.state == ModelState::loading) {
    throw bad_request("the model is loaded already", "model", "invalid_value");
  }
  enqueue(name);
  changed_.notify_all();
}

void Router::unload(const std::string& name) {
  const std::lock_guard lock(mutex_);
  Entry& entry = listed(name);
  if (entry.instance == nullptr) {
    throw bad_request("the model is not loaded", "model", "invalid_value");
  }
  ask_to_stop(entry);
  changed_.notify_all();
}

std::unique_ptr<Router::Lease> Router::acquire(const std::string& name, bool may_load,
                                               const std::function<bool()>& is_gone) {
  std::unique_lock lock(mutex_);
  Entry* entry = &listed(name);
  const bool is_coming = entry->status.state == ModelState::loading ||
                         std::find(queue_.begin(), queue_.end(), name) != queue_.end();
  if (!is_usable(entry->status.state) && !is_coming) {
    if (!may_load) {
      throw bad_request("the model is not loaded; POST /models/load loads it", "model",
                        "model_not_loaded");
    }
    if (!accepts_) throw shutting_down();
    enqueue(name);
    changed_.notify_all();
  }
  ++entry->n_waiting;
  const std::size_t n_failures = entry->n_failures;
  const auto leave = [&] {
    --entry->n_waiting;
    forget_unlisted();
  };
  while (!is_usable(entry->status.state)) {
    changed_.wait_for(lock, kLook);
    std::optional<ApiError> error;
    if (!accepts_) {
      error = shutting_down();
    } else if (entry->n_failures != n_failures) {
      error = ApiError(500, "server_error", "the model cannot be loaded: " + entry->status.why,
                       "model", "load_failed");
    } else if (!entry->is_listed) {
      error = ApiError(404, "invalid_request_error", "the model is not there any more", "model",
                       "model_not_found");
    } else if (!is_usable(entry->status.state) && is_gone()) {
      // Nobody else who wants it: it costs no other model its place.
      if (entry->n_waiting == 1) dequeue(name);
      error = ApiError(499, "server_error", "the client went away");
    }
    if (!error) continue;
    leave();
    throw *error;
  }
  --entry->n_waiting;
  ++entry->n_requests;
  entry->last_use = ++n_uses_;
  return std::make_unique<Lease>(*this, name, entry->instance->address());
}

void Router::release(const std::string& name) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_.at(name);
  --entry.n_requests;
  entry.last_use = ++n_uses_;
  forget_unlisted();
  changed_.notify_all();
}

void Router::stop_accepting() {
  const std::lock_guard lock(mutex_);
  accepts_ = false;
  queue_.clear();
  changed_.notify_all();
}

void Router::enqueue(const std::string& name) {
  if (std::find(queue_.begin(), queue_.end(), name) == queue_.end()) queue_.push_back(name);
}

void Router::dequeue(const std::string& name) {
  queue_.erase(std::remove(queue_.begin(), queue_.end(), name), queue_.end());
}

void Router::forget_unlisted() {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const Entry& e = entry->second;
    const bool is_done =
        !e.is_listed && e.instance == nullptr && e.n_waiting == 0 && e.n_requests == 0;
    entry = is_done ? entries_.erase(entry) : std::next(entry);
  }
}

std::size_t Router::count(bool only_stopping) const {
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(), [only_stopping](const auto& item) {
        const ModelState state = item.second.status.state;
        return only_stopping ? state == ModelState::stopping : state != ModelState::unloaded;
      }));
}

// Of those that nobody uses, nor is about to. Null: there is none.
Router::Entry* Router::idle_longest() {
  Entry* found = nullptr;
  for (auto& [name, entry] : entries_) {
    const bool is_idle =
        is_usable(entry.status.state) && entry.n_requests == 0 && entry.n_waiting == 0;
    if (is_idle && (found == nullptr || entry.last_use < found->last_use)) found = &entry;
  }
  return found;
}

void Router::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (!ended_.empty()) {
      // Their threads have called for the last time, but may not be back yet.
      std::vector<std::unique_ptr<Instance>> ended = std::exchange(ended_, {});
      lock.unlock();
      ended.clear();
      lock.lock();
      continue;
    }
    if (quits_ && count(false) == 0) return;
    serve_queue();
    changed_.wait(lock);
  }
}

// Starts what is first in the queue, or has another end for it.
void Router::serve_queue() {
  while (!queue_.empty()) {
    Entry& entry = entries_.at(queue_.front());
    if (entry.status.state == ModelState::stopping) return;
    if (entry.status.state != ModelState::unloaded) {
      queue_.pop_front();
      continue;
    }
    if (options_.max_loaded == 0 || count(false) < options_.max_loaded) {
      queue_.pop_front();
      start(entry);
      continue;
    }
    // One goes for one that comes.
    if (count(true) > 0) return;
    Entry* other = idle_longest();
    if (other == nullptr) return;
    ask_to_stop(*other);
    return;
  }
}

void Router::start(Entry& entry) {
  const std::string name = entry.status.source.name;
  entry.status.has_failed = false;
  entry.status.why.clear();
  entry.status.state = ModelState::loading;
  entry.last_use = ++n_uses_;
  InstanceEvents events;
  events.on_ready = [this, name] { note_state(name, ModelState::loaded); };
  events.on_asleep = [this, name] { note_state(name, ModelState::sleeping); };
  events.on_exit = [this, name](int exit_code, const std::string& why) {
    note_exit(name, exit_code, why);
  };
  try {
    entry.instance = launch_(entry.status.source, std::move(events));
  } catch (const std::exception& error) {
    entry.status.state = ModelState::unloaded;
    entry.status.has_failed = true;
    entry.status.why = error.what();
    ++entry.n_failures;
  }
  changed_.notify_all();
}

void Router::ask_to_stop(Entry& entry) {
  if (entry.instance == nullptr || entry.status.state == ModelState::stopping) return;
  entry.status.state = ModelState::stopping;
  entry.instance->stop();
}

void Router::note_state(const std::string& name, ModelState state) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_.at(name);
  if (entry.status.state != ModelState::stopping) entry.status.state = state;
  changed_.notify_all();
}

void Router::note_exit(const std::string& name, int exit_code, const std::string& why) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_.at(name);
  const bool was_asked = entry.status.state == ModelState::stopping;
  entry.status.state = ModelState::unloaded;
  entry.status.has_failed = !was_asked;
  entry.status.exit_code = exit_code;
  if (!was_asked) {
    entry.status.why = why;
    ++entry.n_failures;
  }
  ended_.push_back(std::move(entry.instance));
  // Who waits for one that was told to go has it brought back.
  if (was_asked && entry.n_waiting > 0 && entry.is_listed && accepts_) enqueue(name);
  forget_unlisted();
  changed_.notify_all();
}

}  // namespace gumbelspec::server
