-- All of a publish in one call, so that the order of seq is the order of delivery.
-- KEYS[1]  hash    meta: epoch, seq, fence; run_id of the server and name of the publisher at the last publish
-- KEYS[2]  stream  recent history: entry id <seq>-0, field m
-- KEYS[3]  string  last: the newest message
-- ARGV[1]  channel to publish on
-- ARGV[2]  fence of the publisher's lease, 0 for none
-- ARGV[3]  message without its position: a MessagePack map of 6 of which 4 pairs are there
-- ARGV[4]  how many entries the stream keeps
-- ARGV[5]  name of a new epoch, if one must begin
-- ARGV[6]  epoch of this publisher's previous publish, '' if it has none
-- ARGV[7]  seq of that publish
-- ARGV[8]  name of this publisher
-- ARGV[9]  optional: the publisher's own note of where this update ended, kept as `cursor` in meta
-- returns  {epoch, seq}, or the error FENCED
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'fence', 'run_id', 'publisher')
local epoch, seq, run_id, publisher = meta[1], tonumber(meta[2] or 0), meta[4], meta[5]
if tonumber(ARGV[2]) < tonumber(meta[3] or 0) then
  return redis.error_reply('FENCED a newer holder of the lease publishes here')
end

-- A server that came back may have lost its last second of writes, and would then give a seq out twice.
-- Only the publisher that published last can tell, for it remembers where; without it, a restart begins a new epoch.
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local vouched = ARGV[6] == epoch and ARGV[8] == publisher and seq >= tonumber(ARGV[7])
local lost = ARGV[6] == epoch and seq < tonumber(ARGV[7])
local function begin_epoch()
  epoch, seq = ARGV[5], 0
  redis.call('DEL', KEYS[2])
end
if not epoch or lost or (server ~= run_id and not vouched) then begin_epoch() end

local id, message
local function append()
  seq = seq + 1
  id = string.format('%.0f', seq)
  message = ARGV[3] .. cmsgpack.pack('epoch') .. cmsgpack.pack(epoch) .. cmsgpack.pack('seq') .. cmsgpack.pack(seq)
  return redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], id .. '-0', 'm', message)
end
local appended = append()
if appended.err and string.find(appended.err, 'equal or smaller', 1, true) then
  begin_epoch() -- the stream is ahead of our count: it would refuse every seq until that has caught up
  appended = append()
end
if appended.err then return appended end -- nothing was counted yet

redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', id, 'fence', ARGV[2], 'run_id', server, 'publisher', ARGV[8])
if ARGV[9] then redis.call('HSET', KEYS[1], 'cursor', ARGV[9]) end
redis.call('SET', KEYS[3], message)
redis.call('PUBLISH', ARGV[1], message)
return {epoch, seq}
