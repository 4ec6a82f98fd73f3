#!/bin/sh
# Upgrades a running deployment to this checkout, part by part, so that clients that recover lose nothing: image,
# credentials, servers whose settings changed, workers, gateways one after another, balancer.
#
# COMPOSE_FILE and COMPOSE_PROJECT_NAME select the stack, as for Compose itself.
set -eu
cd "$(dirname "$0")/.."

# With attestations, every build gives the image another id if the engine stores images in containerd, and Compose would
# recreate every container.
export BUILDX_NO_DEFAULT_ATTESTATIONS=1

# Whether the running service $1 has other settings than the current ones, or was started before its file $2 changed.
# Compose compares settings, but not mounted files.
changed() {
	container=$(docker compose ps --quiet "$1")
	[ -n "$container" ] || return 0
	began=$(docker inspect --format '{{.State.StartedAt}}' "$container" | cut -c1-19)
	hash=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$container")
	# If `find` does not understand such a time, restart once too often.
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
for worker in "$@"; do # keep the number of stand-bys
	count=$(docker compose ps --quiet "$worker" | wc -l)
	[ "$count" -le 1 ] || set -- "$@" --scale "$worker=$count"
done
docker compose up --detach --wait "$@"
sh deploy/roll.sh replace
if changed balancer deploy/balancer/haproxy.cfg; then
	# Without --no-deps (see deploy/roll.sh), and with the current number of gateways.
	gateways=$(docker compose ps --quiet gateway | wc -l)
	docker compose up --detach --wait --force-recreate --scale gateway="$gateways" balancer
fi
