#include "config/reader.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string_view>

#include "config/key_table.h"
#include "config/policy_files.h"
#include "config/suggestion.h"
#include "config/values.h"

namespace penstock {
namespace {

using Kind = YamlNode::Kind;

constexpr std::size_t kMostFaults = 1000;

// Whose keys a map holds.
struct Place {
  KeyScope scope;
  KeyTarget target;
  std::string prefix;  // "upstreams[1]."
};

// What is wrong with a node where something of another kind belongs.
std::string wrong_kind(const YamlNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "has no value";
    case Kind::kScalar:
      return in_quotes(node.text) + " is a single value";
    case Kind::kList:
      return "is a list";
    case Kind::kMap:
      return "is a map";
  }
  return {};
}

class Reader {
 public:
  explicit Reader(Reading& out) : out_(out) {}

  void read(const YamlNode& root);

 private:
  // Takes a key for itself and returns true, or leaves it to the table.
  using TakeKey = std::function<bool(std::string_view key, const YamlNode& value)>;

  void read_map(const Place& place, const std::string& section, const YamlNode& map,
                const TakeKey& take = {});
  bool accept_key(const std::string& path, const YamlNode& key, std::map<std::string, int>& lines);
  void read_entry(const Place& place, const std::string& path, const YamlNode& key,
                  const YamlNode& value);
  void read_section(const Place& place, const std::string& path, const YamlNode& value);
  void switch_section(const Place& place, const KeyRow& row, const std::string& path,
                      const YamlNode& value);
  void read_value(const Place& place, const KeyRow& row, const YamlNode& value);
  void read_list(const Place& place, const KeyRow& row, const YamlNode& value);
  void read_item(const Place& place, const KeyRow& row, const YamlNode& item,
                 const std::string& path);
  void read_defaults(const YamlNode& value);
  void read_listener(const YamlNode& item);
  void read_upstream(const YamlNode& item);
  void read_route(std::size_t upstream, const YamlNode& item);
  void read_items(const std::string& path, const YamlNode& value,
                  const std::function<void(const YamlNode&)>& read_one);
  void require_keys(const Place& place, Position at);

  // Nobody mends more than kMostFaults at once; a file that is something else altogether has many.
  bool has_room() const { return out_.faults.size() < kMostFaults; }
  void fault(Position at, const std::string& path, std::string what) {
    if (!path.empty()) out_.sources.mark_faulty(path);
    if (has_room()) {
      out_.faults.push_back({at, path, std::move(what)});
    } else if (out_.faults.size() == kMostFaults) {
      out_.faults.push_back({at, "", "more faults than can be shown; mend the others first"});
    }
  }

