#include "net/descriptor_queue.h"

#include <sys/socket.h>

#include "event/loop.h"
#include "net/unique_fd.h"

namespace penstock {

namespace {

bool is_one_free() { return bool(UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))); }

}  // namespace

Error no_descriptor(const std::string& what_for) {
  return {.code = ErrorCode::kConnectionLimitReached,
          .source = ErrorSource::kInternal,
          .phase = Phase::kQueue,
          .limit_key = "timeouts.queue",
          .detail = "no file descriptor was free " + what_for};
}

DescriptorQueue::DescriptorQueue(Loop& loop)
    : loop_(loop), due_(loop.timers(), Delegate<void()>::to<&DescriptorQueue::on_due>(*this)) {}

void DescriptorQueue::join(Place& place) {
  if (places_.empty()) due_.arm(loop_.now());
  if (place.had_its_turn_) {
    places_.push_front(place);
    due_.arm(loop_.now() + kPause);
  } else {
    places_.push_back(place);
  }
}

// A turn taken in vain arms the pause, which ends this one too.
void DescriptorQueue::on_due() {
  while (!places_.empty() && !due_.armed() && make_room()) {
    Place& first = *places_.pop_front();
    first.had_its_turn_ = true;
    first.go_on_();
  }
  if (!places_.empty() && !due_.armed()) due_.arm(loop_.now() + kPause);
}

bool DescriptorQueue::make_room() {
  return is_one_free() || (relief_ && relief_() && is_one_free());
}

}  // namespace penstock
