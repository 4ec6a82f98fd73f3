-- All of a publish in one call, so that the order of seq is the order of delivery.
-- KEYS[1]  hash    meta: its fields are listed below
-- KEYS[2]  stream  recent history: entry id <seq>-0, field m
-- KEYS[3]  string  last: the newest message
-- ARGV[1]  channel to publish on
-- ARGV[2]  fence of the publisher's lease, 0 for none
-- ARGV[3]  message without its position: a MessagePack map of 6 of which 4 pairs are there
-- ARGV[4]  how many updates the stream keeps at least
-- ARGV[5]  end of the name of a new epoch, if one must begin: random letters and digits
-- ARGV[6]  epoch of this publisher's previous publish, '' if it has none or can't vouch for it
-- ARGV[7]  seq of that publish
-- ARGV[8]  name of this publisher: letters and digits
-- ARGV[9]  optional: the publisher's own note of where this update ended, kept as `cursor` in meta; '' for none
-- ARGV[10]  optional: number of the update among the publisher's; a repetition has the same, the next one a higher
-- ARGV[11]  optional: up to how many bytes the stream also keeps all updates of this minute and the one before
-- ARGV[12]  optional: SPUBLISH on a Redis Cluster, else PUBLISH
-- returns  {epoch, seq}, for a repetition those of the first time; or the error FENCED or LATE
--
-- meta: epoch, seq      position of the newest update; an epoch's name begins with the time of its begin (position.py)
--       published_at    its time (unix ms, by the clock of the server)
--       fence           lower ones are refused; lease.lua and resume.lua raise it too
--       publisher       who published it
--       publishers      ` name:number:seq:fence` of the newest update of each, the newest first; of this epoch only
--       run_id, replid  the server that had the newest update: its process, and its line of replication
--       recent          `minute:updates:bytes:updates:bytes` of this minute and of the one before
--       cursor          see ARGV[9]
local meta_key, stream_key, last_key = KEYS[1], KEYS[2], KEYS[3]
local channel, fence, draft, history_length, new_epoch = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local known_epoch, known_seq, this_publisher, cursor = ARGV[6], tonumber(ARGV[7]), ARGV[8], ARGV[9] or ''
local this_number, history_bytes, command = ARGV[10] or '', tonumber(ARGV[11] or 100663296), ARGV[12]
local MOST_PUBLISHERS = 16 -- `system` has one per worker, and every other service gets one per takeover
local ENTRY = '^ (%w*):(%d*):(%d+):(%d+)'

local meta = redis.call('HMGET', meta_key, 'epoch', 'seq', 'fence', 'publishers', 'run_id', 'replid', 'recent')
local epoch, seq, least_fence, publishers = meta[1], meta[2], tonumber(meta[3] or 0) or 0, meta[4] or ''
-- Others may have written there, too: then nobody can tell where the service stands.
if not seq or not string.find(seq, '^%d+$') or #seq > 15 then epoch, seq, publishers = false, 0, '' end
seq = tonumber(seq)

-- A publisher repeats what was not confirmed, and at last gives it up. Its bytes may still arrive, even after later ones.
local own, own_end, _, number, own_seq, own_fence = string.find(publishers, ' ' .. this_publisher .. ':', 1, true)
if own then own, own_end, _, number, own_seq, own_fence = string.find(publishers, ENTRY, own) end
if own and number ~= '' and this_number ~= '' then
  if tonumber(this_number) == tonumber(number) then return {epoch, tonumber(own_seq)} end
  if tonumber(this_number) < tonumber(number) then
    return redis.error_reply('LATE this publisher has published a newer update')
  end
end
if tonumber(fence) < least_fence then
  return redis.error_reply('FENCED a newer holder of the lease publishes here')
end

-- Another server may lack the last writes, and would then give a seq out twice. Only a publisher that can be sure that
-- nobody published after it may vouch for the epoch: the last one, whose lease is unbroken since then (another fence is
-- another lease), or the only one that there is, where there are no leases.
local function of_server(section, field)
  local info = redis.call('INFO', section)
  local start, stop = string.find(info, field .. ':', 1, true)
  return start and string.match(info, '^%x+', stop + 1) or ''
