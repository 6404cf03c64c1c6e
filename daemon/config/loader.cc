// The one file that sees yaml-cpp, by its events: its node tree would drop what we must judge
// (repeated keys, quotes, places) and follow aliases for ever.
#include "config/loader.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "config/file.h"
#include "config/reader.h"
#include "config/syntax_words.h"
#include "config/validate.h"
#include "config/yaml_tree.h"

namespace penstock {
namespace {

// What one file may make of itself by aliases of aliases, in bytes of its tree.
constexpr std::size_t kMaxCost = 64 * 1024 * 1024;
constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

Position position_of(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

// Thrown out of the events, caught in parse().
struct Refusal {
  Fault fault;
};

[[noreturn]] void refuse(const YAML::Mark& mark, std::string what) {
  throw Refusal{{position_of(mark), "", std::move(what)}};
}

// Whether the quoted scalar at the front of `text` ends: the library takes the end of the file for
// a closing quote.
bool is_closed(std::string_view text) {
  const char quote = text.front();
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      const bool doubled = quote == '\'' && i + 1 < text.size() && text[i + 1] == quote;
      if (!doubled) return true;
      ++i;
    }
  }
  return false;
}

// Or an empty line.
bool is_comment(std::string_view line) {
  const std::size_t first = line.find_first_not_of(kBlanks);
  return first == std::string_view::npos || line[first] == '#';
}

class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string_view text) : text_(text) {}

  YamlNode take_root() { return std::move(root_); }
  // After a fault: what came before it, as if all that is open ended there.
  YamlNode take_what_came() {
    while (!frames_.empty()) {
      YamlNode& last = frames_.back().node;
      if (last.keys.size() > last.items.size()) last.keys.pop_back();  // its value never came
      close();
    }
    return take_root();
  }
  // Where the innermost bracket that is still open stands.
  std::optional<Position> open_bracket() const {
    for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
      if (frame->flow) return frame->node.at;
    }
    return std::nullopt;
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) refuse(mark, "what stands here is outside of the map that the file is");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add_leaf(mark, anchor, {.kind = YamlNode::Kind::kNull});
    if (!frames_.empty()) place_missing_item(mark);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    check_tag(mark, tag);
    check_quotes(mark);
    add_leaf(mark, anchor, {.kind = YamlNode::Kind::kScalar, .text = text});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) refuse(mark, "an alias stands inside of what it repeats");
    spend(mark, known->second.cost);
    YamlNode copy = known->second.node;
    copy.at = position_of(mark);
    add(std::move(copy));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(mark, tag, anchor, style, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(mark, tag, anchor, style, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    YamlNode node;
    YAML::anchor_t anchor;
    std::size_t cost_before;
    bool flow;
  };
  struct Anchored {
    YamlNode node;
    std::size_t cost;
  };

  static void check_tag(const YAML::Mark& mark, const std::string& tag) {
    const bool plain = tag.empty() || tag == "?" || tag == "!";
    if (!plain && !tag.starts_with("tag:yaml.org,2002:")) refuse(mark, "YAML tags are not taken");
  }

  void check_quotes(const YAML::Mark& mark) const {
    const auto start = static_cast<std::size_t>(std::max(mark.pos, 0));
    std::string_view scalar = text_.substr(std::min(start, text_.size()));
    // The mark of an anchored or tagged value is the anchor's or the tag's.
    while (scalar.starts_with('&') || scalar.starts_with('!')) {
      scalar.remove_prefix(std::min(scalar.find_first_of(kBlanks), scalar.size()));
      scalar.remove_prefix(std::min(scalar.find_first_not_of(kBlanks), scalar.size()));
    }
    if (!scalar.starts_with('"') && !scalar.starts_with('\'')) return;
    if (!is_closed(scalar)) refuse(mark, "a quote is opened and never closed");
  }

  void spend(const YAML::Mark& mark, std::size_t cost) {
    cost_ += cost;
    if (cost_ > kMaxCost)
      refuse(mark, "too many values from here on (an alias counts as all it repeats)");
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YAML::EmitterStyle::value style, YamlNode::Kind kind) {
    check_tag(mark, tag);
    const std::size_t before = cost_;
    spend(mark, sizeof(YamlNode));
    frames_.push_back({{.kind = kind, .at = position_of(mark)},
                       anchor,
                       before,
                       style == YAML::EmitterStyle::Flow});
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    remember(frame.anchor, frame.node, cost_ - frame.cost_before);
    add(std::move(frame.node));
  }

  void add_leaf(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode node) {
    const std::size_t cost = sizeof(YamlNode) + node.text.size();
    spend(mark, cost);
    node.at = position_of(mark);
    remember(anchor, node, cost);
    add(std::move(node));
  }

  void remember(YAML::anchor_t anchor, const YamlNode& node, std::size_t cost) {
    if (anchor != YAML::NullAnchor) anchors_.insert_or_assign(anchor, Anchored{node, cost});
  }

  // A list item that is missing is put where the next token stands, too: its dash is on the last
  // line before that with anything but a comment.
  void place_missing_item(const YAML::Mark& mark) {
    YamlNode& list = frames_.back().node;
    if (list.kind != YamlNode::Kind::kList || frames_.back().flow) return;
    const auto end = static_cast<std::size_t>(std::max(mark.pos, 0));
    std::string_view before = text_.substr(0, std::min(end, text_.size()));
    Position at{mark.line + 1, 0};
    std::size_t begin = before.rfind('\n') + 1;     // 0 when there is none
    if (!is_comment(before.substr(begin))) return;  // it is there: ~ or null
    while (begin > 0 && is_comment(before.substr(begin))) {
      before = before.substr(0, begin - 1);
      begin = before.rfind('\n') + 1;
      --at.line;
    }
    const std::string_view line = before.substr(begin);
    const auto column = static_cast<std::size_t>(list.at.column - 1);
    const bool in_column = column < line.size() && line[column] == '-';
    at.column = static_cast<int>(in_column ? column : std::min(line.find('-'), line.size())) + 1;
    list.items.back().at = at;
  }

  void add(YamlNode node) {
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    YamlNode& parent = frames_.back().node;
    const bool is_key =
        parent.kind == YamlNode::Kind::kMap && parent.keys.size() == parent.items.size();
    // The library puts a missing value where the next token stands.
    const bool missing = node.kind == YamlNode::Kind::kNull && !parent.keys.empty() && !is_key;
    if (missing) node.at = parent.keys.back().at;
    (is_key ? parent.keys : parent.items).push_back(std::move(node));
  }

  const std::string_view text_;
  YamlNode root_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  std::size_t cost_ = 0;
  int documents_ = 0;
};

