// What is wrong with a configuration, and where its keys were written.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

// Line and column from 1; line 0: nowhere in the file.
struct Position {
  int line = 0;
  int column = 0;
  auto operator<=>(const Position&) const = default;
};

struct Fault {
  Position at;
  std::string key;   // "client.header_timeout", "upstreams[1].hosts[0]"; empty: the file as a whole
  std::string what;  // what is wrong, then in brackets what is allowed
  bool operator==(const Fault&) const = default;
};

// FILE:LINE:COLUMN: key.path: what is wrong (what is allowed)
std::string to_string(const Fault& fault, std::string_view file);

// By position; a fault that several upstreams inherit from `defaults` is told once.
void sort_and_unite(std::vector<Fault>& faults);

// Where each key of the file was written, by its full path. A key whose value was refused is in it
// too, marked, so that no second fault is made of a value that nobody wrote.
class SourceMap {
 public:
  void add(std::string path, Position at) { places_.insert_or_assign(std::move(path), Place{at}); }
  void mark_faulty(const std::string& path) { places_[path].faulty = true; }

  bool has(std::string_view path) const { return places_.contains(path); }
  bool faulty(std::string_view path) const;
  // This path, or one that begins with it.
  bool faulty_within(std::string_view path) const;
  // The place of this path, or of the nearest one that contains it; {} when there is none.
  Position at(std::string_view path) const;

 private:
  struct Place {
    Position at;
    bool faulty = false;
  };
  std::map<std::string, Place, std::less<>> places_;
};

// "upstreams[3].pool.max_idle", or "defaults.pool.max_idle" where only that is written; "" where
// the file says neither.
std::string policy_path(const SourceMap& sources, std::size_t upstream, std::string_view key);
// The same for a route, whose own keys come before its upstream's.
std::string policy_path(const SourceMap& sources, std::size_t upstream, std::size_t route,
                        std::string_view key);
std::string upstream_path(std::size_t upstream, std::string_view key = {});
std::string route_path(std::size_t upstream, std::size_t route, std::string_view key = {});
std::string listener_path(std::size_t listener, std::string_view key = {});

}  // namespace penstock
