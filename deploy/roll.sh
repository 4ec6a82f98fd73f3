#!/bin/sh
# Goes through the gateways one after another, so that as many serve as before at every moment but one.
#
#   sh deploy/roll.sh restart   the same containers once more
#   sh deploy/roll.sh replace   new containers of the image and the settings of now; each old one is taken away when its
#                               successor is ready
#
# A gateway that stops drains first: the balancer sends it nobody new, then its clients are closed with 1012 and reconnect
# to the others. Compose finds the stack as always: COMPOSE_FILE and COMPOSE_PROJECT_NAME name another.
set -eu

READY_SECONDS=90 # as long as a whole stack may take

# All of them, those that were stopped too: Compose counts those, and starts them again as they were.
gateways() {
	for container in $(docker compose ps --all --quiet gateway); do
		# But none of `docker compose run gateway`.
		if [ "$(docker inspect --format '{{index .Config.Labels "com.docker.compose.oneoff"}}' "$container")" != True ]; then
			echo "$container"
		fi
	done
}

# Wait until container $1 is healthy. Fails where it takes too long, with its last words.
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
		# With its dependencies, which --no-recreate leaves alone: Compose before 2.27 takes a container that was made
		# without (--no-deps) for one of other settings, and the next `up` would make all of them anew at once.
		docker compose up --detach --no-recreate --scale gateway=$((count + 1)) gateway
		for successor in $(gateways); do
			# Those that go need not be ready: perhaps that is why.
			case $before in *"$successor"*) continue ;; esac
			# One that never will be would be counted, and waited for, by whoever tries again.
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
