// The load of the benchmark: clients on one epoll loop, each sends a request and waits for the
// whole response. Either as fast as the answers come, or at a fixed rate: then every request has
// its instant, and its latency counts from that instant, also when no client was free (no
// coordinated omission). Prints one line of JSON. Anything but a whole 200 counts as failed.

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Instant = Clock::time_point;
using Duration = Clock::duration;
using std::chrono::duration_cast;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr seconds kPatience{10};  // beyond the end of the load, for what is under way

struct Options {
  int port = 0;
  int clients = 1;
  double seconds = 1;
  long requests = 0;  // 0: as many as the time allows
  double rate = 0;    // requests per second; 0: as fast as the answers come
  std::size_t post_bytes = 0;
  bool anew = false;    // a new connection for each request
  std::string tunnel;   // host:port to CONNECT to first
  std::string ca_file;  // TLS 1.3 to the port itself
  std::string url = "http://api.test/bytes/1k";
};

constexpr char kUsage[] =
    "usage: load --port N [--clients N] [--seconds S | --requests N] [--rate PER_SECOND]\n"
    "            [--post BYTES] [--anew] [--tunnel HOST:PORT] [--ca FILE] [--url URL]\n";

Options parse(int argc, char** argv) {
  static const option kLong[] = {
      {"port", 1, nullptr, 'p'},     {"clients", 1, nullptr, 'c'}, {"seconds", 1, nullptr, 's'},
      {"requests", 1, nullptr, 'n'}, {"rate", 1, nullptr, 'r'},    {"post", 1, nullptr, 'b'},
      {"anew", 0, nullptr, 'a'},     {"tunnel", 1, nullptr, 't'},  {"ca", 1, nullptr, 'k'},
      {"url", 1, nullptr, 'u'},      {nullptr, 0, nullptr, 0}};
  Options options;
  for (int flag = 0; (flag = getopt_long(argc, argv, "", kLong, nullptr)) != -1;) {
    switch (flag) {
      case 'p':
        options.port = std::atoi(optarg);
        break;
      case 'c':
        options.clients = std::atoi(optarg);
        break;
      case 's':
        options.seconds = std::atof(optarg);
        break;
      case 'n':
        options.requests = std::atol(optarg);
        break;
      case 'r':
        options.rate = std::atof(optarg);
        break;
      case 'b':
        options.post_bytes = static_cast<std::size_t>(std::atol(optarg));
        break;
      case 'a':
        options.anew = true;
        break;
      case 't':
        options.tunnel = optarg;
        break;
      case 'k':
        options.ca_file = optarg;
        break;
      case 'u':
        options.url = optarg;
        break;
      default:
        std::fputs(kUsage, stderr);
        std::exit(64);
    }
  }
  if (options.port == 0) {
    std::fputs(kUsage, stderr);
    std::exit(64);
  }
  return options;
}

std::string request_of(const Options& options) {
  const std::string_view url = options.url;
  const auto path = url.find('/', 7);
  const std::string host(url.substr(7, path - 7));
  const bool origin_form = !options.tunnel.empty();
  std::string text = options.post_bytes > 0 ? "POST " : "GET ";
  text += origin_form ? url.substr(path) : url;
  text += " HTTP/1.1\r\nHost: " + host + "\r\n";
  if (options.post_bytes > 0) {
    text += "Content-Length: " + std::to_string(options.post_bytes) + "\r\n";
  }
  return text + "\r\n" + std::string(options.post_bytes, 'x');
}

// Counts one response through to its end. Bodies have a Content-Length or chunks.
class Response {
 public:
  enum class State { kMore, kWhole, kBad };

  State take(std::string_view bytes, bool head_only) {
    if (!head_.ends_with("\r\n\r\n")) {
      const auto had = head_.size();
      head_ += bytes;
      const auto end = head_.find("\r\n\r\n", had < 3 ? 0 : had - 3);
      if (end == std::string::npos) return State::kMore;
      bytes.remove_prefix(end + 4 - had);
      head_.resize(end + 4);
      if (!head_.starts_with("HTTP/1.1 200")) return State::kBad;
      if (head_only) return State::kWhole;
      read_framing();
    }
    return left_ ? take_counted(bytes) : take_chunked(bytes);
  }