// The library gives no useful place for a bracket that nothing closes.
Position place_of(const YAML::ParserException& error, const TreeBuilder& builder) {
  const bool flow = error.msg.find("flow not found") != std::string::npos;
  if (flow && builder.open_bracket()) return *builder.open_bracket();
  return position_of(error.mark);
}

std::optional<Fault> build(TreeBuilder& builder, std::string_view text) {
  Fault foreign = find_foreign_byte(text);
  if (!foreign.what.empty()) return foreign;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
    return std::nullopt;
  } catch (const Refusal& refusal) {
    return refusal.fault;
  } catch (const YAML::DeepRecursion& error) {
    return Fault{
        builder.open_bracket().value_or(position_of(error.mark)), "",
        "is nested too deeply here (less than " + std::to_string(error.depth()) + " levels)"};
  } catch (const YAML::ParserException& error) {
    const Position at = place_of(error, builder);
    return Fault{at, "", explain_syntax(error.msg, at, text)};
  } catch (const std::exception& error) {
    return Fault{{}, "", std::string("not valid YAML: ") + error.what()};
  }
}

Result<YamlNode, Fault> parse(std::string_view text) {
  TreeBuilder builder(text);
  if (auto fault = build(builder, text)) return Unexpected<Fault>{*std::move(fault)};
  return builder.take_root();
}

