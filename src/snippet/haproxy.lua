-- foregate.lua: asks foregate about a request. In haproxy.cfg, after X-Forwarded-* are set:
--   http-request lua.foregate SOCKET Remote-User,Remote-Groups
-- Lets the request go on with these headers and sets txn.foregate_allows, or gives foregate's answer to the client.
-- SOCKET is a listener of HAProxy's own that leads to foregate and answers in 5 s at the latest.

local CHECK = "http://127.0.0.1/.foregate/auth/haproxy"
local TIMEOUT_MS = 8000 -- the client would repeat itself three times after it, so the listener must be faster

-- Belong to one connection (RFC 9110 7.6.1) or to the request's body.
local NOT_ASKED = {
  ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true,
  ["transfer-encoding"] = true, ["upgrade"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true,
}
local NOT_ANSWERED = {
  ["connection"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true, ["content-length"] = true,
}

-- HAProxy counts the lines of a header from 0, what its Lua client takes from 1.
local function lines(values)
  local list = {}
  local index = 0
  while values[index] ~= nil do
    list[#list + 1] = values[index]
    index = index + 1
  end
  return list
end

local function question(txn)
  local headers = {}
  for name, values in pairs(txn.http:req_get_headers()) do
    if not NOT_ASKED[name:lower()] then
      headers[name] = lines(values)
    end
  end
  return headers
end

local function refuse(txn, status, headers, body)
  local reply = txn:reply({ status = status })
  for name, values in pairs(headers) do
    if not NOT_ANSWERED[name:lower()] then
      for _, value in ipairs(lines(values)) do
        reply:add_header(name, value)
      end
    end
  end
  if txn.sf:method() ~= "HEAD" then
    reply:set_body(body)
  end
  txn:done(reply)
end

local function allow(txn, names, headers)
  for name in names:gmatch("[^,]+") do
    txn.http:req_del_header(name)
    for _, value in ipairs(lines(headers[name:lower()] or {})) do
      txn.http:req_add_header(name, value)
    end
  end
  txn:set_var("txn.foregate_allows", true)
end

core.register_action("foregate", { "http-req" }, function(txn, socket, names)
  local request = { url = CHECK, dst = socket, headers = question(txn), timeout = TIMEOUT_MS }
  local answer = core.httpclient():get(request)
  local status = answer and answer.status or 0
  if status == 200 then
    allow(txn, names, answer.headers)
  elseif status >= 300 and status < 500 or status == 503 and answer.headers["retry-after"] then
    refuse(txn, status, answer.headers, answer.body)
  else
    refuse(txn, 503, { ["cache-control"] = { [0] = "no-store" }, ["retry-after"] = { [0] = "5" } }, "")
  end
end, 2)