  bool closes() const { return contains("\r\nconnection: close"); }
  std::string_view head() const { return head_; }
  void clear() {
    head_.clear();
    tail_.clear();
    left_.reset();
  }

 private:
  State take_counted(std::string_view bytes) {
    if (bytes.size() > *left_) return State::kBad;
    *left_ -= bytes.size();
    return *left_ == 0 ? State::kWhole : State::kMore;
  }

  // The last chunk is recognized by its bytes: the bodies here do not hold them.
  State take_chunked(std::string_view bytes) {
    tail_ = (tail_ + std::string(bytes));
    if (tail_.size() > 5) tail_.erase(0, tail_.size() - 5);
    return tail_ == "0\r\n\r\n" ? State::kWhole : State::kMore;
  }

  void read_framing() {
    const auto at = find("\r\ncontent-length: ");
    if (at == std::string::npos) return;
    std::size_t length = 0;
    std::from_chars(head_.data() + at + 18, head_.data() + head_.size(), length);
    left_ = length;
  }

  bool contains(std::string_view field) const { return find(field) != std::string::npos; }
  std::size_t find(std::string_view field) const {
    const auto found = std::search(head_.begin(), head_.end(), field.begin(), field.end(),
                                   [](char a, char b) { return (a | 32) == (b | 32); });
    return found == head_.end() ? std::string::npos
                                : static_cast<std::size_t>(found - head_.begin());
  }

  std::string head_;
  std::string tail_;
  std::optional<std::size_t> left_;  // nothing: chunks
};

enum class Stage { kConnecting, kHandshaking, kOpeningTunnel, kIdle, kAsking };

struct Client {
  int fd = -1;
  SSL* ssl = nullptr;
  Stage stage = Stage::kConnecting;
  std::string_view unsent;
  Response response;
  Instant since;     // what its latency counts from
  bool due = false;  // it has a request to send once it is connected
  std::uint32_t watched = 0;
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        request_(request_of(options)),
        connect_("CONNECT " + options.tunnel + " HTTP/1.1\r\nHost: " + options.tunnel + "\r\n\r\n"),
        poll_(epoll_create1(EPOLL_CLOEXEC)),
        clients_(static_cast<std::size_t>(options.clients)) {
    if (!options.ca_file.empty()) make_context();
    interval_ = options.rate > 0
                    ? duration_cast<Duration>(std::chrono::duration<double>(1 / options.rate))
                    : Duration::zero();
  }

  int run() {
    start_clock();
    if (interval_ == Duration::zero()) {
      for (Client& client : clients_) start(client, begun_);
    } else {
      for (Client& client : clients_) connect(client);
      connect_all();
    }
    turn();
    return tell();
  }

