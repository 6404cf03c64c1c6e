// From the tree that a file holds to the settings it means: every fault is noted, none ends the
// reading.
#pragma once

#include <string>
#include <vector>

#include "config/fault.h"
#include "config/file.h"
#include "config/settings.h"
#include "config/yaml_tree.h"

namespace penstock {

struct Reading {
  Config config;  // a field whose key was refused keeps its default
  SourceMap sources;
  std::vector<Fault> faults;
  std::vector<ReadFile> files;  // that a policy names
};

// `folder`: where relative paths in the file start from.
Reading read_settings(const YamlNode& root, const std::string& folder);

// What serves every host where the file names no upstreams.
UpstreamSettings catch_all_upstream(const UpstreamPolicy& policy);

}  // namespace penstock
