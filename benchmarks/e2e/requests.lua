-- wrk: cycles through the paths of a file, checks the statuses, prints one JSON line.
-- usage: wrk ... -s requests.lua URL -- PATHS_FILE ACCEPT
local paths, accept, at = {}, "*/*", 0
local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   for line in io.lines(args[1]) do paths[#paths + 1] = line end
   accept = args[2] or accept
   bad = 0
   math.randomseed(1)
   at = math.random(#paths)
end

function request()
   at = at % #paths + 1
   return wrk.format("GET", paths[at], { Accept = accept })
end

function response(status, headers, body)
   if status ~= 200 then bad = bad + 1 end
end

function done(summary, latency, requests)
   local failed = 0
   for _, thread in ipairs(threads) do failed = failed + thread:get("bad") end
   io.write(string.format('JSON {"requests":%d,"seconds":%.6f,"bytes":%d,"not_200":%d,"errors":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
      summary.requests, summary.duration / 1e6, summary.bytes, failed,
      summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
