#!/bin/bash
# servers.sh DIR starts a private PostgreSQL and Redis whose data is in DIR, on free ports, and prints their settings
# for the environment; servers.sh DIR stop ends them. A second start on the same DIR goes on with its data.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n1)

# PostgreSQL does not run as root: then it runs as the user postgres, who can only read its own directories.
data=$dir/postgres
as=
if [ "$(id -u)" = 0 ]; then
	as="setpriv --reuid postgres --regid postgres --init-groups --"
	data=/var/tmp/llama-mapper-$(printf %s "$dir" | cksum | cut -d' ' -f1)/postgres
fi

stop() {
	[ ! -f "$dir/redis.pid" ] || kill "$(cat "$dir/redis.pid")" 2>/dev/null || true
	[ ! -f "$data/postmaster.pid" ] || (cd / && $as "$bin/pg_ctl" -D "$data" -m fast -w stop >/dev/null) || true
}
if [ "${2:-}" = stop ]; then
	stop
	exit
fi

[ -x "$bin/postgres" ] || "$here/packages.sh" postgresql-15 >&2
"$here/packages.sh" redis-server:redis-server >&2
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n1)

# alive FILE NAME: whether the process whose number begins the file is one of that name.
alive() { [ -f "$1" ] && grep -q "$2" "/proc/$(head -n1 "$1")/comm" 2>/dev/null; }
free() { # a TCP port that nothing listens on
	while :; do
		p=$(shuf -i 20000-32000 -n 1)
		(exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { echo "$p"; return; }
	done
}

secret() { openssl rand -hex 16; }
# Ports and passwords are chosen once for a DIR. Data without them is of a DIR that was removed.
if [ ! -f "$dir/servers" ]; then
	stop
	rm -rf "$data"
	(
		umask 077
		printf 'pg=%s\nredis=%s\nroot=%s\naccess=%s\nmapper=%s\ncache=%s\n' \
			"$(free)" "$(free)" "$(secret)" "$(secret)" "$(secret)" "$(secret)" >"$dir/servers.new"
	)
	mv "$dir/servers.new" "$dir/servers"
fi
grep -q ^orchestration= "$dir/servers" || echo "orchestration=$(secret)" >>"$dir/servers" # a DIR of an earlier release has none
# shellcheck source=/dev/null
. "$dir/servers"

if ! alive "$data/postmaster.pid" postgres; then
	if [ ! -f "$data/PG_VERSION" ]; then
		# shellcheck disable=SC2174 # the parent may be as the system makes it
		mkdir -p -m 700 "$data"
		pw=$data.pw
		(umask 077; echo "$root" >"$pw")
		[ -z "$as" ] || chown -R postgres "$(dirname "$data")"
		(cd / && $as "$bin/initdb" -D "$data" -U postgres --pwfile "$pw" -A scram-sha-256 -E UTF8 --no-locale >/dev/null)
		rm -f "$pw"
	fi
	rm -f "$data/postmaster.pid"
	(cd / && $as "$bin/pg_ctl" -D "$data" -w -t 60 -l "$data/log" -o "-p $pg -c listen_addresses=127.0.0.1 -c unix_socket_directories= ${PG_OPTIONS:-}" start >/dev/null) ||
		{ tail -n 5 "$data/log" >&2; exit 1; }
fi
if ! alive "$dir/redis.pid" redis; then
	(
		umask 077
		mkdir -p "$dir/redis"
		printf 'bind 127.0.0.1\nport %s\nrequirepass %s\ndaemonize yes\ndir %s\npidfile %s\nlogfile %s\nsave ""\nappendonly yes\nmaxmemory 256mb\nmaxmemory-policy volatile-lru\n' \
			"$redis" "$cache" "$dir/redis" "$dir/redis.pid" "$dir/redis/log" >"$dir/redis.conf"
	)
	redis-server "$dir/redis.conf"
fi

export PGPASSWORD="$root" PGOPTIONS=--client-min-messages=warning
name=llama_mapper_dev
sql() { "$bin/psql" -qX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$pg" -U postgres "$@"; }
if [ "$(sql -d postgres -Atc "SELECT count(*) FROM pg_database WHERE datname = '$name'")" = 0 ]; then
	sql -d postgres -c "CREATE DATABASE $name"
fi
# shellcheck disable=SC2154 # the file servers has it
sql -d "$name" -v access="$access" -v mapper="$mapper" -v orchestration="$orchestration" -f "$here/roles.sql"
for service in MAPPER ACCESS ORCHESTRATION; do
	echo "LLAMA_MAPPER_${service}_DATABASE__HOST=127.0.0.1"
	echo "LLAMA_MAPPER_${service}_DATABASE__PORT=$pg"
	echo "LLAMA_MAPPER_${service}_DATABASE__NAME=$name"
done
echo "LLAMA_MAPPER_MAPPER_DATABASE__PASSWORD=$mapper"
echo "LLAMA_MAPPER_ACCESS_DATABASE__PASSWORD=$access"
echo "LLAMA_MAPPER_ORCHESTRATION_DATABASE__PASSWORD=$orchestration"
echo "LLAMA_MAPPER_REDIS__HOST=127.0.0.1"
echo "LLAMA_MAPPER_REDIS__PORT=$redis"
echo "LLAMA_MAPPER_REDIS__PASSWORD=$cache"
echo "TEST_POSTGRES=postgres://postgres:$root@127.0.0.1:$pg/postgres"
