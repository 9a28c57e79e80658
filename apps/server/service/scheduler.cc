#include "apps/server/service/scheduler.h"

#include <algorithm>
#include <exception>
#include <future>
#include <stdexcept>
#include <utility>

namespace gumbelspec::server {

// Between the engine and a text's sink: sees that on_end() comes exactly once.
class Scheduler::Forward final : public TextSink {
 public:
  // is_taken: whether the engine has the text; it drops the sink of one that it refuses.
  Forward(Scheduler& scheduler, RequestId request, std::unique_ptr<TextSink> sink,
          std::shared_ptr<const bool> is_taken)
      : scheduler_(scheduler),
        request_(request),
        sink_(std::move(sink)),
        is_taken_(std::move(is_taken)) {}
  // The engine dropped it without a word (shut down, broken).
  ~Forward() override {
    if (sink_ == nullptr || !*is_taken_) return;
    const Error error(ErrorCode::evaluation_failed, "the engine gave up the text");
    on_end(Outcome::cancelled, {}, &error);
  }
  Forward(const Forward&) = delete;
  Forward& operator=(const Forward&) = delete;

  void on_prompt(std::size_t n_done, std::size_t n_total, std::size_t n_reused) override {
    sink_->on_prompt(n_done, n_total, n_reused);
  }
  bool on_round(const BatchRound& round) override { return sink_->on_round(round); }
  void on_end(Outcome outcome, const Statistics& statistics, const Error* error) override {
    // Nobody here asked for it: a pass was stopped from outside.
    if (outcome == Outcome::cancelled && error == nullptr) scheduler_.note_stopped(request_);
    // A batch tells its texts, and takes itself for fit to go on.
    if (error != nullptr && error->code() == ErrorCode::peer_lost) scheduler_.loss_ = *error;
    const std::unique_ptr<TextSink> sink = std::exchange(sink_, nullptr);
    sink->on_end(outcome, statistics, error);
    scheduler_.on_texts_end(request_, 1);
  }

 private:
  Scheduler& scheduler_;
  RequestId request_;
  std::unique_ptr<TextSink> sink_;
  std::shared_ptr<const bool> is_taken_;
};

Scheduler::Scheduler(std::unique_ptr<TextEngine> engine, SchedulerOptions options)
    : engine_(std::move(engine)), options_(std::move(options)), thread_([this] { run(); }) {}

Scheduler::~Scheduler() {
  {
    const std::lock_guard lock(mutex_);
    accepts_ = false;
    mail_.quits = true;
  }
  has_mail_.notify_one();
  thread_.join();
}

Scheduler::Added Scheduler::add(std::vector<TextJob> jobs, RequestHooks hooks,
                                std::optional<Clock::time_point> deadline) {
  Added added;
  if (jobs.empty()) throw std::logic_error("a request without a text");
  {
    const std::lock_guard lock(mutex_);
    const std::size_t n_places = options_.n_active + options_.n_waiting;
    if (has_failed_) {
      added.admission = Admission::failed;
    } else if (!accepts_) {
      added.admission = Admission::stopping;
    } else if (n_texts_ > 0 && n_texts_ + jobs.size() > n_places) {
      added.admission = Admission::queue_full;
    }
    if (added.admission != Admission::accepted) return added;
    added.id = RequestId{++last_id_};
    n_texts_ += jobs.size();
    mail_.arrivals.push_back({added.id, std::move(jobs), std::move(hooks), deadline});
  }
  has_mail_.notify_one();
  return added;
}

void Scheduler::cancel(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    mail_.cancelled.push_back(id);
  }
  has_mail_.notify_one();
}

void Scheduler::call(const std::function<void(TextEngine&)>& task) {
  std::promise<void> done;
  {
    const std::lock_guard lock(mutex_);
    if (!accepts_) {
      throw ApiError(503, "server_error", "the server is shutting down", "", "shutting_down");
    }
    mail_.tasks.emplace_back([this, &task, &done] {
      try {
        task(ready_engine());
        done.set_value();
      } catch (...) {
        done.set_exception(std::current_exception());
      }
    });
  }
  has_mail_.notify_one();
  done.get_future().get();
}

void Scheduler::stop_accepting() {
  const std::lock_guard lock(mutex_);
  accepts_ = false;
}

