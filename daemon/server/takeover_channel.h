// One message of a takeover, with the descriptors that come with it.
//
// The socket is a connected one of type SOCK_SEQPACKET: a message is one packet. What is said
// stands in takeover_words.h. Both sides look at who the other is before anything else: only a
// process of the same user may give or take sockets.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/unique_fd.h"

namespace penstock {

struct TakeoverMessage {
  std::string text;  // empty: the other side has ended
  std::vector<UniqueFd> descriptors;
};

// At most so many descriptors go with a message (the kernel's SCM_MAX_FD).
inline constexpr std::size_t kMostDescriptors = 253;

// An error is the errno; EAGAIN: nothing came, or the socket is full.
Result<void, int> send_message(int socket, std::string_view text,
                               std::span<const UniqueFd> descriptors = {});
Result<TakeoverMessage, int> receive_message(int socket);

// Who is at the other end; nullopt when it is another user. Its pid is 0 where it is not visible.
std::optional<pid_t> own_peer(int socket);

}  // namespace penstock
