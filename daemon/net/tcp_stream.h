// A plaintext byte stream on a connected socket.
//
// Owner: a session or a pooled connection. Thread: its loop's. The destructor closes; the kernel
// delivers what was written and ends it with FIN, or with a reset after abort() or when input was
// left unread.
#pragma once

#include <sys/types.h>

#include "net/socket.h"
#include "net/stream.h"

namespace penstock {

class TcpStream final : public Stream {
 public:
  // Takes the connected descriptor over.
  TcpStream(Loop& loop, int fd) : socket_(loop, fd) {}

  int fd() const { return socket_.fd(); }

  void set_handler(StreamHandler* handler) override { socket_.set_handler(handler); }
  IoResult read(std::span<char> into) override;
  using Stream::write;
  IoResult write(std::span<const std::string_view> pieces) override;
  bool splices() const override { return true; }
  IoResult read_into_pipe(int pipe, std::size_t max_bytes) override;
  IoResult write_from_pipe(int pipe, std::size_t bytes) override;
  bool has_pending() const override { return false; }
  bool peer_has_ended() const override;
  void pause_read(PauseReason reason) override { socket_.pause_read(reason); }
  void resume_read(PauseReason reason) override { socket_.resume_read(reason); }
  void acknowledge_now() override { socket_.acknowledge_now(); }
  void rest(const std::shared_ptr<WatchGate>& gate) override { socket_.rest(gate); }
  void wake() override { socket_.wake(); }
  bool move_to(Loop& loop, WatchGate& gate) override { return socket_.move_to(loop, gate); }
  void abandon(WatchGate& gate) override { socket_.abandon(gate); }
  void allow_stalls() override { socket_.allow_stalls(); }
  void shutdown_write() override { socket_.shutdown_write(); }
  void abort() override { socket_.abort(); }
  Error last_error() const override { return terminated_error(last_sys_); }

 private:
  IoResult received(ssize_t got);
  IoResult sent(ssize_t sent, std::size_t offered);
  IoResult failed(int sys);

  WatchedSocket socket_;
  int last_sys_ = 0;
};

}  // namespace penstock