end
local run_id, replid = of_server('server', 'run_id'), of_server('replication', 'master_replid')
local moved = run_id ~= meta[5] or (meta[6] and replid ~= meta[6])
local last = own == 1 and tonumber(own_seq) == seq
local unbroken = last and fence == own_fence
if fence == '0' then unbroken = last and own_end == #publishers end
local vouched = unbroken and known_epoch == epoch and known_seq <= seq
local lost = known_epoch == epoch and known_seq > seq

-- The stream keeps the last one to two minutes as far as they fit, and never less than it must.
local clock = redis.call('TIME')
local this_minute = math.floor(clock[1] / 60)
local minute, updates, bytes, updates_before, bytes_before =
  string.match(meta[7] or '', '^(%d+):(%d+):(%d+):(%d+):(%d+)$')
if tonumber(minute) == this_minute - 1 then
  updates, bytes, updates_before, bytes_before = 0, 0, updates, bytes
elseif tonumber(minute) ~= this_minute then
  updates, bytes, updates_before, bytes_before = 0, 0, 0, 0
end
local function length_with(size)
  updates, bytes = updates + 1, bytes + size
  local all, all_bytes = updates + updates_before, bytes + bytes_before
  if all_bytes > history_bytes then all = math.floor(all * history_bytes / all_bytes) end
  return string.format('%.0f', math.max(all, history_length))
end

-- Who hears of an epoch after Redis has lost it can tell by its name that it is not an earlier one.
local function name_of_epoch()
  local microseconds = clock[1] * 1000000 + clock[2]
  local before = epoch and #epoch == 30 and tonumber(string.sub(epoch, 1, 14), 16)
  if before and before >= microseconds then microseconds = before + 1 end -- the clock was set back
  return string.format('%014x', microseconds) .. new_epoch
end
local function begin_epoch()
  epoch, seq, publishers, last = name_of_epoch(), 0, '', false
  updates, bytes, updates_before, bytes_before = 0, 0, 0, 0
  redis.call('DEL', stream_key)
end
if not epoch or lost or (moved and not vouched) then begin_epoch() end

local id, message
local function append()
  seq = seq + 1
  id = string.format('%.0f', seq)
  message = draft .. cmsgpack.pack('epoch') .. cmsgpack.pack(epoch) .. cmsgpack.pack('seq') .. cmsgpack.pack(seq)
  return redis.pcall('XADD', stream_key, 'MAXLEN', '~', length_with(#message), id .. '-0', 'm', message)
end
local appended = append()
if appended.err and string.find(appended.err, 'equal or smaller', 1, true) then
  begin_epoch() -- the stream is ahead of our count: it would refuse every seq until that has caught up
  appended = append()
end
if appended.err then
  -- A full Redis: what is kept beyond the length goes first, and the publisher tries again.
  if string.find(appended.err, 'OOM', 1, true) then redis.call('XTRIM', stream_key, 'MAXLEN', history_length) end
  return appended -- nothing was counted yet
end

local others = {}
if last then
  others[1] = string.sub(publishers, own_end + 1)
else
  for entry in string.gmatch(publishers, ' %S+') do
    local whose = string.match(entry, '^ %w*')
    if whose ~= ' ' .. this_publisher and #others < MOST_PUBLISHERS - 1 then others[#others + 1] = entry end
  end
end
publishers = string.format(' %s:%s:%s:%s', this_publisher, this_number, id, fence) .. table.concat(others)
local recent = string.format('%.0f:%.0f:%.0f:%.0f:%.0f', this_minute, updates, bytes, updates_before, bytes_before)
local published_at = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('HSET', meta_key, 'seq', id, 'published_at', published_at, 'publishers', publishers, 'recent', recent)
if not last or moved or fence ~= own_fence then -- else these are as they were
  redis.call('HSET', meta_key, 'epoch', epoch, 'fence', fence, 'publisher', this_publisher,
    'run_id', run_id, 'replid', replid)
end
if cursor ~= '' then redis.call('HSET', meta_key, 'cursor', cursor) end
redis.call('SET', last_key, message)
if command == 'SPUBLISH' then
  redis.call('SPUBLISH', channel, message)
  return {epoch, seq}
end
redis.call('PUBLISH', channel, message)
return {epoch, seq}
