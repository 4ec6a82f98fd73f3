#!/bin/sh
# Applies changed passwords and rights to running Redis and PostgreSQL. Open connections stay open.
set -eu
cd "$(dirname "$0")/.."

# --no-deps: Compose before 2.27 recreates every container that depends on one that it recreates.
docker compose up --detach --no-deps credentials
container=$(docker compose ps --all --quiet credentials)
status=$(docker wait "$container")
docker logs --tail 1 "$container"
[ "$status" = 0 ] || exit "$status"

# One server, or those of docker-compose.sentinel.yml.
for server in $(docker compose ps --services | grep -x -e redis -e 'redis-[0-9]'); do
	docker compose exec -T "$server" sh -c \
		'REDISCLI_AUTH=$(cat /run/coinwire/operator_password) redis-cli -e --user operator ACL LOAD'
done
# From the host: Git replaces files, and the container still has the file that was there when it started.
docker compose exec -T postgres sh -s <deploy/postgres/roles.sh