// The lines of the section `admin`, up to the next that is neither indented nor empty nor a
// comment; empty when no line begins with it.
std::string_view admin_lines(std::string_view text) {
  constexpr std::string_view kKey = "admin:";
  const auto next_line = [&](std::size_t at) {
    return std::min(text.find('\n', at), text.size() - 1) + 1;
  };
  const auto goes_on = [&](std::size_t at) {
    return text[at] == '#' || kBlanks.find(text[at]) != std::string_view::npos;
  };
  std::size_t begin = 0;
  while (begin < text.size() && !text.substr(begin).starts_with(kKey)) begin = next_line(begin);
  std::size_t end = begin;
  while (end < text.size() && (end == begin || goes_on(end))) end = next_line(end);
  return text.substr(begin, end - begin);
}

// The whole file's tree; of one that has none, what can be had of the section alone, which may
// stand behind the fault or have it.
YamlNode tree_of_admin(std::string_view text) {
  if (auto tree = parse(text)) return *std::move(tree);
  const std::string_view section = admin_lines(text);
  TreeBuilder builder(section);
  build(builder, section);
  return builder.take_what_came();
}

LoadResult refused(std::string file, Fault fault) {
  LoadResult result;
  result.file = std::move(file);
  result.faults.push_back(std::move(fault));
  return result;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {};
  return slash == 0 ? "/" : path.substr(0, slash);
}

LoadResult judge(std::string file, Reading reading) {
  LoadResult result;
  result.file = std::move(file);
  result.faults = std::move(reading.faults);
  for (Fault& fault : validate(reading.config, reading.sources)) {
    result.faults.push_back(std::move(fault));
  }
  sort_and_unite(result.faults);
  if (result.faults.empty()) {
    result.risks = find_risks(reading.config, reading.sources);
    result.config = std::make_shared<const Config>(std::move(reading.config));
  }
  result.sources = std::move(reading.sources);
  result.files = std::move(reading.files);
  return result;
}

std::vector<std::string> lines_of(const std::vector<Fault>& faults, const std::string& file) {
  std::vector<std::string> lines;
  for (const Fault& fault : faults) lines.push_back(to_string(fault, file));
  return lines;
}

}  // namespace

std::vector<std::string> LoadResult::fault_lines() const { return lines_of(faults, file); }
std::vector<std::string> LoadResult::risk_lines() const { return lines_of(risks, file); }

LoadResult load_file(const std::string& path) {
  const auto text = read_file(path, kMaxConfigBytes, true);
  LoadResult result = text ? load_text(path, *text) : refused(path, Fault{{}, "", text.error()});
  result.files.push_back({path, digest(text)});
  return result;
}

LoadResult load_text(const std::string& name, std::string_view text) {
  if (text.size() > kMaxConfigBytes) return refused(name, {{}, "", "is larger than 4MiB"});
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  auto tree = parse(text);
  if (!tree) return refused(name, std::move(tree.error()));
  return judge(name, read_settings(*tree, folder_of(name)));
}

AdminSettings read_admin(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  YamlNode tree = tree_of_admin(text);
  // Nothing else: reading a policy would open the files that it names.
  YamlNode admin{.kind = YamlNode::Kind::kMap};
  for (std::size_t i = 0; i < tree.keys.size(); ++i) {
    if (tree.keys[i].text != "admin") continue;
    admin.keys.push_back(std::move(tree.keys[i]));
    admin.items.push_back(std::move(tree.items[i]));
  }
  return read_settings(admin, "").config.admin;
}

LoadResult load_default() { return judge("built-in", read_settings(YamlNode{}, "")); }

Config default_config() { return *load_default().config; }

}  // namespace penstock