void Scheduler::end_all() {
  {
    const std::lock_guard lock(mutex_);
    mail_.ends_all = true;
  }
  has_mail_.notify_one();
}

bool Scheduler::wait_until_idle(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  return is_idle_.wait_until(lock, until, [this] { return n_texts_ == 0; });
}

std::size_t Scheduler::n_texts() const {
  const std::lock_guard lock(mutex_);
  return n_texts_;
}

bool Scheduler::has_failed() const {
  const std::lock_guard lock(mutex_);
  return has_failed_;
}

Clock::duration Scheduler::time_in_round() const {
  const std::lock_guard lock(mutex_);
  return round_began_ ? Clock::now() - *round_began_ : Clock::duration::zero();
}

void Scheduler::run() {
  for (bool quits = false; !quits;) {
    Mail mail = wait_for_mail();
    quits = mail.quits;
    for (Arrival& arrival : mail.arrivals) start(std::move(arrival));
    for (const auto& task : mail.tasks) task();
    for (const RequestId id : mail.cancelled) interrupt(id, Interruption::cancelled);
    if (mail.ends_all || quits) end_everything();
    end_overdue();
    if (has_work_ && !quits) step();
    if (!quits) start_held();
  }
  // Here, because the batch is this thread's; and what it still holds is told its end.
  engine_.reset();
}

Scheduler::Mail Scheduler::wait_for_mail() {
  std::unique_lock lock(mutex_);
  has_mail_.wait(lock, [this] { return has_work_ || !mail_.empty(); });
  return std::exchange(mail_, {});
}

void Scheduler::start(Arrival arrival) {
  Request& request = requests_[arrival.id];
  request.hooks = std::move(arrival.hooks);
  request.deadline = arrival.deadline;
  request.n_left = arrival.jobs.size();
  for (TextJob& job : arrival.jobs) request.held.push_back(std::move(job));
  start_held();
}

// Every request may have one text in the engine, but those of several texts together leave a place
// free; more as long as all together do. The request that has the fewest there is next.
std::optional<RequestId> Scheduler::next_to_start() const {
  const auto has_several = [](const Request& request) {
    return request.texts.size() + request.held.size() > 1;
  };
  std::size_t n_in_engine = 0;
  std::size_t n_of_several = 0;
  for (const auto& [id, request] : requests_) {
    n_in_engine += request.n_in_engine();
    if (has_several(request)) n_of_several += request.n_in_engine();
  }
  const bool is_full = n_in_engine + 1 >= options_.n_active;
  const bool is_full_of_several = n_of_several > 0 && n_of_several + 1 >= options_.n_active;
  std::optional<RequestId> next;
  std::size_t n_of_next = 0;
  for (const auto& [id, request] : requests_) {
    if (request.held.empty() || request.is_ending) continue;
    const std::size_t n = request.n_in_engine();
    const bool waits = n > 0 ? is_full : has_several(request) && is_full_of_several;
    if (waits || (next && n >= n_of_next)) continue;
    next = id;
    n_of_next = n;
  }
  return next;
}

// A text may end, and its request with it, while it is being started.
void Scheduler::start_held() {
  while (const std::optional<RequestId> id = next_to_start()) {
    std::deque<TextJob>& held = requests_.at(*id).held;
    TextJob job = std::move(held.front());
    held.pop_front();
    // It will not end in the engine, and those behind it are not even begun.
    if (!start_text(*id, std::move(job))) on_texts_end(*id, 1);
  }
}

void Scheduler::drop_held(RequestId id) {
  const auto found = requests_.find(id);
  if (found == requests_.end() || found->second.held.empty()) return;
  const std::deque<TextJob> held = std::exchange(found->second.held, {});
  for (const TextJob& job : held) job.sink->on_end(Outcome::cancelled, {}, nullptr);
  on_texts_end(id, held.size());
}

TextEngine& Scheduler::ready_engine() {
  if (engine_ == nullptr && options_.make_engine && !has_failed()) {
    engine_ = options_.make_engine();
  }
  if (engine_ == nullptr) throw Error(ErrorCode::evaluation_failed, "the engine has failed");
  return *engine_;
}

