-- All of a publish in one call, so that the order of seq is the order of delivery.
-- KEYS[1]  hash    meta: epoch, seq, fence, run_id
-- KEYS[2]  stream  recent history: entry id <seq>-0, field m
-- KEYS[3]  string  last: the newest message
-- ARGV[1]  channel to publish on
-- ARGV[2]  fence of the publisher's lease, 0 for none
-- ARGV[3]  message without its position: a MessagePack map of 6 of which 4 pairs are there
-- ARGV[4]  how many entries the stream keeps
-- ARGV[5]  name of a new epoch, if one must begin
-- ARGV[6]  epoch of this publisher's previous publish, '' if it has none
-- ARGV[7]  seq of that publish
-- returns  {epoch, seq}, or the error FENCED
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'fence', 'run_id')
local epoch, seq, run_id = meta[1], tonumber(meta[2] or 0), meta[4]
if tonumber(ARGV[2]) < tonumber(meta[3] or 0) then
  return redis.error_reply('FENCED a newer holder of the lease publishes here')
end

-- A server that came back may have lost its last second of writes, and would then give a seq out twice.
-- Only a publisher that remembers its last position can tell; without one, a restart begins a new epoch.
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local vouched = ARGV[6] == epoch and seq >= tonumber(ARGV[7])
local lost = ARGV[6] == epoch and seq < tonumber(ARGV[7])
if not epoch or lost or (server ~= run_id and not vouched) then
  epoch, seq = ARGV[5], 0
  redis.call('DEL', KEYS[2])
end

seq = seq + 1
local message = ARGV[3] .. cmsgpack.pack('epoch') .. cmsgpack.pack(epoch) .. cmsgpack.pack('seq') .. cmsgpack.pack(seq)
local id = string.format('%.0f', seq)
redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', id, 'fence', ARGV[2], 'run_id', server)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], id .. '-0', 'm', message)
redis.call('SET', KEYS[3], message)
redis.call('PUBLISH', ARGV[1], message)
return {epoch, seq}
