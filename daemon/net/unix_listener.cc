#include "net/unix_listener.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <ctime>
#include <system_error>
#include <utility>

#include "net/address.h"
#include "net/listener.h"

namespace penstock {

namespace {

constexpr mode_t kPermissionBits = 07777;
constexpr int kMostLockTries = 1000;  // a millisecond each; it is held for less than one

Unexpected<Error> failed(int sys, std::string detail) {
  return Unexpected{Error{.code = ErrorCode::kProxyInternalError,
                          .source = ErrorSource::kInternal,
                          .sys = sys,
                          .detail = std::move(detail)}};
}

std::string reason(int sys) { return std::generic_category().message(sys); }

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string why_not_bound(const std::string& path, int sys) {
  switch (sys) {
    case ENOENT:
    case ENOTDIR:
      return "there is no folder " + folder_of(path) + ": make it first (RuntimeDirectory= does)";
    case EACCES:
    case EPERM:
      return "user " + std::to_string(::geteuid()) + " may not make files in " + folder_of(path);
    default:
      return reason(sys);
  }
}

Unexpected<Error> cannot_listen(const std::string& path, int sys, const std::string& why) {
  return failed(sys, "cannot listen on unix:" + path + ": " + why);
}

int bind_to(int fd, const SocketAddress& address) {
  return ::bind(fd, address.data(), address.length()) == 0 ? 0 : errno;
}

// Only one process at a time makes or replaces sockets in a folder: one that is bound and does not
// listen yet looks like one that was left behind. Where the folder cannot be locked, or somebody
// holds the lock, it goes on without.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder)
      : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    constexpr timespec kPause = {.tv_sec = 0, .tv_nsec = 1'000'000};
    for (int tries = kMostLockTries; fd_ && tries > 0; --tries) {
      if (::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
      ::nanosleep(&kPause, nullptr);
    }
  }

 private:
  UniqueFd fd_;  // the lock ends with it
};

// Knocks at a socket that is there already: 0 when somebody serves it, else the errno. A full queue
// (EAGAIN) is one that somebody serves.
int knock(const SocketAddress& address) {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) return errno;
  if (::connect(probe.get(), address.data(), address.length()) == 0) return 0;
  return errno == EAGAIN || errno == EINPROGRESS ? 0 : errno;
}

// Removes what a process that has ended left at the path; anything else stays, with the reason.
Result<void> clear_path(const std::string& path, const SocketAddress& address) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    return errno == ENOENT ? Result<void>() : cannot_listen(path, errno, reason(errno));
  }
  if (!S_ISSOCK(found.st_mode)) {
    return cannot_listen(path, EEXIST,
                         "what is there is not a socket: remove it or choose another path");
  }
  switch (const int sys = knock(address)) {
    case ENOENT:  // gone meanwhile
      return {};
    case ECONNREFUSED:
      if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
      return cannot_listen(
          path, errno,
          "the socket that an earlier process left there cannot be removed: " + reason(errno));
    case 0:
    case EPROTOTYPE:  // of another type, and served: nobody else would get that far
      return cannot_listen(path, EADDRINUSE, "another process listens there already");
    default:
      return cannot_listen(
          path, sys, "there is a socket that cannot be asked whether it is in use: " + reason(sys));
  }
}

Result<void> bind_or_replace(int fd, const std::string& path, const SocketAddress& address) {
  int sys = bind_to(fd, address);
  if (sys == EADDRINUSE) {
    if (auto cleared = clear_path(path, address); !cleared) return cleared;
    sys = bind_to(fd, address);
  }
  if (sys != 0) return cannot_listen(path, sys, why_not_bound(path, sys));
  return {};
}

// A number, or what the system's database says of a name; nullopt: nobody.
template <typename Lookup>
std::optional<id_t> find_id(std::string_view name, Lookup lookup) {
  id_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error == std::errc() && end == name.data() + name.size()) return id;
  return lookup(std::string(name).c_str());
}

