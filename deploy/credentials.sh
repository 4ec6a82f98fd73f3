#!/bin/sh
# Tells Redis and PostgreSQL, while they run, of passwords and rights that changed. Connections that are open stay open.
set -eu
cd "$(dirname "$0")/.."

# Alone: Compose before 2.27 makes everything anew that depends on a container which it makes anew.
docker compose up --detach --no-deps credentials
container=$(docker compose ps --all --quiet credentials)
status=$(docker wait "$container")
docker logs --tail 1 "$container"
[ "$status" = 0 ] || exit "$status"

docker compose exec -T redis sh -c \
	'REDISCLI_AUTH=$(cat /run/coinwire/operator_password) redis-cli -e --user operator ACL LOAD'
# The file of now: the container has the one that was there when it started, since Git puts another in its place.
docker compose exec -T postgres sh -s <deploy/postgres/roles.sh
