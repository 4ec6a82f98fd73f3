-- All of a publish in one call, so that the order of seq is the order of delivery.
-- KEYS[1]  hash    meta: epoch, seq, fence; run_id of the server, name of the publisher and time (unix ms, by the
--          server's clock) at the last publish
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
local meta_key, stream_key, last_key = KEYS[1], KEYS[2], KEYS[3]
local channel, fence, draft, history_length, new_epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local known_epoch, known_seq, this_publisher, cursor = ARGV[6], tonumber(ARGV[7]), ARGV[8], ARGV[9]

local meta = redis.call('HMGET', meta_key, 'epoch', 'seq', 'fence', 'run_id', 'publisher')
local epoch, seq, run_id, publisher = meta[1], tonumber(meta[2] or 0), meta[4], meta[5]
if tonumber(fence) < tonumber(meta[3] or 0) then
  return redis.error_reply('FENCED a newer holder of the lease publishes here')
end

-- A server that came back may have lost its last second of writes, and would then give a seq out twice.
-- Only the publisher that published last can tell, for it remembers where; without it, a restart begins a new epoch.
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local vouched = known_epoch == epoch and this_publisher == publisher and seq >= known_seq
local lost = known_epoch == epoch and seq < known_seq
local function begin_epoch()
  epoch, seq = new_epoch, 0
  redis.call('DEL', stream_key)
end
if not epoch or lost or (server ~= run_id and not vouched) then begin_epoch() end

local id, message
local function append()
  seq = seq + 1
  id = string.format('%.0f', seq)
  message = draft .. cmsgpack.pack('epoch') .. cmsgpack.pack(epoch) .. cmsgpack.pack('seq') .. cmsgpack.pack(seq)
  return redis.pcall('XADD', stream_key, 'MAXLEN', '~', history_length, id .. '-0', 'm', message)
end
local appended = append()
if appended.err and string.find(appended.err, 'equal or smaller', 1, true) then
  begin_epoch() -- the stream is ahead of our count: it would refuse every seq until that has caught up
  appended = append()
end
if appended.err then return appended end -- nothing was counted yet

redis.call('HSET', meta_key, 'epoch', epoch, 'seq', id, 'fence', fence, 'run_id', server, 'publisher', this_publisher)
local clock = redis.call('TIME')
redis.call('HSET', meta_key, 'published_at', string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000)))
if cursor then redis.call('HSET', meta_key, 'cursor', cursor) end
redis.call('SET', last_key, message)
redis.call('PUBLISH', channel, message)
return {epoch, seq}