std::optional<id_t> find_user(const char* name) {
  const passwd* user = ::getpwnam(name);
  return user != nullptr ? std::optional<id_t>(user->pw_uid) : std::nullopt;
}

std::optional<id_t> find_group(const char* name) {
  const group* found = ::getgrnam(name);
  return found != nullptr ? std::optional<id_t>(found->gr_gid) : std::nullopt;
}

}  // namespace

Result<UnixAccess> resolve_access(mode_t mode, std::string_view owner) {
  UnixAccess access{.mode = mode, .uid = {}, .gid = {}};
  if (owner.empty()) return access;
  const std::string user(owner.substr(0, owner.find(':')));
  access.uid = find_id(user, find_user);
  if (!access.uid) return failed(EINVAL, "no user is named " + user);
  if (user.size() == owner.size()) return access;
  const std::string group(owner.substr(user.size() + 1));
  access.gid = find_id(group, find_group);
  if (!access.gid) return failed(EINVAL, "no group is named " + group);
  return access;
}

UnixSocketFile::UnixSocketFile(std::string path) : path_(std::move(path)) {
  struct stat made {};
  if (::lstat(path_.c_str(), &made) != 0) return;  // removed already: nothing will match
  device_ = made.st_dev;
  inode_ = made.st_ino;
}

UnixSocketFile::UnixSocketFile(UnixSocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}

UnixSocketFile& UnixSocketFile::operator=(UnixSocketFile&& other) noexcept {
  if (this == &other) return *this;
  unlink();
  path_ = std::exchange(other.path_, {});
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

// Never through a symbolic link, which somebody else may have put in the socket's place.
Result<void> UnixSocketFile::set_access(const UnixAccess& access) const {
  const auto fault = [&](const char* what) {
    const int sys = errno;
    return failed(sys, "cannot set the " + std::string(what) + " of " + path_ + ": " + reason(sys));
  };
  struct stat now {};
  if (::lstat(path_.c_str(), &now) != 0) return fault("mode");
  if ((now.st_mode & kPermissionBits) != access.mode &&
      ::fchmodat(AT_FDCWD, path_.c_str(), access.mode, AT_SYMLINK_NOFOLLOW) != 0) {
    return fault("mode");
  }
  if (!access.uid && !access.gid) return {};
  constexpr auto kSame = static_cast<id_t>(-1);
  if (::fchownat(AT_FDCWD, path_.c_str(), access.uid.value_or(kSame), access.gid.value_or(kSame),
                 AT_SYMLINK_NOFOLLOW) != 0) {
    return fault("owner");
  }
  return {};
}

bool UnixSocketFile::is_at_path() const {
  struct stat found {};
  if (::lstat(path_.c_str(), &found) != 0) return false;
  return found.st_dev == device_ && found.st_ino == inode_;
}

void UnixSocketFile::unlink() {
  if (!path_.empty() && is_at_path()) ::unlink(path_.c_str());
}

Result<UnixListening> listen_unix(const std::string& path, const UnixAccess& access, int type) {
  const auto address = SocketAddress::from_unix_path(path);
  if (!address) return cannot_listen(path, ENAMETOOLONG, reason(ENAMETOOLONG));
  UnixListening made;
  made.fd.reset(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // The file is made with the socket's mode less the umask: never wider than it is meant to be.
  if (!made.fd || ::fchmod(made.fd.get(), access.mode) != 0) {
    return cannot_listen(path, errno, reason(errno));
  }
  const FolderLock lock(folder_of(path));
  if (auto bound = bind_or_replace(made.fd.get(), path, *address); !bound) {
    return Unexpected{std::move(bound).error()};
  }
  made.file = UnixSocketFile(path);
  if (auto set = made.file.set_access(access); !set) return Unexpected{std::move(set).error()};
  if (::listen(made.fd.get(), kListenBacklog) != 0) {
    return cannot_listen(path, errno, reason(errno));
  }
  return made;
}

}  // namespace penstock
