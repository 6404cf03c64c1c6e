// Listening on a unix socket: its file, whose it is, and what was left behind at its path.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/unique_fd.h"

namespace penstock {

// Who may connect, as far as the socket's file says it.
struct UnixAccess {
  mode_t mode = 0600;
  std::optional<uid_t> uid;  // nullopt: the daemon's own
  std::optional<gid_t> gid;
};

// `owner` is user[:group], names or numbers, or empty. Asks the system's user database, which may
// take its time. An error names who is not known.
Result<UnixAccess> resolve_access(mode_t mode, std::string_view owner);

// The file of a unix socket that this process has bound. The destructor unlinks it while the path
// still leads to that socket; it must run before the descriptor is closed, which keeps the inode's
// number from being used again and a successor from taking the path over in between.
//
// Owner: the Daemon's ListeningSockets. Thread: any one.
class UnixSocketFile {
 public:
  UnixSocketFile() = default;  // none
  explicit UnixSocketFile(std::string path);
  UnixSocketFile(UnixSocketFile&& other) noexcept;
  UnixSocketFile& operator=(UnixSocketFile&& other) noexcept;
  ~UnixSocketFile() { unlink(); }

  Result<void> set_access(const UnixAccess& access) const;
  explicit operator bool() const { return !path_.empty(); }
  // Somebody has removed it, or put another in its place: nobody can come by the path any more.
  bool is_lost() const { return !path_.empty() && !is_at_path(); }
  // It is another process's from now on.
  void release() { path_.clear(); }

 private:
  bool is_at_path() const;
  void unlink();

  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

struct UnixListening {
  UniqueFd fd;  // before the file, which must end first
  UnixSocketFile file;
};

// A listening, non-blocking unix socket. Nobody can connect before its mode and owner are set. A
// socket that nobody listens on any more is replaced; one that is served (EADDRINUSE) and a file of
// another kind (EEXIST) are not. An error's detail is a sentence with the path and what to do, its
// `sys` the errno. Of two that start for the same path at the same moment one gets it, where both
// may lock its folder. `type`: or SOCK_SEQPACKET.
Result<UnixListening> listen_unix(const std::string& path, const UnixAccess& access,
                                  int type = SOCK_STREAM);

}  // namespace penstock
