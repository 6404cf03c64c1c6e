// What `penstock doctor` says: from the access log of a private instance to a text for people.
//
// A pure function, so that every hint has its test. The lines are those of access_log.format text
// (telemetry/line_format.cc), which are made for eyes and split at spaces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock {

struct DoctorFindings {
  std::vector<std::string> command;
  std::string ending;      // "exit 0", "signal 9"
  std::string access_log;  // every exchange, a line each
  std::string daemon_log;  // warnings and errors of the instance
  std::string no_proxy;    // what the command was given; empty for none
};

std::string doctor_report(const DoctorFindings& findings);

}  // namespace penstock
