#!/bin/sh
# packages.sh PACKAGE[:COMMAND]... installs the Debian packages that are missing when root, and else says what to
# install. A package with a command counts as there when the command is, whoever installed it.
set -eu
missing=
for want in "$@"; do
	package=${want%%:*}
	case $want in
	*:*) command -v "${want#*:}" >/dev/null || missing="$missing $package" ;;
	*) dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "please install first: sudo apt-get install -y$missing" >&2
	exit 1
fi
echo "installing$missing" >&2
log=$(mktemp)
# shellcheck disable=SC2086 # the packages are words
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	exit 1
fi
rm -f "$log"