 private:
  void make_context() {
    context_ = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION);
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_load_verify_locations(context_, options_.ca_file.c_str(), nullptr);
    SSL_CTX_set_read_ahead(context_, 1);
  }

  void start_clock() {
    begun_ = next_ = Clock::now();
    end_ = begun_ + duration_cast<Duration>(std::chrono::duration<double>(options_.seconds));
  }

  void connect_all() {
    const auto limit = begun_ + kPatience;
    while (idle_.size() < clients_.size() && failed_ == 0 && Clock::now() < limit) {
      take_events(std::chrono::milliseconds(100));
    }
    start_clock();
  }

  void turn() {
    while (!finished()) {
      take_events(pause());
      release_due();
    }
  }

  void take_events(nanoseconds left) {
    std::array<epoll_event, 512> events;
    const timespec limit{.tv_sec = static_cast<time_t>(left.count() / 1'000'000'000),
                         .tv_nsec = static_cast<long>(left.count() % 1'000'000'000)};
    const int count = epoll_pwait2(poll_, events.data(), events.size(), &limit, nullptr);
    for (int i = 0; i < count; ++i) {
      on_event(*static_cast<Client*>(events[i].data.ptr), events[i].events);
    }
  }

  bool over() const {
    return options_.requests > 0 ? asked_ >= options_.requests : Clock::now() >= end_;
  }

  bool finished() {
    if (Clock::now() > end_ + kPatience && options_.requests == 0) {
      failed_ += under_way_;
      return true;
    }
    return under_way_ == 0 && backlog_.empty() && over();
  }

  // How long there is nothing to do but for events.
  nanoseconds pause() const {
    const auto now = Clock::now();
    auto until = now < end_ ? end_ : end_ + kPatience + std::chrono::milliseconds(1);
    if (interval_ > Duration::zero() && now < end_) until = std::min(until, next_);
    if (options_.requests > 0) until = now + kPatience;
    return std::max(nanoseconds(0), duration_cast<nanoseconds>(until - now));
  }

  // The instants that have come: each gets an idle client, or waits for one.
  void release_due() {
    if (interval_ == Duration::zero()) return;
    for (const auto now = Clock::now(); next_ <= now && next_ < end_; next_ += interval_) {
      backlog_.push_back(next_);
    }
    while (!backlog_.empty() && !idle_.empty()) {
      Client& client = *idle_.front();
      idle_.pop_front();
      const Instant since = backlog_.front();
      backlog_.pop_front();
      start(client, since);
    }
  }

  void start(Client& client, Instant since) {
    client.since = since;
    client.due = true;
    ++under_way_;
    ++asked_;
    if (client.fd < 0) {
      connect(client);
    } else {
      ask(client);
    }
  }

  void connect(Client& client) {
    client.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (options_.anew) take_another_address(client.fd);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(options_.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client.stage = Stage::kConnecting;
    client.watched = 0;
    if (::connect(client.fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      on_connected(client);
    } else if (errno == EINPROGRESS) {
      watch(client, EPOLLOUT);
    } else {
      lose(client);
    }
  }

  // Closed connections keep their ports for a minute; each address has 28,000 of its own.
  void take_another_address(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (connections_++ % 200));
    bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }

  void on_event(Client& client, std::uint32_t events) {
    switch (client.stage) {
      case Stage::kConnecting:
        if ((events & (EPOLLERR | EPOLLHUP)) != 0) return lose(client);
        return on_connected(client);
      case Stage::kHandshaking:
        return shake_hands(client);
      default:
        if ((events & EPOLLOUT) != 0) send(client);
        if (client.fd >= 0 && (events & ~EPOLLOUT) != 0) receive(client);
    }
  }

  void on_connected(Client& client) {
    if (context_ != nullptr) {
      client.ssl = SSL_new(context_);
      SSL_set_fd(client.ssl, client.fd);
      SSL_set1_host(client.ssl, "api.test");
      SSL_set_tlsext_host_name(client.ssl, "api.test");
      client.stage = Stage::kHandshaking;
      return shake_hands(client);
    }
    if (options_.tunnel.empty()) return be_ready(client);
    client.stage = Stage::kOpeningTunnel;
    client.unsent = connect_;
    send(client);
  }

  void shake_hands(Client& client) {
    const int result = SSL_connect(client.ssl);
    if (result == 1) return be_ready(client);
    const int error = SSL_get_error(client.ssl, result);
    if (error == SSL_ERROR_WANT_READ) return watch(client, EPOLLIN);
    if (error == SSL_ERROR_WANT_WRITE) return watch(client, EPOLLOUT);
    lose(client);
  }

  void be_ready(Client& client) {
    client.stage = Stage::kIdle;
    if (client.due) {
      ask(client);
    } else {
      watch(client, EPOLLIN);
      idle_.push_back(&client);
    }
  }

  void ask(Client& client) {
    client.stage = Stage::kAsking;
    client.due = false;
    client.unsent = request_;
    send(client);
  }

  void send(Client& client) {
    while (!client.unsent.empty()) {
      const auto sent = put(client, client.unsent);
      if (sent == 0) break;
      if (sent < 0) return lose(client);
      client.unsent.remove_prefix(static_cast<std::size_t>(sent));
    }
    watch(client, client.unsent.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
  }

  void receive(Client& client) {
    for (;;) {
      const auto count = get(client);
      if (count == 0) return;
      if (count < 0) return lose(client);
      const auto state = client.response.take({space_.data(), static_cast<std::size_t>(count)},
                                              client.stage == Stage::kOpeningTunnel);
      if (state == Response::State::kBad) return lose(client);
      if (state == Response::State::kWhole) return on_whole(client);
      const bool more = client.ssl != nullptr || count == static_cast<long>(space_.size());
      if (!more) return;
    }
  }

  void on_whole(Client& client) {
    const bool ends = options_.anew || client.response.closes();
    client.response.clear();
    if (client.stage == Stage::kOpeningTunnel) return be_ready(client);
    latencies_.push_back(Clock::now() - client.since);
    --under_way_;
    client.stage = Stage::kIdle;
    if (ends) disconnect(client);
    go_on(client);
  }

  void go_on(Client& client) {
    if (interval_ > Duration::zero()) {
      if (client.fd < 0) return connect(client);
      idle_.push_back(&client);
    } else if (!over()) {
      start(client, Clock::now());
    }
  }

  // A response that is not whole failed; a connection that nobody waited on may close.
  void lose(Client& client) {
    const bool waited = client.stage != Stage::kIdle;
    if (failed_ == 0 && waited) {
      std::fprintf(stderr, "failed: stage %d, errno %d, head: %.*s\n",
                   static_cast<int>(client.stage), errno,
                   static_cast<int>(client.response.head().size()), client.response.head().data());
    }
    const bool asked = client.due || client.stage == Stage::kAsking;
    if (waited) ++failed_;
    if (asked) --under_way_;
    client.due = false;
    client.response.clear();
    std::erase(idle_, &client);
    disconnect(client);
    if (failed_ < 1000) go_on(client);
  }

  void disconnect(Client& client) {
    SSL_free(client.ssl);
    client.ssl = nullptr;
    close(client.fd);
    client.fd = -1;
  }

  // Bytes taken, 0 for none now, -1 for none any more.
  static long put(Client& client, std::string_view bytes) {
    if (client.ssl == nullptr) {
      const auto sent = ::send(client.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      return sent > 0 ? sent : errno == EAGAIN ? 0 : -1;
    }
    return outcome(client, SSL_write(client.ssl, bytes.data(), static_cast<int>(bytes.size())));
  }

  long get(Client& client) {
    if (client.ssl == nullptr) {
      const auto count = recv(client.fd, space_.data(), space_.size(), 0);
      return count > 0 ? count : count < 0 && errno == EAGAIN ? 0 : -1;
    }
    return outcome(client, SSL_read(client.ssl, space_.data(), static_cast<int>(space_.size())));
  }

  static long outcome(Client& client, int result) {
    if (result > 0) return result;
    const int error = SSL_get_error(client.ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
  }

  void watch(Client& client, std::uint32_t events) {
    if (client.watched == events) return;
    epoll_event event{.events = events, .data = {.ptr = &client}};
    epoll_ctl(poll_, client.watched == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, client.fd, &event);
    client.watched = events;
  }

  double percentile(double part) {
    if (latencies_.empty()) return 0;
    const auto at =
        std::min(latencies_.size() - 1,
                 static_cast<std::size_t>(part * static_cast<double>(latencies_.size())));
    std::nth_element(latencies_.begin(), latencies_.begin() + static_cast<long>(at),
                     latencies_.end());
    return static_cast<double>(duration_cast<nanoseconds>(latencies_[at]).count()) / 1000;
  }

  int tell() {
    const std::chrono::duration<double> took = Clock::now() - begun_;
    std::printf(
        R"({"requests": %zu, "failed": %ld, "seconds": %.3f, "p50": %.1f, "p99": %.1f, "p99.9": %.1f})"
        "\n",
        latencies_.size(), failed_, took.count(), percentile(0.5), percentile(0.99),
        percentile(0.999));
    return failed_ > 0 ? 1 : 0;
  }

  const Options options_;
  const std::string request_;
  const std::string connect_;
  int poll_;
  SSL_CTX* context_ = nullptr;
  std::vector<Client> clients_;
  std::deque<Client*> idle_;     // of a fixed rate: who has nothing to do
  std::deque<Instant> backlog_;  // of a fixed rate: whose instant came while all were busy
  Duration interval_{};          // zero: no fixed rate
  Instant begun_, end_, next_;
  long asked_ = 0;
  long under_way_ = 0;
  long failed_ = 0;
  unsigned connections_ = 0;
  std::vector<Duration> latencies_;
  std::array<char, 65536> space_;
};

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_TIMERSLACK, 1);  // else the kernel may wake us 50 us late
  return Load(parse(argc, argv)).run();
}
