#!/bin/sh
# Restarts or replaces the gateways one after another, so that at most one is missing at any time.
#
#   sh deploy/roll.sh restart   restart the same containers
#   sh deploy/roll.sh replace   start new containers with the current image and settings; each old one is removed when
#                               its successor is ready
#
# A gateway that stops drains first: the balancer sends it no new clients, then its clients are closed with 1012 and
# reconnect to the others. COMPOSE_FILE and COMPOSE_PROJECT_NAME select the stack, as for Compose itself.
set -eu

READY_SECONDS=90 # the time that a whole stack may take to start

# All gateways, including stopped ones: Compose counts those, and starts them again as they were.
gateways() {
	for container in $(docker compose ps --all --quiet gateway); do
		# Without the containers of `docker compose run gateway`.
		if [ "$(docker inspect --format '{{index .Config.Labels "com.docker.compose.oneoff"}}' "$container")" != True ]; then
			echo "$container"
		fi
	done
}

# Wait until container $1 is healthy. If that takes too long, print its last log line and fail.
ready() {
	seconds=0
	until [ "$(docker inspect --format '{{.State.Health.Status}}' "$1")" = healthy ]; do
		seconds=$((seconds + 1))
		if [ "$seconds" -gt "$READY_SECONDS" ]; then
			docker logs --tail 1 "$1" >&2
			echo "roll: $1 is not healthy after $READY_SECONDS s; the gateways after it were left alone" >&2
			return 1
		fi
		sleep 1
	done
}

mode=${1:-}
before=$(gateways)
[ -n "$before" ] || { echo "roll: no gateway runs here" >&2; exit 1; }
count=$(echo "$before" | wc -l)

case $mode in
restart)
	for container in $before; do
		echo "roll: restarting $container"
		docker restart "$container" >/dev/null # within its stop_grace_period
		ready "$container"
	done
	;;
replace)
	for container in $before; do
		# With its dependencies, which --no-recreate leaves alone. Compose before 2.27 believes that a container created
		# with --no-deps has other settings, and the next `up` would recreate all of them at once.
		docker compose up --detach --no-recreate --scale gateway=$((count + 1)) gateway
		for successor in $(gateways); do
			# The old ones need not be healthy: that may be the reason for the replacement.
			case $before in *"$successor"*) continue ;; esac
			# Remove one that does not become healthy: the next run would count it and wait for it.
			ready "$successor" || { docker rm --force "$successor" >/dev/null; exit 1; }
		done
		echo "roll: taking $container away"
		docker stop "$container" >/dev/null # within its stop_grace_period
		docker rm "$container" >/dev/null
	done
	;;
*)
	echo "usage: sh deploy/roll.sh restart|replace" >&2
	exit 2
	;;
esac