  Reading& out_;
  UpstreamPolicy defaults_;
};

void Reader::read(const YamlNode& root) {
  if (root.kind == Kind::kScalar || root.kind == Kind::kList) {
    fault(root.at, "", wrong_kind(root) + " (a map of keys, with a space after each colon)");
    return;
  }
  const YamlNode* listeners = nullptr;
  const YamlNode* upstreams = nullptr;
  const YamlNode* defaults = nullptr;
  read_map({KeyScope::kTop, target_of(out_.config), ""}, "", root,
           [&](std::string_view key, const YamlNode& value) {
             const YamlNode** slot = key == "listeners"   ? &listeners
                                     : key == "upstreams" ? &upstreams
                                     : key == "defaults"  ? &defaults
                                                          : nullptr;
             if (slot != nullptr) *slot = &value;
             return slot != nullptr;
           });
  // An upstream starts from the defaults, wherever in the file they stand.
  if (defaults != nullptr) read_defaults(*defaults);
  if (listeners != nullptr) {
    read_items("listeners", *listeners, [this](const YamlNode& item) { read_listener(item); });
  }
  if (upstreams != nullptr) {
    read_items("upstreams", *upstreams, [this](const YamlNode& item) { read_upstream(item); });
  }
  if (out_.config.listeners.empty()) out_.config.listeners.emplace_back();
  if (out_.config.upstreams.empty()) {
    out_.config.upstreams.push_back(catch_all_upstream(defaults_));
  }
  out_.config.admin.address_is_default = !out_.sources.has("admin.address");
}

void Reader::read_map(const Place& place, const std::string& section, const YamlNode& map,
                      const TakeKey& take) {
  std::map<std::string, int> lines;
  for (std::size_t i = 0; i < map.keys.size(); ++i) {
    const YamlNode& key = map.keys[i];
    const std::string path = section.empty() ? key.text : section + '.' + key.text;
    if (!accept_key(place.prefix + path, key, lines)) continue;
    if (take && take(key.text, map.items[i])) continue;
    read_entry(place, path, key, map.items[i]);
  }
}

bool Reader::accept_key(const std::string& path, const YamlNode& key,
                        std::map<std::string, int>& lines) {
  if (key.kind != Kind::kScalar) {
    fault(key.at, "", "a key that is no word (one of the keys of penstock)");
    return false;
  }
  if (key.text == "<<") {
    fault(key.at, path, "merge keys are not taken (`defaults` is what all upstreams share)");
    return false;
  }
  const auto [first, is_new] = lines.try_emplace(key.text, key.at.line);
  if (is_new) return true;
  fault(key.at, path, "written twice (first in line " + std::to_string(first->second) + ")");
  return false;
}

void Reader::read_entry(const Place& place, const std::string& path, const YamlNode& key,
                        const YamlNode& value) {
  const std::string full = place.prefix + path;
  if (const KeyRow* row = find_key(place.scope, path)) {
    out_.sources.add(full, value.at);
    row->type == ValueType::kList ? read_list(place, *row, value) : read_value(place, *row, value);
  } else if (is_section(place.scope, path)) {
    out_.sources.add(full, value.at);
    read_section(place, path, value);
  } else if (is_later_key(place.scope, path)) {
    fault(key.at, full, "not supported in this version");
  } else {
    const std::size_t dot = path.size() - key.text.size();
    const std::string section = dot == 0 ? "" : path.substr(0, dot - 1);
    fault(key.at, full,
          has_room() ? describe_unknown_key(place.scope, section, key.text) : std::string());
  }
}

void Reader::read_section(const Place& place, const std::string& path, const YamlNode& value) {
  if (value.kind == Kind::kMap) return read_map(place, path, value);
  // A section all of whose keys are commented out.
  if (value.kind == Kind::kNull) return;
  const KeyRow* row = find_section_switch(place.scope, path);
  if (row != nullptr) return switch_section(place, *row, path, value);
  fault(value.at, place.prefix + path, wrong_kind(value) + " (a map of keys)");
}

void Reader::switch_section(const Place& place, const KeyRow& row, const std::string& path,
                            const YamlNode& value) {
  if (value.kind != Kind::kScalar || !is_off(value.text)) {
    return fault(value.at, place.prefix + path, wrong_kind(value) + " (a map of keys, or off)");
  }
  // As if the key itself were written there, so that it overrides an inherited one.
  out_.sources.add(place.prefix + std::string(row.path), value.at);
  read_value(place, row, value);
}

void Reader::read_value(const Place& place, const KeyRow& row, const YamlNode& value) {
  const std::string full = place.prefix + std::string(row.path);
  const std::string allowed = " (" + allowed_text(row) + ')';
  if (value.kind != Kind::kScalar) return fault(value.at, full, wrong_kind(value) + allowed);
  if (auto wrong = row.set(row, place.target, value.text)) {
    return fault(value.at, full, *wrong + allowed);
  }
  if (RequestPolicy* policy = std::get<RequestPolicy*>(place.target)) {
    policy->timeouts_set |= timeout_bits(row.path);
  }
}

void Reader::read_list(const Place& place, const KeyRow& row, const YamlNode& value) {
  const std::string full = place.prefix + std::string(row.path);
  const std::string allowed = " (" + allowed_text(row) + ')';
  if (value.kind == Kind::kScalar && !row.nothing.empty() && value.text == row.nothing) {
    return row.clear(place.target);
  }
  if (value.kind != Kind::kList) return fault(value.at, full, wrong_kind(value) + allowed);
  if (value.items.size() < row.min) return fault(value.at, full, "is an empty list" + allowed);
  row.clear(place.target);
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    read_item(place, row, value.items[i], full + '[' + std::to_string(i) + ']');
  }
}

void Reader::read_item(const Place& place, const KeyRow& row, const YamlNode& item,
                       const std::string& path) {
  out_.sources.add(path, item.at);
  const std::string allowed = " (" + allowed_text(row) + ')';
  if (item.kind != Kind::kScalar) return fault(item.at, path, wrong_kind(item) + allowed);
  if (auto wrong = row.set(row, place.target, item.text)) fault(item.at, path, *wrong + allowed);
}

