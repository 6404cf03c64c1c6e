// How the daemon ends: a drain, at most as long as the grace.
#include <chrono>
#include <cstdint>
#include <utility>

#include "server/daemon.h"

namespace penstock {

namespace {

std::int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

void Daemon::on_stop_signal() {
  switch (state_) {
    case State::kServing:
      stop_signalled_ = true;
      begin_drain();
      return;
    case State::kDraining:
      if (!std::exchange(stop_signalled_, true)) return;  // a drain that no signal began goes on
      log_.warning("a second signal: stopping at once");
      exit_code_ = kExitFailure;
      stop();
      return;
    case State::kStarting:
    case State::kStopped:
      return;
  }
}

void Daemon::begin_drain() {
  // Whether it will serve is not known: what it has is its own either way.
  if (takeover_server_ && takeover_server_->pending()) let_go(takeover_server_->give_up());
  drain(loaded_.config->shutdown.wait_for_clients);
}

void Daemon::drain(const Limit& wait_for_clients) {
  state_ = State::kDraining;
  watch_.watch({}, std::nullopt);
  const Duration grace = loaded_.config->shutdown.grace;
  log_.info("draining",
            {{"grace_ms", milliseconds(grace)},
             {"wait_for_clients_ms", milliseconds(wait_for_clients.value_or(Duration()))}});
  service_manager_.stopping(grace);
  grace_.arm(loop_.now() + grace);
  wait_for_clients ? client_wait_.start(*wait_for_clients) : stop_accepting();
}

void Daemon::stop_accepting() {
  // A client that one worker gives to another must not arrive after that has drained.
  clients_.stop_sharing();
  check_workers([this] { drain_workers(); });
}

void Daemon::drain_workers() {
  if (state_ != State::kDraining) return;
  undrained_workers_ = workers_.size();
  sockets_.clear();  // the files go before the workers close
  for (const auto& worker : workers_) worker->begin_drain([this] { on_worker_drained(); });
}

void Daemon::on_worker_drained() {
  if (--undrained_workers_ == 0 && state_ == State::kDraining) stop();
}

void Daemon::on_grace_over() {
  log_.warning("the grace is over: cutting what is left");
  stop();
}

void Daemon::stop() {
  state_ = State::kStopped;
  sockets_.clear();  // the files go before the workers close, if no drain came so far
  grace_.cancel();
  client_wait_.cancel();
  loop_.stop();
}

}  // namespace penstock
