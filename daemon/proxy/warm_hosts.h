// Which hosts a configuration keeps connections to before anybody asks (pool.min_idle): `origin`,
// or each exact host.
#pragma once

namespace penstock {

class RoutingTable;
class WorkerPool;

// Tells the worker's pools; the worker's thread, at start and after each reload.
void keep_hosts_warm(const RoutingTable& table, WorkerPool& pool);

}  // namespace penstock
