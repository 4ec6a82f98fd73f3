#!/bin/sh
# Starts one Redis of several: the primary, or a replica of the address FOLLOWS at the very first start. Afterwards
# /data/redis.conf says whom it follows: the Sentinels have it rewritten.
set -eu

config=/data/redis.conf
[ -s "$config" ] || {
	echo "include /etc/coinwire/redis.conf"
	[ -z "${FOLLOWS:-}" ] || echo "replicaof $FOLLOWS 6379"
} >"$config"
# Not on the command line, which everybody on the machine can list.
{
	grep -v -e '^masteruser ' -e '^masterauth ' "$config"
	echo "masteruser replica"
	echo "masterauth $(cat /run/coinwire/replica_password)"
} >"$config.draft"
chmod 600 "$config.draft"
chown redis:redis "$config.draft"
mv "$config.draft" "$config"

exec docker-entrypoint.sh redis-server "$config" "$@"
