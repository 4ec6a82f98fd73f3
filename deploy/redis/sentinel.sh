#!/bin/sh
# Starts one Sentinel. PRIMARY is the address of the primary at the very first start. Afterwards /data/sentinel.conf is its
# own: it keeps there who is the primary, and which servers and Sentinels it has found.
set -eu

config=/data/sentinel.conf
password=$(cat /run/coinwire/sentinel_password)
[ -s "$config" ] || cat >"$config" <<END
port 26379
dir /data
protected-mode no
aclfile /run/coinwire/sentinels.acl
# Two of three must agree that the primary is gone.
sentinel monitor coinwire $PRIMARY 6379 2
# Seconds without an answer until then: a busy Redis answers within one.
sentinel down-after-milliseconds coinwire 3000
# A failover that did not succeed is tried again after twice this time.
sentinel failover-timeout coinwire 10000
END
# Not on the command line, which everybody on the machine can list.
{
	grep -v -e '^sentinel auth-user ' -e '^sentinel auth-pass ' -e '^sentinel sentinel-user ' -e '^sentinel sentinel-pass ' \
		"$config"
	echo "sentinel auth-user coinwire sentinel"
	echo "sentinel auth-pass coinwire $password"
	echo "sentinel sentinel-user sentinel"
	echo "sentinel sentinel-pass $password"
} >"$config.draft"
chmod 600 "$config.draft"
chown redis:redis "$config.draft"
mv "$config.draft" "$config"

exec docker-entrypoint.sh redis-server "$config" --sentinel
