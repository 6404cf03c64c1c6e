// The Resolver of a worker across reloads: new look-ups go to the newest, those under way keep
// theirs.
//
// Owner: the Worker. Thread: its loop's.
#pragma once

#include <memory>
#include <string>

#include "net/cares_resolver.h"
#include "net/resolver.h"

namespace penstock {

class ResolverSwitch final : public Resolver {
 public:
  explicit ResolverSwitch(std::unique_ptr<CaresResolver> first) : current_(std::move(first)) {}

  void replace(std::unique_ptr<CaresResolver> next) { current_ = std::move(next); }

  std::variant<AddressList, Pending, Error> resolve(const std::string& host,
                                                    ResolveHandler& handler) override {
    auto outcome = current_->resolve(host, handler);
    if (auto* pending = std::get_if<Pending>(&outcome)) {
      *pending = std::make_unique<LookUp>(current_, std::move(*pending));
    }
    return outcome;
  }

 private:
  // Keeps its resolver alive, and ends before it.
  struct LookUp final : PendingOperation {
    LookUp(std::shared_ptr<CaresResolver> by, Pending what)
        : resolver(std::move(by)), operation(std::move(what)) {}
    const std::shared_ptr<CaresResolver> resolver;
    const Pending operation;
  };

  std::shared_ptr<CaresResolver> current_;
};

}  // namespace penstock
