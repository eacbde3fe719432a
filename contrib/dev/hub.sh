#!/bin/bash
# Usage: hub.sh up|down
# Starts a hub on this machine with users in a file, as `make hub` and `make up` do, or stops it. What it keeps is in
# HUB_DIR, build/hub unless it is given. Run again, up changes nothing. HUB_PORT is its port, 8443 unless it is given;
# BUILD is the folder with the programs in bin, build unless it is given. LAB is the folder of a lab that is up: vCenter's
# users sign in too then, and VCENTER is its address, 127.0.0.1:8989 unless it is given.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${BUILD:-$PWD/build}
dir=${HUB_DIR:-$build/hub}
port=${HUB_PORT:-8443}
names='"hub.vic-lab.test", "localhost", "127.0.0.1"'
sources='"local"'

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

# plugin writes what the hub needs to know of one: its name, its kind (auth unless it is given), and where its own configuration is.
plugin() {
	local program=$build/bin/vic-${2:-auth}-$1
	printf 'name = "%s"\npath = "%s"\nsha256 = "%s"\nconfig = "%s/%s.toml"\n' \
		"$1" "$program" "$(sha256sum <"$program" | cut -c1-64)" "$dir" "$1" >"$dir/plugins.d/$1.toml"
}

# vsphere registers the hub at the lab's Single Sign-On, by the lab's administrator, and as a program that sends browsers there.
vsphere() {
	local host redirects=()
	[[ -f $dir/openid-secret ]] || (umask 077 && od -An -N20 -tx1 /dev/urandom | tr -d ' \n' >"$dir/openid-secret")
	printf 'server = "%s"\nca = "%s/tls/ca.pem"\ncertificate = "%s/sso.pem"\nrefresh = "1m"\n[openid]\nclient_id = "vic-hub"\nsecret_file = "%s/openid-secret"\n' \
		"${VCENTER:-127.0.0.1:8989}" "$LAB" "$dir" "$dir" >"$dir/vsphere.toml"
	VIC_SSO_USER=administrator@vsphere.local VIC_SSO_PASSWORD='VMware1!' "$build/bin/vic-auth-vsphere" register "$dir/vsphere.toml" >"$dir/register.log" 2>&1 ||
		fail "the hub cannot be registered at the lab's Single Sign-On: $(<"$dir/register.log")"
	for host in 127.0.0.1 localhost hub.vic-lab.test; do
		redirects+=(--redirect "https://$host:$port/c/oidc/callback")
	done
	VIC_LAB_CLIENT_SECRET=$(<"$dir/openid-secret") "$build/bin/vic-lab" sso client --dir "$LAB" "${redirects[@]}" vic-hub
	plugin vsphere
	sources='"local", "vsphere"'
}

up() {
	mkdir -p "$dir/plugins.d"
	if ! running; then
		! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || fail "port $port of 127.0.0.1 is taken by another program; stop it, or choose another: HUB_PORT=18443"
		[[ -z ${LAB:-} ]] || vsphere
		printf 'listen = "tcp://127.0.0.1:%s"\ndata = "%s/data"\n[tls]\nnames = [%s]\n[plugins]\ndir = "%s/plugins.d"\n[roles]\nauth = [%s]\nreplicate = ["oci"]\nscan = ["osv"]\n[access]\nexamples = "vic"\n' \
			"$port" "$dir" "$names" "$dir" "$sources" >"$dir/hub.toml"
		plugin local
		plugin oci replicate
		: >"$dir/oci.toml"
		plugin osv scan
		printf 'data = "%s/scan-osv"\n' "$dir" >"$dir/osv.toml"
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
	[[ ! -f $dir/plugins.d/vsphere.toml ]] ||
		echo "users of the lab's vCenter sign in too: administrator@vsphere.local (VMware1!) administers the hub; vic-lab user add makes others"
	echo "export VIC_HUB=https://127.0.0.1:$port VIC_HUB_CA=$dir/data/tls/ca.pem"
}

case ${1:-} in
up | down) "$1" ;;
*) fail "usage: hub.sh up|down" ;;
esac
