// A client of the simulation: it asks, reads or does not, leaves when it likes, and judges every
// byte that comes.
//
// Its answers must come in the order of its requests, each whole and its own, or look cut; one that
// was asked for and neither left nor stalled must come.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "ledger.h"
#include "rules.h"
#include "socket.h"
#include "stage.h"
#include "wire.h"

namespace penstock::sim {

class Client final : public FarEnd {
 public:
  // `generation`: of the configuration that its worker has now.
  Client(Stage& stage, Ledger& ledger, std::size_t number, std::size_t worker,
         const unsigned& generation, const Rules& rules);

  // For the proxy, once.
  std::unique_ptr<Stream> connect() { return socket_.open(); }
  Socket& socket() { return socket_; }
  std::string describe() const;
  bool there() const { return peer_.open() && !left_; }
  std::size_t worker() const { return worker_; }

  // Something that clients do.
  void act();
  // Nothing new: what was begun is sent, what comes is read, and then it leaves.
  void wind_up();
  void leave();
  // The proxy's worker ends: it may be cut without a word.
  void worker_ends() { worker_ends_ = true; }

 private:
  struct Asked {
    std::uint64_t id;
    std::uint64_t begin;     // where it stands in all that is sent
    std::uint64_t head_end;  // likewise
    bool begun = false;      // the proxy has read of it
  };

  void on_consumed() override;
  void on_offered(std::span<const std::string_view>) override {}
  void on_written() override;
  void on_rest() override { stage_.finding("a client's stream rests"); }
  void on_closed() override;
  std::string name() const override { return "client " + std::to_string(number_); }

  void ask();
  Request draw_request();
  std::string format_head(const Request& request) const;
  void queue(std::string_view bytes);
  void release_body();
  void send(std::size_t bytes);
  void stop_reading();
  void read_on();
  void end_sending();

  bool read_answer();
  bool begin_answer(const Head& head);
  void begin_upstream_answer(const Head& head, const Request& request);
  void on_interim(const Head& head, int status);
  void on_body(const std::string& content);
  void end_answer();
  void enter_tunnel();
  void read_tunnel();
  void look_at_next();
  void check_unanswered();
  Request& current() { return ledger_.request(asked_.front().id); }

  Stage& stage_;
  Ledger& ledger_;
  const std::size_t number_;
  const std::size_t worker_;
  const unsigned& generation_;
  const bool half_close_;
  const bool two_flavors_;
  FakePeer peer_;
  Socket socket_;

  std::string to_send_;
  std::string held_body_;     // until a 100 comes
  std::uint64_t queued_ = 0;  // bytes, sent or to be sent
  std::deque<Asked> asked_;   // and not answered

  std::string received_;
  std::optional<BodyReader> body_;  // of the answer that is being read
  std::uint64_t answer_ = 0;        // its serial; 0: the proxy's own
  bool answer_closes_ = false;      // nothing comes behind it
  bool closing_ = false;            // it came

  std::uint64_t tunnel_ = 0;       // the request that became one
  std::uint64_t tunnel_sent_ = 0;  // bytes of the pattern
  std::uint64_t tunnel_read_ = 0;
  bool tunnel_greeted_ = false;
  bool tunnel_spoilt_ = false;

  bool left_ = false;
  bool half_closed_ = false;
  bool reads_ = true;
  bool stalled_ = false;  // at any time during the present answer
  bool worker_ends_ = false;
};

// What opens a tunnel's bytes in each direction: a mark and the request's number.
std::string tunnel_greeting(char mark, std::uint64_t id);
inline constexpr std::size_t kGreetingBytes = 10;
// 0: it is none.
std::uint64_t read_greeting(std::string_view bytes, char mark);

}  // namespace penstock::sim