void Reader::read_defaults(const YamlNode& value) {
  out_.sources.add("defaults", value.at);
  const Place place{KeyScope::kPolicy, target_of(defaults_), "defaults."};
  if (value.kind == Kind::kMap) return read_map(place, "", value);
  if (value.kind == Kind::kNull) return;
  fault(value.at, "defaults", wrong_kind(value) + " (a map of keys)");
}

void Reader::read_items(const std::string& path, const YamlNode& value,
                        const std::function<void(const YamlNode&)>& read_one) {
  out_.sources.add(path, value.at);
  if (value.kind == Kind::kNull) return;
  if (value.kind != Kind::kList) return fault(value.at, path, wrong_kind(value) + " (a list)");
  if (value.items.empty()) {
    return fault(value.at, path, "is an empty list (at least one, or leave the key out)");
  }
  for (const YamlNode& item : value.items) read_one(item);
}

void Reader::read_listener(const YamlNode& item) {
  const std::string path = listener_path(out_.config.listeners.size());
  out_.sources.add(path, item.at);
  ListenerSettings& listener = out_.config.listeners.emplace_back();
  if (item.kind != Kind::kMap) return fault(item.at, path, wrong_kind(item) + " (a map of keys)");
  read_map({KeyScope::kListener, target_of(listener), path + '.'}, "", item);
}

void Reader::read_upstream(const YamlNode& item) {
  const std::size_t index = out_.config.upstreams.size();
  const std::string path = upstream_path(index);
  out_.sources.add(path, item.at);
  UpstreamSettings& upstream = out_.config.upstreams.emplace_back();
  upstream.policy = defaults_;
  if (item.kind != Kind::kMap) {
    out_.sources.mark_faulty(path + ".name");
    return fault(item.at, path, wrong_kind(item) + " (a map of keys)");
  }
  const Place place{KeyScope::kUpstream, target_of(upstream), path + '.'};
  const YamlNode* routes = nullptr;
  read_map(place, "", item, [&](std::string_view key, const YamlNode& value) {
    if (key == "routes") routes = &value;
    return key == "routes";
  });
  require_keys(place, item.at);
  // A route starts from its upstream's policy, wherever in the map the two stand.
  if (routes == nullptr) return;
  read_items(path + ".routes", *routes, [&](const YamlNode& route) { read_route(index, route); });
}

void Reader::read_route(std::size_t upstream, const YamlNode& item) {
  UpstreamSettings& owner = out_.config.upstreams[upstream];
  const std::string path = route_path(upstream, owner.routes.size());
  out_.sources.add(path, item.at);
  RouteSettings& route = owner.routes.emplace_back();
  route.policy = owner.policy;
  if (item.kind != Kind::kMap) return fault(item.at, path, wrong_kind(item) + " (a map of keys)");
  read_map({KeyScope::kRoute, target_of(route), path + '.'}, "", item);
}

void Reader::require_keys(const Place& place, Position at) {
  for (const KeyRow& row : key_rows()) {
    const std::string path = place.prefix + std::string(row.path);
    if (row.scope != place.scope || !row.required || out_.sources.has(path)) continue;
    fault(at, path, "is missing (" + allowed_text(row) + ')');
  }
}

// The defaults of a policy that depend on what else the file says.
void derive_defaults(Config& config, const SourceMap& sources) {
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    UpstreamSettings& upstream = config.upstreams[i];
    const auto is_set = [&](std::string_view key) { return !policy_path(sources, i, key).empty(); };
    const bool catch_all = std::ranges::find(upstream.hosts, "*") != upstream.hosts.end();
    if (catch_all && !is_set("scheme")) upstream.policy.scheme = SchemeMode::kAuto;
    PoolSettings& pool = upstream.policy.pool;
    const bool follows = !is_set("pool.max_idle") && is_set("pool.max_connections");
    if (follows || pool.max_idle == kUnlimitedCount) pool.max_idle = pool.max_connections;
  }
}

}  // namespace

UpstreamSettings catch_all_upstream(const UpstreamPolicy& policy) {
  UpstreamSettings upstream;
  upstream.name = "default";
  upstream.hosts = {"*"};
  upstream.policy = policy;
  return upstream;
}

Reading read_settings(const YamlNode& root, const std::string& folder) {
  Reading reading;
  Reader(reading).read(root);
  derive_defaults(reading.config, reading.sources);
  read_policy_files(reading.config, reading.sources, folder, reading.faults, reading.files);
  return reading;
}

}  // namespace penstock
