// The simulation: seeds one after the other, each a run of its own.
//
//   PENSTOCK_SIM_SEEDS=10000  so many (1000)
//   PENSTOCK_SIM_FROM=n       from this one on (1)
//   PENSTOCK_SIM_SEED=n       that one alone
//   PENSTOCK_SIM_TRACE=1      and what happens in it
//
// A child process does the work, so that a crash or a hang is told with its seed and step, too.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "world.h"

namespace penstock::sim {
namespace {

constexpr unsigned kHangSeconds = 60;

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Order {
  std::uint64_t from = 1;
  std::uint64_t count = 1000;
  bool tracing = false;
};

Order read_order() {
  Order order{.from = number_from_environment("PENSTOCK_SIM_FROM", 1),
              .count = number_from_environment("PENSTOCK_SIM_SEEDS", 1000),
              .tracing = number_from_environment("PENSTOCK_SIM_TRACE", 0) != 0};
  if (const std::uint64_t seed = number_from_environment("PENSTOCK_SIM_SEED", 0); seed != 0) {
    order.from = seed;
    order.count = 1;
  }
  return order;
}

void run_seeds(const Order& order, Progress& progress) {
  Process process;
  for (std::uint64_t seed = order.from; seed < order.from + order.count; ++seed) {
    ::alarm(kHangSeconds);  // ends the process by a signal
    progress.seed = seed;
    World(seed, progress, process, order.tracing).run();
    ++progress.seeds_done;
  }
}

// True when every seed passed.
bool judge(int status, const Progress& progress) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  const auto seed = static_cast<unsigned long long>(progress.seed);
  const auto step = static_cast<unsigned long long>(progress.step);
  if (!progress.told) {
    const char* why = "a sanitizer's report ended it";
    if (WIFSIGNALED(status))
      why = WTERMSIG(status) == SIGALRM ? "it hangs" : ::strsignal(WTERMSIG(status));
    std::fprintf(stderr, "seed %llu step %llu: %s\n", seed, step, why);
  }
  std::fprintf(stderr, "replay: PENSTOCK_SIM_SEED=%llu PENSTOCK_SIM_TRACE=1\n", seed);
  return false;
}

void tell(const Progress& progress, double seconds) {
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf(
      "%llu seeds in %.1f s, %.0f a second: %llu steps, %llu requests, %llu answered,\n"
      "%llu connections taken over; a reload in %llu seeds, a cap reached in %llu\n",
      number(progress.seeds_done), seconds, static_cast<double>(progress.seeds_done) / seconds,
      number(progress.steps_done), number(progress.requests), number(progress.answers),
      number(progress.takeovers), number(progress.with_reload), number(progress.with_cap));
}

// A simulation in which too little happens shows too little.
bool happened_enough(const Progress& progress) {
  const std::uint64_t fifth = progress.seeds_done / 5;
  const bool enough = progress.with_reload >= fifth && progress.with_cap >= fifth;
  if (!enough) std::fprintf(stderr, "fewer than one seed in five saw a reload, or reached a cap\n");
  return enough;
}

int run() {
  const Order order = read_order();
  void* memory =
      ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return EXIT_FAILURE;
  auto& progress = *new (memory) Progress();
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    run_seeds(order, progress);
    std::exit(EXIT_SUCCESS);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const bool passed = judge(status, progress);
  tell(progress, took.count());
  return passed && happened_enough(progress) ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace penstock::sim

int main() { return penstock::sim::run(); }
