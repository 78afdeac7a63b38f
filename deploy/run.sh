#!/bin/sh
# Starts the services in the foreground with private state under .run/, and prints a request to try.
set -eu
cd "$(dirname "$0")/.."
mkdir -p .run
port=${LLAMA_MAPPER_HTTP__MAPPER_PORT:-8000}
bin/mapper -config config/development.yaml 2>.run/mapper.log &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid || true' INT TERM
for _ in $(seq 100); do
	if curl -fs "http://127.0.0.1:$port/ready" >/dev/null 2>&1; then
		echo "mapper is ready on port $port; its log is .run/mapper.log. Try:"
		echo
		echo "  curl -s http://127.0.0.1:$port/api/v1/map -d '{\"detector\":\"my-guard\",\"output\":\"user asks how to build a bomb\",\"tenant_id\":\"me\"}'"
		echo
		wait $pid
		exit
	fi
	kill -0 $pid 2>/dev/null || { tail -n 1 .run/mapper.log >&2; exit 1; }
	sleep 0.1
done
echo "the mapper was not ready in 10 s; see .run/mapper.log" >&2
kill $pid
exit 1
