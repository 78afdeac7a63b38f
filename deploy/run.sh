#!/bin/bash
# Starts the services in the foreground with private servers and state under .run/, and prints a request to try.
# Ctrl-C ends all of it; a second run goes on with the data.
set -eu
cd "$(dirname "$0")/.."
mkdir -p .run
umask 077
port=${LLAMA_MAPPER_HTTP__MAPPER_PORT:-8000}
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
	echo "something has port $port already; stop it, or set LLAMA_MAPPER_HTTP__MAPPER_PORT" >&2
	exit 1
fi

pid=
finish() {
	trap - EXIT
	trap '' INT TERM
	[ -z "$pid" ] || { kill "$pid" 2>/dev/null; wait "$pid" || true; }
	deploy/servers.sh .run stop
}
trap finish EXIT
trap 'exit 0' INT TERM

deploy/servers.sh .run >.run/env
set -a
. .run/env
set +a
bin/mapperctl migrate up all >.run/migrate.log
[ -s .run/key ] || { bin/mapperctl keys create --tenant me --role admin --name "make run" >.run/key.new 2>/dev/null && mv .run/key.new .run/key; }
bin/mapper -config config/development.yaml 2>.run/mapper.log &
pid=$!
for _ in $(seq 100); do
	if curl -fs "http://127.0.0.1:$port/ready" >/dev/null 2>&1; then
		cat <<-END
			mapper is ready on port $port; its log is .run/mapper.log. Try:

			  curl -s http://127.0.0.1:$port/api/v1/map -H 'X-API-Key: $(cat .run/key)' -d '{"detector":"my-guard","output":"user asks how to build a bomb"}'

		END
		wait $pid
		exit
	fi
	kill -0 $pid 2>/dev/null || { tail -n 1 .run/mapper.log >&2; exit 1; }
	sleep 0.1
done
echo "the mapper was not ready in 10 s; see .run/mapper.log" >&2
exit 1
