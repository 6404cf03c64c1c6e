// Values that a key does not take: durations, sizes, counts, switches, words.
#include "unit/config/fault_cases.h"

namespace penstock {
namespace {

TEST(Faults, OfValuesNameWhatToWriteInstead) {
  const std::vector<FaultCase> cases = {
      {"client:\n  header_timeout: 10\n",
       {"2:19: client.header_timeout: \"10\" has no unit; write 10s (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: \"10\"\n",
       {"2:19: client.header_timeout: \"10\" has no unit; write 10s (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 0\n",
       {"2:19: client.header_timeout: \"0\" would end at once; for no limit write off (1ms to 24h, "
        "or off)"}},
      {"client:\n  header_timeout: 0s\n",
       {"2:19: client.header_timeout: \"0s\" would end at once; for no limit write off (1ms to "
        "24h, or off)"}},
      {"client:\n  header_timeout: -5s\n",
       {"2:19: client.header_timeout: \"-5s\" is negative; for no limit write off (1ms to 24h, or "
        "off)"}},
      {"client:\n  header_timeout: -1\n",
       {"2:19: client.header_timeout: \"-1\" is negative; for no limit write off (1ms to 24h, or "
        "off)"}},
      {"client:\n  header_timeout: unlimited\n",
       {"2:19: client.header_timeout: \"unlimited\"; for no limit write off (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: none\n",
       {"2:19: client.header_timeout: \"none\"; for no limit write off (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 10 s\n",
       {"2:19: client.header_timeout: \"10 s\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 10sec\n",
       {"2:19: client.header_timeout: \"10sec\" is not a duration; write it like 250ms, 1.5s, "
        "1m30s or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 1d\n",
       {"2:19: client.header_timeout: \"1d\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 25h\n",
       {"2:19: client.header_timeout: \"25h\" is too long (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 24h1ms\n",
       {"2:19: client.header_timeout: \"24h1ms\" is too long (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 0.5ms\n",
       {"2:19: client.header_timeout: \"0.5ms\" is too short (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 10us\n",
       {"2:19: client.header_timeout: \"10us\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 1m1m\n",
       {"2:19: client.header_timeout: \"1m1m\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 1s1m\n",
       {"2:19: client.header_timeout: \"1s1m\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 1.5m3s\n",
       {"2:19: client.header_timeout: \"1.5m3s\" is not a duration; write it like 250ms, 1.5s, "
        "1m30s or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: .5s\n",
       {"2:19: client.header_timeout: \".5s\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 1.s\n",
       {"2:19: client.header_timeout: \"1.s\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 1e3s\n",
       {"2:19: client.header_timeout: \"1e3s\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: +1s\n",
       {"2:19: client.header_timeout: \"+1s\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: ''\n",
       {"2:19: client.header_timeout: \"\" is not a duration; write it like 250ms, 1.5s, 1m30s or "
        "1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout:\n",
       {"2:3: client.header_timeout: has no value (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: ~\n",
       {"2:3: client.header_timeout: has no value (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: [10s]\n",
       {"2:19: client.header_timeout: is a list (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: {s: 10}\n",
       {"2:19: client.header_timeout: is a map (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: true\n",
       {"2:19: client.header_timeout: \"true\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 10S\n",
       {"2:19: client.header_timeout: \"10S\" is not a duration; write it like 250ms, 1.5s, 1m30s "
        "or 1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 99999999999999999999s\n",
       {"2:19: client.header_timeout: \"99999999999999999999s\" is too long (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: s\n",
       {"2:19: client.header_timeout: \"s\" is not a duration; write it like 250ms, 1.5s, 1m30s or "
        "1h (1ms to 24h, or off)"}},
      {"client:\n  header_timeout: 010\n",
       {"2:19: client.header_timeout: \"010\" has no unit; write 10s (1ms to 24h, or off)"}},
      {"dns: {attempt_timeout: off}\n",
       {"1:24: dns.attempt_timeout: this time needs a bound (1ms to 24h)"}},
      {"dns: {min_ttl: 0, max_ttl: off}\n",
       {"1:16: dns.min_ttl: \"0\" is no time (1ms to 24h)",
        "1:28: dns.max_ttl: this time needs a bound (1ms to 24h)"}},
      {"dns: {negative_ttl: 0, serve_stale: -1s, forget_after: 25h}\n",
       {"1:21: dns.negative_ttl: \"0\" would end at once; for no limit write off (1ms to 24h, or "
        "off)",
        "1:37: dns.serve_stale: \"-1s\" is negative; for no limit write off (1ms to 24h, or off)",
        "1:56: dns.forget_after: \"25h\" is too long (1ms to 24h, or off)"}},
      {"dns: {attempt_timeout: 0}\n", {"1:24: dns.attempt_timeout: \"0\" is no time (1ms to 24h)"}},
      {"shutdown: {grace: unlimited}\n",
       {"1:19: shutdown.grace: this time needs a bound (1ms to 24h)"}},
      {"shutdown: {grace: 0s}\n", {"1:19: shutdown.grace: \"0s\" is no time (1ms to 24h)"}},
      {"shutdown: {grace: 25}\n",
       {"1:19: shutdown.grace: \"25\" has no unit; write 25s (1ms to 24h)"}},
      {"client:\n  max_header_size: 65536\n",
       {"2:20: client.max_header_size: \"65536\" has no unit; write 65536B (1KiB to 1GiB)"}},
      {"client:\n  max_header_size: 0\n",
       {"2:20: client.max_header_size: \"0\" is too small (1KiB to 1GiB)"}},
      {"client:\n  max_header_size: 64KB\n",
       {"2:20: client.max_header_size: \"64KB\" is not a size; write it like 512B, 16KiB or 4MiB "
        "(1KiB to 1GiB)"}},
      {"client:\n  max_header_size: 64K\n",
       {"2:20: client.max_header_size: \"64K\" is not a size; write it like 512B, 16KiB or 4MiB "
        "(1KiB to 1GiB)"}},
      {"client:\n  max_header_size: 64 KiB\n",
       {"2:20: client.max_header_size: \"64 KiB\" is not a size; write it like 512B, 16KiB or 4MiB "
        "(1KiB to 1GiB)"}},
      {"client:\n  max_header_size: 2GiB\n",
       {"2:20: client.max_header_size: \"2GiB\" is too large (1KiB to 1GiB)"}},
      {"client:\n  max_header_size: 512B\n",
       {"2:20: client.max_header_size: \"512B\" is too small (1KiB to 1GiB)"}},
      {"client:\n  max_header_size: -1KiB\n",
       {"2:20: client.max_header_size: \"-1KiB\" is negative (1KiB to 1GiB)"}},
      {"client:\n  max_header_size: unlimited\n",
       {"2:20: client.max_header_size: this size needs a bound (1KiB to 1GiB)"}},
      {"client:\n  max_header_size: off\n",
       {"2:20: client.max_header_size: this size needs a bound (1KiB to 1GiB)"}},
      {"client:\n  max_header_size: KiB\n",
       {"2:20: client.max_header_size: \"KiB\" is not a size; write it like 512B, 16KiB or 4MiB "
        "(1KiB to 1GiB)"}},
      {"client:\n  max_header_size: 99999999999GiB\n",
       {"2:20: client.max_header_size: \"99999999999GiB\" is too large (1KiB to 1GiB)"}},
      {"client:\n  max_header_size: 64kib\n",
       {"2:20: client.max_header_size: \"64kib\" is not a size; write it like 512B, 16KiB or 4MiB "
        "(1KiB to 1GiB)"}},
      {"client:\n  max_header_fields: 0\n",
       {"2:22: client.max_header_fields: \"0\" is too small (1 to 1000000)"}},
      {"client:\n  max_header_fields: 010\n",
       {"2:22: client.max_header_fields: \"010\" starts with 0, which some YAML readers take for "
        "octal (1 to 1000000)"}},
      {"client:\n  max_header_fields: 0x10\n",
       {"2:22: client.max_header_fields: \"0x10\" is not a whole number (1 to 1000000)"}},
      {"client:\n  max_header_fields: 1_000\n",
       {"2:22: client.max_header_fields: \"1_000\" has separators; write 1000 (1 to 1000000)"}},
      {"client:\n  max_header_fields: 1,000\n",
       {"2:22: client.max_header_fields: \"1,000\" has separators; write 1000 (1 to 1000000)"}},
      {"client:\n  max_header_fields: 1e3\n",
       {"2:22: client.max_header_fields: \"1e3\" is not a whole number (1 to 1000000)"}},
      {"client:\n  max_header_fields: 10.0\n",
       {"2:22: client.max_header_fields: \"10.0\" is not a whole number (1 to 1000000)"}},
      {"client:\n  max_header_fields: -3\n",
       {"2:22: client.max_header_fields: \"-3\" is negative (1 to 1000000)"}},
      {"client:\n  max_header_fields: 1000001\n",
       {"2:22: client.max_header_fields: \"1000001\" is too large (1 to 1000000)"}},
      {"client:\n  max_header_fields: 99999999999999999999\n",
       {"2:22: client.max_header_fields: \"99999999999999999999\" is too large (1 to 1000000)"}},
      {"client:\n  max_header_fields: many\n",
       {"2:22: client.max_header_fields: \"many\" is not a whole number (1 to 1000000)"}},
      {"client:\n  max_header_fields: unlimited\n",
       {"2:22: client.max_header_fields: this count needs a bound (1 to 1000000)"}},
      {"client:\n  max_header_fields: '- 3'\n",
       {"2:22: client.max_header_fields: \"- 3\" is not a whole number (1 to 1000000)"}},
      {"client:\n  max_connections: 0\n",
       {"2:20: client.max_connections: \"0\" is too small (1 to 1000000, or auto)"}},
      {"client:\n  max_connections: unlimited\n",
       {"2:20: client.max_connections: this count needs a bound (1 to 1000000, or auto)"}},
      {"client:\n  max_connections: Auto\n",
       {"2:20: client.max_connections: \"Auto\" is not a whole number (1 to 1000000, or auto)"}},
      {"defaults:\n  pool: {max_connections: 0}\n",
       {"2:27: defaults.pool.max_connections: \"0\" is too small (1 to 1000000, or unlimited)"}},
      {"defaults:\n  pool: {max_connections: -1}\n",
       {"2:27: defaults.pool.max_connections: \"-1\" is negative; for no limit write unlimited (1 "
        "to 1000000, or unlimited)"}},
      {"defaults:\n  pool: {max_connections: off}\n",
       {"2:27: defaults.pool.max_connections: \"off\"; for no limit write unlimited (1 to 1000000, "
        "or unlimited)"}},
      {"defaults:\n  pool: {max_idle: no}\n",
       {"2:20: defaults.pool.max_idle: \"no\"; for no limit write unlimited (0 to 1000000, or "
        "unlimited)"}},
      {"defaults:\n  pool: {max_connecting: 0}\n",
       {"2:26: defaults.pool.max_connecting: \"0\" is too small (1 to 1000000, or unlimited)"}},
      {"defaults:\n  pool: {max_waiting: -5}\n",
       {"2:23: defaults.pool.max_waiting: \"-5\" is negative; for no limit write unlimited (0 to "
        "1000000, or unlimited)"}},
      {"defaults:\n  pool: {max_waiting: infinite}\n",
       {"2:23: defaults.pool.max_waiting: \"infinite\"; for no limit write unlimited (0 to "
        "1000000, or unlimited)"}},
      {"defaults:\n  pool: {reuse: maybe}\n",
       {"2:17: defaults.pool.reuse: \"maybe\" is neither true nor false (true or false)"}},
      {"defaults:\n  pool: {reuse: 1}\n",
       {"2:17: defaults.pool.reuse: \"1\" is neither true nor false (true or false)"}},
      {"defaults:\n  via: y\n",
       {"2:8: defaults.via: \"y\" is neither true nor false (true or false)"}},
      {"defaults:\n  tls: {session_cache: unlimited}\n",
       {"2:24: defaults.tls.session_cache: this count needs a bound (0 to 1000000)"}},
      {"defaults:\n  tls: {min_version: 1.1}\n",
       {"2:22: defaults.tls.min_version: \"1.1\" is not one of its words (1.2 or 1.3)"}},
      {"defaults:\n  tls: {min_version: 12}\n",
       {"2:22: defaults.tls.min_version: \"12\" is not one of its words (1.2 or 1.3)"}},
      {"defaults:\n  tls: {min_version: TLSv1.2}\n",
       {"2:22: defaults.tls.min_version: \"TLSv1.2\" is not one of its words (1.2 or 1.3)"}},
      {"defaults:\n  scheme: HTTPS\n",
       {"2:11: defaults.scheme: \"HTTPS\" is not one of its words (auto, https, same or http)"}},
      {"defaults:\n  scheme: tls\n",
       {"2:11: defaults.scheme: \"tls\" is not one of its words (auto, https, same or http)"}},
      {"defaults:\n  scheme: [https]\n",
       {"2:11: defaults.scheme: is a list (auto, https, same or http)"}},
      {"dns: {attempts: 11}\n", {"1:17: dns.attempts: \"11\" is too large (1 to 10)"}},
      {"dns: {attempts: 0}\n", {"1:17: dns.attempts: \"0\" is too small (1 to 10)"}},
      {"log: {level: warn}\n",
       {"1:14: log.level: \"warn\" is not one of its words (trace, debug, info, warning, error or "
        "off)"}},
      {"log: {level: INFO}\n",
       {"1:14: log.level: \"INFO\" is not one of its words (trace, debug, info, warning, error or "
        "off)"}},
      {"log: {format: yaml}\n",
       {"1:15: log.format: \"yaml\" is not one of its words (auto, text or json)"}},
      {"access_log: {only: error}\n",
       {"1:20: access_log.only: \"error\" is not one of its words (all or errors)"}},
      {"access_log: {format: clf}\n",
       {"1:22: access_log.format: \"clf\" is not one of its words (text or json)"}},
      {"access_log: {sample: 1.5}\n",
       {"1:22: access_log.sample: \"1.5\" is too large (0 to 1, or 0% to 100%)"}},
      {"access_log: {sample: -0.1}\n",
       {"1:22: access_log.sample: \"-0.1\" is not a number (0 to 1, or 0% to 100%)"}},
      {"access_log: {sample: 150%}\n",
       {"1:22: access_log.sample: \"150%\" is too large (0 to 1, or 0% to 100%)"}},
      {"access_log: {sample: .5}\n",
       {"1:22: access_log.sample: \".5\" is not a number (0 to 1, or 0% to 100%)"}},
      {"access_log: {path: stderr}\n",
       {"1:20: access_log.path: \"stderr\" is not an absolute path (stdout, an absolute path, or "
        "off)"}},
      {"access_log: {path: access.log}\n",
       {"1:20: access_log.path: \"access.log\" is not an absolute path (stdout, an absolute path, "
        "or off)"}},
      {"access_log: {path: ''}\n",
       {"1:20: access_log.path: \"\" is not an absolute path (stdout, an absolute path, or off)"}},
      {"access_log: {slow: 0}\n",
       {"1:20: access_log.slow: \"0\" would end at once; for no limit write off (1ms to 24h, or "
        "off)"}},
      {"access_log: {query: 2}\n",
       {"1:21: access_log.query: \"2\" is neither true nor false (true or false)"}},
  };
  expect_faults(cases);
}

}  // namespace
}  // namespace penstock
