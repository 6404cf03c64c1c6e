// What a process is started with, or not: descriptors 0, 1 and 2.
#pragma once

namespace penstock {

// Opens /dev/null on those that are closed. Else a descriptor of ours gets the number, and what is
// written to standard error goes into it. First of all, before anything is opened.
void open_closed_standard_streams();

}  // namespace penstock
