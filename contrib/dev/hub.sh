#!/bin/bash
# Usage: hub.sh up|down
# Starts a hub on this machine with users in a file, as `make hub` does, or stops it. What it keeps is in build/hub.
# Run again, up changes nothing. HUB_PORT is its port, 8443 unless it is given.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=$PWD/build
dir=$build/hub
port=${HUB_PORT:-8443}
names='"hub.vic-lab.test", "localhost", "127.0.0.1"'

fail() {
	echo "hub: $*" >&2
	exit 1
}

# running says whether the process of the last up is there, and is a hub.
running() {
	local pid
	pid=$(cat "$dir/pid" 2>/dev/null) && [[ $(readlink "/proc/$pid/exe" 2>/dev/null) == "$build/bin/vic-hub"* ]]
}

down() {
	running || return 0
	local pid
	pid=$(cat "$dir/pid")
	kill "$pid"
	for _ in $(seq 300); do
		[[ -d /proc/$pid ]] || break
		sleep 0.1
	done
	[[ ! -d /proc/$pid ]] || fail "process $pid does not end; its log is $dir/hub.log"
	rm -f "$dir/pid"
}

ready() { curl -fs --cacert "$dir/data/tls/ca.pem" "https://localhost:$port/readyz" >/dev/null 2>&1; }

up() {
	mkdir -p "$dir/plugins.d"
	if ! running; then
		plugin=$build/bin/vic-auth-local
		printf 'listen = "tcp://127.0.0.1:%s"\ndata = "%s/data"\n[tls]\nnames = [%s]\n[plugins]\ndir = "%s/plugins.d"\n[roles]\nauth = ["local"]\n' \
			"$port" "$dir" "$names" "$dir" >"$dir/hub.toml"
		printf 'name = "local"\npath = "%s"\nsha256 = "%s"\nconfig = "%s/local.toml"\n' \
			"$plugin" "$(sha256sum <"$plugin" | cut -c1-64)" "$dir" >"$dir/plugins.d/local.toml"
		printf 'file = "%s/people/users.json"\n' "$dir" >"$dir/local.toml"
		setsid "$build/bin/vic-hub" serve --config "$dir/hub.toml" >>"$dir/hub.log" 2>&1 </dev/null &
		echo $! >"$dir/pid"
	fi
	for _ in $(seq 300); do
		running || fail "it did not start: $(tail -n 3 "$dir/hub.log")"
		! ready || break
		sleep 0.1
	done
	ready || fail "it is not ready after 30 s; its log is $dir/hub.log"
	echo "hub: serves at https://localhost:$port; the user admin@local has the password in $dir/people/first-password"
	echo "export VIC_HUB=https://localhost:$port VIC_HUB_CA=$dir/data/tls/ca.pem"
}

case ${1:-} in
up | down) "$1" ;;
*) fail "usage: hub.sh up|down" ;;
esac
