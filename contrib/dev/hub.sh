#!/bin/bash
# Usage: hub.sh up|down
# Starts a hub on this machine with users in a file, as `make hub` and `make up` do, or stops it. What it keeps is in
# HUB_DIR, build/hub unless it is given. Run again, up changes nothing. HUB_PORT is its port, 8443 unless it is given;
# BUILD is the folder with the programs in bin, build unless it is given.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${BUILD:-$PWD/build}
dir=${HUB_DIR:-$build/hub}
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
		! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || fail "port $port of 127.0.0.1 is taken by another program; stop it, or choose another: HUB_PORT=18443"
		plugin=$build/bin/vic-auth-local
		printf 'listen = "tcp://127.0.0.1:%s"\ndata = "%s/data"\n[tls]\nnames = [%s]\n[plugins]\ndir = "%s/plugins.d"\n[roles]\nauth = ["local"]\n[access]\nexamples = "vic"\n' \
			"$port" "$dir" "$names" "$dir" >"$dir/hub.toml"
		printf 'name = "local"\npath = "%s"\nsha256 = "%s"\nconfig = "%s/local.toml"\n' \
			"$plugin" "$(sha256sum <"$plugin" | cut -c1-64)" "$dir" >"$dir/plugins.d/local.toml"
		printf 'file = "%s/people/users.json"\n' "$dir" >"$dir/local.toml"
		setsid "$build/bin/vic-hub" serve --config "$dir/hub.toml" >>"$dir/hub.log" 2>&1 </dev/null &
		echo $! >"$dir/pid"
	fi
	# The example users come a moment after the hub is ready.
	for _ in $(seq 300); do
		[[ -d /proc/$(<"$dir/pid") ]] || fail "it did not start: $(tail -n 3 "$dir/hub.log")"
		[[ ! -f $dir/data/example-users ]] || ! ready || break
		sleep 0.1
	done
	[[ -f $dir/data/example-users ]] && ready || fail "it is not ready after 30 s; its log is $dir/hub.log"
	echo "the hub serves at https://127.0.0.1:$port, for VCHs of the lab at hub.vic-lab.test:$port; admin@local has the password in $dir/people/first-password"
	echo "example users: NAME@local and password (kept in $dir/data/example-users)"
	sed 's/^/  /' "$dir/data/example-users"
	echo "export VIC_HUB=https://127.0.0.1:$port VIC_HUB_CA=$dir/data/tls/ca.pem"
}

case ${1:-} in
up | down) "$1" ;;
*) fail "usage: hub.sh up|down" ;;
esac
