// Where a request goes: from its head and the listener it came by to an upstream and an authority.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "http/head.h"
#include "http/target.h"
#include "net/address.h"
#include "proxy/routing_table.h"

namespace penstock {

// The listener that a request came by.
struct ListenerView {
  const ListenerSettings& settings;
  const SocketAddress& local;
  // Set inside a plaintext CONNECT tunnel: every request is for this authority.
  const Authority* unwrapped = nullptr;
};

// A value that an exchange reuses from request to request, for its strings keep their capacity.
struct Route {
  const Upstream* upstream = nullptr;
  const RequestPolicy* policy = nullptr;     // the upstream's, or that of a route of it
  TargetForm form = TargetForm::kAuthority;  // kAuthority too while the target is not read
  bool connect = false;  // a tunnel to `choice`; with `unwrap`, requests come inside it
  bool unwrap = false;
  bool catch_all = false;  // taken by an upstream's "*"
  bool web_page = false;   // refused by the rules against web pages
  bool for_us = false;     // OPTIONS * or the last hop of Max-Forwards: we answer, no upstream
  std::optional<std::uint64_t> max_forwards{};  // what is left of it for the next hop
  Destination::Choice choice;  // its views point at the authorities below or into the upstream
  std::string host_field;      // the Host that is sent
  std::string_view path;       // what is sent as the target, a view into the head
  bool add_slash = false;

  Target target;        // as parsed; scratch
  Authority authority;  // what was asked for

  // What led to the above, where the next request of an app mostly leads as well.
  struct Origin {
    const RoutingTable* table = nullptr;  // null: nothing is remembered
    const ListenerSettings* listener = nullptr;
    std::string url;  // scheme and authority, as spelled
  } last;
};

// Fills `route`; quickly where it is for the origin that it was for last. The table and the
// listener that it was filled for must have lived until now, and the listener's rules change only
// together with the table. Errors: the request is malformed (400), misdirected (421), denied (403),
// a loop (502) or of a kind that this version does not serve (501).
Result<void> route_request(const RoutingTable& table, const ListenerView& listener,
                           const RequestHead& head, std::string_view own_pseudonym, Route& route);

}  // namespace penstock
