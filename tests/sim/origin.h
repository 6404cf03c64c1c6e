// One connection of an origin: it reads requests, answers as it likes, breaks off, closes or speaks
// unasked, and judges what the proxy does with the connection.
//
// A request must come whole and its own, only when the answer before it was read to its last byte,
// and on a connection that was dialled for the settings it began with. A connection that is kept
// idle must be one that may serve again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ledger.h"
#include "net/dialer.h"
#include "rules.h"
#include "socket.h"
#include "stage.h"
#include "wire.h"

namespace penstock::sim {

class Origin final : public FarEnd {
 public:
  struct Dialled {
    std::uint64_t number;  // in the order of connecting
    std::size_t worker;
    DialTarget target;
    std::string ip;
    MonotonicTime started;
  };
  // `connections_closed`: counts those that end.
  Origin(Stage& stage, Ledger& ledger, const Rules& rules, FakePeer& peer, Dialled dialled,
         std::uint32_t& connections_closed);

  std::unique_ptr<Stream> connect() { return socket_.open(); }
  Socket& socket() { return socket_; }
  const FakePeer& peer() const { return peer_; }
  bool open() const { return peer_.open(); }
  bool has_something_to_do() const {
    return open() && !ended_ && (!to_send_.empty() || (head_read_ && !planned_));
  }
  const Dialled& dialled() const { return dialled_; }
  // Its name leads elsewhere now, or here again.
  void address_left(bool left) { departed_ = left; }

  // Something that origins do.
  void act();
  // Answers what was asked, at once and well; closes when nothing is asked.
  void wind_up();

 private:
  enum class Ending : std::uint8_t { kNone, kClose, kReset };
  // Of an answer.
  struct Shape {
    int status = 200;
    Framing framing = Framing::kNone;
    std::uint64_t length = 0;
    bool until_close = false;
    bool closes = false;  // and says so
  };

  void on_consumed() override {}
  void on_offered(std::span<const std::string_view> pieces) override;
  void on_written() override;
  void on_rest() override;
  void on_closed() override;

  bool at_boundary() const { return asked_ == 0 && reading_ == 0 && tunnel_ == 0; }
  void begin_request(std::uint64_t id);
  void read_request();
  void on_head(const Head& head);
  void read_tunnel();
  void become_tunnel(std::uint64_t id);

  void plan_answer();
  void write_answer(bool well);
  Shape draw_shape(const Request& request, bool well);
  std::string format_head(const Shape& shape, const Request& request, bool well);
  std::string format_body(const Shape& shape);
  std::string draw_interim(const Request& request);
  void break_off();
  void send(std::size_t bytes);
  void finish_answer();
  void end(Ending how);
  void speak_unasked();
  void act_idle();
  void check_pooled() const;
  std::string name() const override;

  Stage& stage_;
  Ledger& ledger_;
  const Rules& rules_;
  FakePeer& peer_;
  Socket socket_;
  const Dialled dialled_;
  std::uint32_t& connections_closed_;
  bool departed_ = false;

  std::string received_;
  std::uint64_t asked_ = 0;       // the request that is not answered yet; 0: none
  bool head_read_ = false;        // of that
  std::uint64_t reading_ = 0;     // the request whose body comes; 0: none
  BodyReader body_;               // of that
  bool awaits_word_ = false;      // its client sends the body when it is told to
  bool planned_ = false;          // the answer is
  bool early_ = false;            // answers before it has read the body
  bool until_close_ = false;      // so the answer ends
  std::uint64_t body_begin_ = 0;  // of the answer, in all that is sent
  std::uint64_t answer_ = 0;      // its serial
  std::string to_send_;
  std::size_t behind_ = 0;         // bytes of to_send_ behind the answer
  std::uint64_t sent_ = 0;         // all bytes so far
  std::uint64_t answer_end_ = 0;   // where the last answer ended in them
  Ending ending_ = Ending::kNone;  // once all is sent
  bool cuts_ = false;              // the answer is not whole by then
  bool may_serve_again_ = true;
  std::size_t bound_to_ = 0;  // the client that it has authenticated; 0: none
  unsigned served_ = 0;       // requests that came
  bool checked_ = true;       // since the last of them it was idle
  bool ended_ = false;        // our side
  std::uint64_t tunnel_ = 0;
  std::uint64_t tunnel_read_ = 0;
  std::uint64_t tunnel_sent_ = 0;
};

}  // namespace penstock::sim