bool Scheduler::start_text(RequestId id, TextJob job) {
  std::optional<Error> refusal;
  try {
    TextEngine& engine = ready_engine();
    const auto is_taken = std::make_shared<bool>(false);
    auto forward = std::make_unique<Forward>(*this, id, std::move(job.sink), is_taken);
    const TextId text = engine.add(job.prompt, job.options, std::move(forward));
    *is_taken = true;
    has_work_ = true;
    // Unless it has ended already.
    const auto found = requests_.find(id);
    if (found != requests_.end()) found->second.texts.push_back(text);
    return true;
  } catch (const Error& error) {
    refusal = error;
  } catch (const std::exception& error) {
    refusal = Error(ErrorCode::evaluation_failed, error.what());
  }
  end(id, [&](const RequestHooks& hooks) { hooks.on_refused(*refusal); });
  return false;
}

void Scheduler::end(RequestId id, const std::function<void(const RequestHooks&)>& tell) {
  const auto found = requests_.find(id);
  if (found == requests_.end() || std::exchange(found->second.is_ending, true)) return;
  tell(found->second.hooks);
  // The last text's end takes the request out of the map.
  const std::vector<TextId> texts = found->second.texts;
  drop_held(id);
  if (engine_ == nullptr) return;
  for (const TextId text : texts) engine_->cancel(text);
  has_work_ = true;
}

void Scheduler::interrupt(RequestId id, Interruption reason) {
  end(id, [reason](const RequestHooks& hooks) { hooks.on_interrupted(reason); });
}

void Scheduler::end_overdue() {
  std::vector<RequestId> overdue;
  std::optional<Clock::time_point> now;
  for (const auto& [id, request] : requests_) {
    if (!request.deadline) continue;
    if (!now) now = Clock::now();
    if (*request.deadline <= *now) overdue.push_back(id);
  }
  for (const RequestId id : overdue) interrupt(id, Interruption::timed_out);
}

void Scheduler::end_everything() {
  std::vector<RequestId> ids;
  for (const auto& [id, request] : requests_) ids.push_back(id);
  for (const RequestId id : ids) interrupt(id, Interruption::shutting_down);
}

void Scheduler::step() {
  const auto note = [this](std::optional<Clock::time_point> began) {
    const std::lock_guard lock(mutex_);
    round_began_ = began;
  };
  note(Clock::now());
  make_round();
  note(std::nullopt);
}

void Scheduler::make_round() {
  try {
    has_work_ = engine_->step();
    if (options_.on_round) options_.on_round(engine_->statistics());
    if (loss_ && options_.make_engine) lose(*loss_);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::peer_lost && options_.make_engine) return lose(error);
    fail(error.what());
  } catch (const std::exception& error) {
    fail(error.what());
  }
}

// The engine's texts are lost with the machine; the server is not.
void Scheduler::lose(const Error& cause) {
  const Error error = cause;
  if (options_.on_loss) options_.on_loss(error.what());
  has_work_ = false;
  loss_.reset();
  const std::unique_ptr<TextEngine> engine = std::move(engine_);
  std::vector<RequestId> ids;
  for (const auto& [id, request] : requests_) ids.push_back(id);
  for (const RequestId id : ids) {
    end(id, [&](const RequestHooks& hooks) { hooks.on_refused(error); });
  }
}

// A broken contract below: the batch cannot be trusted any more. Its texts end with its destructor.
void Scheduler::fail(const std::string& what) {
  {
    const std::lock_guard lock(mutex_);
    has_failed_ = true;
  }
  if (options_.on_failure) options_.on_failure(what);
  has_work_ = false;
  engine_.reset();
}

void Scheduler::note_stopped(RequestId id) {
  Request& request = requests_.at(id);
  if (std::exchange(request.is_ending, true)) return;
  request.hooks.on_interrupted(Interruption::shutting_down);
  drop_held(id);
}

void Scheduler::on_texts_end(RequestId id, std::size_t n) {
  const auto found = requests_.find(id);
  found->second.n_left -= n;
  if (found->second.n_left == 0) {
    const RequestHooks hooks = std::move(found->second.hooks);
    requests_.erase(found);
    hooks.on_done();
  }
  {
    const std::lock_guard lock(mutex_);
    n_texts_ -= n;
    if (n_texts_ > 0) return;
  }
  is_idle_.notify_all();
}

}  // namespace gumbelspec::server
