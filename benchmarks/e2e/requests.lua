-- wrk: cycles through the paths of a file, counts refusals, prints one JSON line.
-- usage: wrk ... -s requests.lua URL -- PATHS_FILE ACCEPT
-- There is no response(): with one, wrk gathers every body and hands it to Lua, which costs it more than a server
-- needs to send it (525 kB: 0.5 ms, so that one thread of wrk is full at 2 000 a second whoever answers).
local paths, accept, at = {}, "*/*", 0

function init(args)
   for line in io.lines(args[1]) do paths[#paths + 1] = line end
   accept = args[2] or accept
   math.randomseed(1)
   at = math.random(#paths)
end

function request()
   at = at % #paths + 1
   return wrk.format("GET", paths[at], { Accept = accept })
end

function done(summary, latency, requests)
   local failed = summary.errors
   io.write(string.format('JSON {"requests":%d,"seconds":%.6f,"bytes":%d,"refused":%d,"errors":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
      summary.requests, summary.duration / 1e6, summary.bytes, failed.status,
      failed.connect + failed.read + failed.write + failed.timeout,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
