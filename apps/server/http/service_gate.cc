#include "apps/server/http/service_gate.h"

#include <exception>
#include <stdexcept>
#include <utility>

#include "apps/server/api/tokens.h"

namespace gumbelspec::server {
namespace {

// How many tokens there are is told; the rest is gone with the model.
class GoneTokenizer final : public Tokenizer {
 public:
  explicit GoneTokenizer(std::size_t n_vocab) : n_vocab_(n_vocab) {}
  [[nodiscard]] std::vector<TokenId> tokenize(std::string_view /*text*/,
                                              const TokenizeOptions& /*options*/) const override {
    throw std::logic_error("a text for a model that is only shown");
  }
  [[nodiscard]] std::string piece(TokenId /*token*/) const override {
    throw std::logic_error("a token of a model that is only shown");
  }
  [[nodiscard]] std::size_t n_vocab() const override { return n_vocab_; }

 private:
  std::size_t n_vocab_;
};

ApiModel without_model(ApiModel model) {
  model.tokenizer = std::make_shared<GoneTokenizer>(model.tokenizer->n_vocab());
  model.compile_grammar = {};
  model.schemas = {};
  return model;
}

ApiError cannot_wake(const std::string& why) {
  return {503, "unavailable_error", "the models cannot be loaded again: " + why, "", "loading"};
}

}  // namespace

void ServiceGate::open(Service& service) {
  auto shown = std::make_shared<const ShownModel>(
      ShownModel{without_model(service.model()), service.n_active()});
  const std::lock_guard lock(mutex_);
  service_ = &service;
  shown_ = std::move(shown);
  last_use_ = Clock::now();
}

bool ServiceGate::close_after(Clock::duration idle) {
  const std::lock_guard lock(mutex_);
  if (service_ == nullptr || is_changing_ || n_users_ > 0 || Clock::now() - last_use_ < idle)
    return false;
  service_ = nullptr;
  return true;
}

bool ServiceGate::is_asleep() const {
  const std::lock_guard lock(mutex_);
  return service_ == nullptr && shown_ != nullptr;
}

std::shared_ptr<const ShownModel> ServiceGate::shown() const {
  const std::lock_guard lock(mutex_);
  if (shown_ == nullptr) throw still_loading();
  return shown_;
}

void ServiceGate::enter() {
  std::unique_lock lock(mutex_);
  if (shown_ == nullptr) throw still_loading();
  while (service_ == nullptr || is_changing_) {
    if (is_changing_) {
      changed_.wait(lock, [this] { return !is_changing_; });
      // Whoever waited is told the same.
      if (service_ == nullptr && !failure_.empty()) throw cannot_wake(failure_);
      continue;
    }
    is_changing_ = true;
    try {
      bring(lock, wake_);
    } catch (const std::exception&) {
      throw cannot_wake(failure_);
    }
  }
  ++n_users_;
}

void ServiceGate::bring(std::unique_lock<std::mutex>& lock, const std::function<void()>& make) {
  failure_.clear();
  lock.unlock();
  std::exception_ptr error;
  std::string failure;
  try {
    make();
  } catch (const std::exception& thrown) {
    error = std::current_exception();
    failure = thrown.what();
  } catch (...) {  // a signal to stop
    failure = "the server is shutting down";
    error = std::make_exception_ptr(cannot_wake(failure));
  }
  lock.lock();
  if (service_ == nullptr && failure.empty()) failure = "nothing was loaded";
  failure_ = std::move(failure);
  is_changing_ = false;
  changed_.notify_all();
  if (error) std::rethrow_exception(error);
}

void ServiceGate::replace(const std::function<void()>& make) {
  std::unique_lock lock(mutex_);
  if (shown_ == nullptr) throw still_loading();
  changed_.wait(lock, [this] { return !is_changing_; });
  is_changing_ = true;
  changed_.wait(lock, [this] { return n_users_ == 0; });
  service_ = nullptr;
  bring(lock, make);
}

void ServiceGate::enter_again() {
  const std::lock_guard lock(mutex_);
  ++n_users_;
}

void ServiceGate::leave() {
  const std::lock_guard lock(mutex_);
  --n_users_;
  last_use_ = Clock::now();
  changed_.notify_all();
}

bool ServiceGate::enter_if_awake() {
  const std::lock_guard lock(mutex_);
  if (service_ == nullptr) return false;
  ++n_users_;
  return true;
}

void ServiceGate::leave_unused() {
  const std::lock_guard lock(mutex_);
  --n_users_;
  changed_.notify_all();
}

Service& ServiceGate::service() const {
  const std::lock_guard lock(mutex_);
  if (service_ == nullptr) throw still_loading();
  return *service_;
}

}  // namespace gumbelspec::server
