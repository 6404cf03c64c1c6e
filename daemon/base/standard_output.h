// Behind std::cout, for commands that print: keeps why a write failed, which a stream does not.
#pragma once

#include <streambuf>
#include <string>

namespace penstock {

// Takes std::cout's place until it ends. What is printed goes out with a flush.
class StandardOutput : public std::streambuf {
 public:
  StandardOutput();
  StandardOutput(const StandardOutput&) = delete;
  StandardOutput& operator=(const StandardOutput&) = delete;
  ~StandardOutput() override;

  // Writes the rest. The errno of the first write that failed; 0: all is written.
  int finish();

 protected:
  int_type overflow(int_type byte) override;
  std::streamsize xsputn(const char* bytes, std::streamsize count) override;
  int sync() override;

 private:
  std::string pending_;
  int errno_ = 0;
  std::streambuf* const before_;
};

}  // namespace penstock
