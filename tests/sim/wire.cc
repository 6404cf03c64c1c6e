#include "wire.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace penstock::sim {

namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::string_view kLineEnd = "\r\n";

char pattern_byte(std::uint64_t id, std::uint64_t offset) {
  const std::uint64_t mixed = (id + 1) * 0x9e3779b97f4a7c15;
  return kDigits[(mixed >> (4 * (offset % 16))) & 15];
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

}  // namespace

std::string pattern(std::uint64_t id, std::uint64_t offset, std::size_t count) {
  std::string bytes(count, ' ');
  for (std::size_t i = 0; i < count; ++i) bytes[i] = pattern_byte(id, offset + i);
  return bytes;
}

bool is_pattern(std::string_view bytes, std::uint64_t id, std::uint64_t offset) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != pattern_byte(id, offset + i)) return false;
  }
  return true;
}

const std::string* Head::find(std::string_view name) const {
  for (const auto& [known, value] : fields) {
    if (known == name) return &value;
  }
  return nullptr;
}

std::uint64_t Head::number(std::string_view name) const {
  std::uint64_t number = 0;
  if (const std::string* value = find(name))
    std::from_chars(value->data(), value->data() + value->size(), number);
  return number;
}

bool Head::has(std::string_view name, std::string_view word) const {
  return std::any_of(fields.begin(), fields.end(), [&](const auto& field) {
    return field.first == name && lower(field.second).find(word) != std::string::npos;
  });
}

std::optional<Head> take_head(std::string& bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string::npos) return std::nullopt;
  Head head;
  std::string_view rest(bytes.data(), end + kLineEnd.size());
  while (!rest.empty()) {
    const std::size_t line_end = rest.find(kLineEnd);
    const std::string_view line = rest.substr(0, line_end);
    rest.remove_prefix(line_end + kLineEnd.size());
    const std::size_t colon = line.find(": ");
    if (head.start.empty()) {
      head.start = line;
    } else if (colon != std::string_view::npos) {
      head.fields.emplace_back(lower(line.substr(0, colon)), line.substr(colon + 2));
    }
  }
  bytes.erase(0, end + 4);
  return head;
}

std::string BodyReader::take(std::string& bytes) {
  std::string content;
  while (!done_ && !broken_ && !bytes.empty()) {
    switch (framing_) {
      case Framing::kNone:
        done_ = true;
        break;
      case Framing::kUntilClose:
        content += take_up_to(bytes, bytes.size());
        break;
      case Framing::kLength:
        content += take_up_to(bytes, left_);
        done_ = left_ == 0;
        break;
      case Framing::kChunked:
        if (chunk_ == Chunk::kData) {
          content += take_up_to(bytes, left_);
          if (left_ == 0) chunk_ = Chunk::kEnd;
        } else if (!(chunk_ == Chunk::kLine ? take_chunk_line(bytes) : take_line_end(bytes))) {
          return content;
        }
        break;
    }
  }
  return content;
}

std::string BodyReader::take_up_to(std::string& bytes, std::uint64_t most) {
  const std::size_t count = std::min<std::uint64_t>(most, bytes.size());
  std::string taken = bytes.substr(0, count);
  bytes.erase(0, count);
  left_ -= std::min<std::uint64_t>(left_, count);
  taken_ += count;
  return taken;
}

// False while it is not whole.
bool BodyReader::take_chunk_line(std::string& bytes) {
  const std::size_t end = bytes.find(kLineEnd);
  if (end == std::string::npos) return false;
  const auto [at, fault] = std::from_chars(bytes.data(), bytes.data() + end, left_, 16);
  broken_ = fault != std::errc() || at != bytes.data() + end;
  bytes.erase(0, end + kLineEnd.size());
  chunk_ = left_ == 0 ? Chunk::kTrailer : Chunk::kData;
  return true;
}

bool BodyReader::take_line_end(std::string& bytes) {
  if (bytes.size() < kLineEnd.size()) return false;
  broken_ = !bytes.starts_with(kLineEnd);
  bytes.erase(0, kLineEnd.size());
  done_ = chunk_ == Chunk::kTrailer;
  chunk_ = Chunk::kLine;
  return true;
}

std::string chunked(std::string_view body, std::size_t size) {
  std::string bytes;
  while (!body.empty()) {
    const std::string_view piece = body.substr(0, size);
    body.remove_prefix(piece.size());
    char line[18];
    const auto end = std::to_chars(line, line + sizeof line, piece.size(), 16).ptr;
    bytes.append(line, end).append(kLineEnd).append(piece).append(kLineEnd);
  }
  return bytes + "0\r\n\r\n";
}

}  // namespace penstock::sim
