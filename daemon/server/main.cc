#include "base/standard_streams.h"
#include "server/cli.h"

int main(int argc, char** argv) {
  penstock::open_closed_standard_streams();
  return penstock::run_cli(argc, argv);
}
