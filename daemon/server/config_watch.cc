#include "server/config_watch.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>

namespace penstock {

namespace {

// A file may change twice within one tick of its time stamp, the second time unseen.
constexpr std::chrono::seconds kSettlesAfter{2};

bool is_pipe(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
}

}  // namespace

ConfigWatch::ConfigWatch(TimerWheel& timers, const Clock& clock, Delegate<void()> on_changed)
    : clock_(clock),
      on_changed_(on_changed),
      due_(timers, Delegate<void()>::to<&ConfigWatch::on_due>(*this)) {}

void ConfigWatch::watch(const std::vector<ReadFile>& files, const Limit& every) {
  files_.clear();
  for (const ReadFile& file : files) {
    if (!is_pipe(file.path)) files_.push_back({.read = file, .seen = file.digest});
  }
  every_ = every;
  if (every_ && !files_.empty()) {
    due_.arm(clock_.now() + *every_);
  } else {
    due_.cancel();
  }
}

void ConfigWatch::on_due() {
  due_.arm(clock_.now() + *every_);
  bool agree = true;
  for (File& file : files_) agree = look(file) && agree;
  const bool changed =
      std::ranges::any_of(files_, [](const File& file) { return file.seen != file.read.digest; });
  if (agree && changed) on_changed_();
}

// Whether its content is that of the look before.
bool ConfigWatch::look(File& file) const {
  const FileStamp stamp = stamp_of(file.read.path);
  if (file.settled && stamp == file.stamp) return true;
  const std::chrono::nanoseconds changed(stamp.modified_ns);
  file.settled = clock_.wall_now().time_since_epoch() - changed > kSettlesAfter;
  file.stamp = stamp;
  const std::uint64_t before = file.seen;
  file.seen = digest(read_file(file.read.path, kMaxFileBytes, false));
  return file.seen == before;
}

}  // namespace penstock
