#!/bin/sh
# Brings a deployment that runs to what stands here now, part by part, so that clients that recover lose nothing:
# image, credentials, servers whose settings changed, workers, gateways one after another, balancer.
#
# Compose finds the stack as always: COMPOSE_FILE and COMPOSE_PROJECT_NAME name another.
set -eu
cd "$(dirname "$0")/.."

# What a build says of itself would make every image another one, and every container with it, where the engine keeps
# images as containerd does.
export BUILDX_NO_DEFAULT_ATTESTATIONS=1

# Whether service $1 runs with other settings than it has now, or since before its file $2 changed, which Compose does
# not look at.
changed() {
	container=$(docker compose ps --quiet "$1")
	[ -n "$container" ] || return 0
	began=$(docker inspect --format '{{.State.StartedAt}}' "$container" | cut -c1-19)
	hash=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$container")
	# Where `find` doesn't know such a time, rather once too often.
	newer=$(find "$2" -newermt "${began}Z") || return 0
	[ "$(docker compose config --hash "$1")" != "$1 $hash" ] || [ -n "$newer" ]
}

docker compose build
sh deploy/credentials.sh
if changed redis deploy/redis/redis.conf; then
	docker compose up --detach --wait --force-recreate redis
fi
docker compose up --detach --wait postgres
set -- worker-data-collection worker-monitoring worker-integration
for worker in "$@"; do # stand-bys stay as many as they are
	count=$(docker compose ps --quiet "$worker" | wc -l)
	[ "$count" -le 1 ] || set -- "$@" --scale "$worker=$count"
done
docker compose up --detach --wait "$@"
sh deploy/roll.sh replace
if changed balancer deploy/balancer/haproxy.cfg; then
	# Not --no-deps, for the reason that deploy/roll.sh gives; and with as many gateways as there are.
	gateways=$(docker compose ps --quiet gateway | wc -l)
	docker compose up --detach --wait --force-recreate --scale gateway="$gateways" balancer
fi
