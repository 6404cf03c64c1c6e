// Writes the seeds that follow from the unit tests' vectors, one file each, named after its rule,
// and the dictionary that follows from the table of keys:
//   fuzz_seeds tests/fuzz
// Deterministic: run again after a change of either, and commit what git shows.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "config/key_table.h"
#include "unit/http/vectors.h"

namespace penstock::fuzz {
namespace {

// What pieces.h reads first: roomy limits; the method that a response answers; pieces of 56 bytes.
constexpr std::string_view kPlan = "Ra7\n";
constexpr std::string_view kPlanToHead = "R`7\n";
constexpr std::string_view kPlanToConnect = "Rc7\n";

std::string file_name(std::string_view rule) {
  std::string name;
  for (char c : rule) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.';
    if (plain) {
      name += c;
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  while (name.ends_with('-')) name.pop_back();
  return name;
}

void write(const std::filesystem::path& folder, std::string_view rule, const std::string& bytes) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / file_name(rule), std::ios::binary) << bytes;
}

std::string_view plan_for(const test::Vector& vector) {
  if (vector.method == Method::kHead) return kPlanToHead;
  return vector.method == Method::kConnect ? kPlanToConnect : kPlan;
}

// A chunked body alone is also a seed for the target that reads nothing else.
void write_vectors(const std::filesystem::path& top, const std::string& target,
                   const std::vector<test::Vector>& vectors) {
  constexpr std::string_view kChunked = "Transfer-Encoding: chunked\r\n\r\n";
  for (const test::Vector& vector : vectors) {
    // Bounds are tried with small limits by the fuzzer; seeds stay small.
    if (vector.bytes.size() > 1024) continue;
    write(top / target, vector.rule, std::string(plan_for(vector)) + vector.bytes);
    const std::size_t body = vector.bytes.find(kChunked);
    if (body == std::string::npos || target != "request_parser") continue;
    write(top / "chunked", vector.rule,
          std::string(kPlan) + vector.bytes.substr(body + kChunked.size()));
  }
}

// Each name of a path once: what joins them is the fuzzer's to find.
void write_key_dictionary(const std::filesystem::path& file) {
  std::set<std::string> words;
  for (const KeyRow& row : key_rows()) {
    const std::string path = full_path(row);
    for (std::string_view rest = path; !rest.empty();) {
      const std::string_view name = rest.substr(0, rest.find_first_of(".["));
      if (!name.empty()) words.insert(std::string(name) + ": ");
      rest.remove_prefix(std::min(rest.size(), std::max<std::size_t>(name.size(), 1)));
      if (rest.starts_with("[].")) rest.remove_prefix(3);
    }
    for (const std::string_view word : row.words) words.insert(std::string(word));
  }
  std::filesystem::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary);
  out << "# Written by fuzz_seeds from the table of keys.\n";
  for (const std::string& word : words) out << '"' << word << "\"\n";
  out << "\"\\x0a  \"\n\"\\x0a- \"\n\"[\"\n\"]\"\n\"{\"\n\"}\"\n\"&a \"\n\"*a\"\n\"<<: \"\n"
         "\"off\"\n\"auto\"\n\"unlimited\"\n\"1s\"\n\"1MiB\"\n\"20%\"\n\"unix:/"
         "\"\n\"127.0.0.1:1\"\n";
}

}  // namespace
}  // namespace penstock::fuzz

int main(int argc, char** argv) {
  using namespace penstock;
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 64;
  }
  const std::filesystem::path top = argv[1];
  fuzz::write_vectors(top / "corpus", "request_parser", test::request_vectors());
  fuzz::write_vectors(top / "corpus", "response_parser", test::response_vectors());
  fuzz::write_key_dictionary(top / "dictionaries" / "config_loader.dict");
  return 0;
}
