-- wrk asks for a path of the server it connects to; a proxy wants the whole URL.
-- wrk ... absolute_form.lua http://127.0.0.1:PORT -- URL [MOST MILLISECONDS BETWEEN REQUESTS]
local message
local longest_pause = 0

function init(arguments)
  local url = arguments[1]
  longest_pause = tonumber(arguments[2] or 0)
  message = "GET " .. url .. " HTTP/1.1\r\nHost: " .. url:match("//([^/]+)") .. "\r\n\r\n"
end

function request()
  return message
end

function delay()
  return longest_pause == 0 and 0 or math.random(0, longest_pause)
end

function done(summary)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("RESULT requests=%d failed=%d\n", summary.requests, failed))
end
