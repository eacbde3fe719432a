#!/bin/bash
# Starts the lab, makes the VCH unless it is there, and runs a container as proof. `make up` calls
# this when everything is built. Run again, it brings up what is down and changes nothing else.
set -euo pipefail
cd "$(dirname "$0")/../.."

vch=${VCH:-vch1}
port=${DOCKER_PORT:-2376}
admin=${ADMIN_PORT:-2378}
build=$PWD/build
hub=${HUB_DIR:-$build/hub}
certs=$build/$vch
user=administrator@vsphere.local
password='VMware1!' # the lab's

start=$(date +%s%N)
say() {
	local ms=$((($(date +%s%N) - start) / 1000000))
	printf '%6d.%d s  %s\n' $((ms / 1000)) $((ms % 1000 / 100)) "$*"
}
fail() {
	echo "up: $*" >&2
	echo "up: more is in build/lab/lab.log and in the endpoint VM's console, build/lab/datastores/datastore1/$vch/$vch/console.log" >&2
	exit 1
}
lab() { "$build/bin/vic-lab" "$@"; }
docker_vch() { DOCKER_HOST=tcp://127.0.0.1:$port DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$certs docker "$@"; }

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A forward that this lab has made already may hold a port.
forwards=$(lab forward ls 2>/dev/null || true)
for p in "$port" "$admin"; do
	if port_taken "$p" && ! grep -q ":$p\$" <<<"$forwards"; then
		fail "port $p of 127.0.0.1 is taken by another program; stop it, or choose others: make up DOCKER_PORT=12376 ADMIN_PORT=12378"
	fi
done

lab up >/dev/null || fail "the lab did not start"
say "the lab is up"
status=$(lab status --json) || fail "the lab does not answer"
target=$(sed -n 's|.*"vcenter": "https://\([^/]*\)/sdk".*|\1|p' <<<"$status")
mkdir -p "$hub"
(umask 077 && LAB=$build/lab VCENTER=127.0.0.1:${target##*:} contrib/dev/hub.sh up >"$hub/up.txt") ||
	fail "the hub did not start; its log is $hub/hub.log"
say "the hub is up"

thumbprint=$(sed -n 's/.*"thumbprint": "\([^"]*\)".*/\1/p' <<<"$status")
[[ -n $target && -n $thumbprint ]] || fail "vic-lab status shows no vCenter: $status"
getent hosts "${target%%:*}" >/dev/null || fail "${target%%:*} does not resolve; as root: echo '127.0.0.1 vcenter.vic-lab.test registry.vic-lab.test' >>/etc/hosts"

access=(--target "$target" --user "$user" --password "$password" --thumbprint "$thumbprint")
vchs=$("$build/bin/vic-machine" ls "${access[@]}") || fail "vic-machine cannot list the VCHs"
if grep -qw -- "$vch" <<<"$vchs"; then
	say "the VCH $vch is there"
	version=$("$build/bin/vic-machine" version | awk '{print $NF}')
	other=false
	grep -w -- "$vch" <<<"$vchs" | grep -qwF -- "$version" || {
		other=true
		say "it was made by another build than $version; to make it anew: make down && rm -rf build/lab build/$vch && make up"
	}
	# One that trusts the hub already is left as it is; vic-machine changes none of another version.
	"$build/bin/vic-machine" configure "${access[@]}" --name "$vch" --registry-ca "$hub/data/tls/ca.pem" >"$build/configure.log" 2>&1 ||
		$other || fail "the VCH cannot be told to trust the hub: $(tail -n 5 "$build/configure.log")"
else
	say "making the VCH $vch"
	# What it prints last is for clients on the lab's own network; here the forward below counts.
	"$build/bin/vic-machine" create "${access[@]}" \
		--compute-resource cluster1 --image-store datastore1 --volume-store "datastore1/$vch-volumes:default" \
		--bridge-network bridge --public-network public \
		--name "$vch" --tls-cname 127.0.0.1 --cert-path "$certs" --endpoint-memory 1024 --endpoint-cpu 2 \
		--registry-mirror http://registry.vic-lab.test:5000 --insecure-registry registry.vic-lab.test:5000 --registry-ca "$hub/data/tls/ca.pem" \
		--appliance-iso "$build/iso/appliance.iso" --bootstrap-iso "$build/iso/bootstrap.iso" --timeout 5m --no-reach-check \
		2>&1 | tee "$build/create.log" | grep -E '^ +[0-9.]+s ' || {
		cat "$build/create.log" >&2
		fail "vic-machine could not make the VCH"
	}
	say "the VCH is made"
fi

forwards=$(lab forward ls) || fail "vic-lab does not list its forwards"
for f in "$port:2376" "$admin:2378"; do
	grep -q "^$vch .*:${f%%:*}\$" <<<"$forwards" || lab forward add "$vch" "127.0.0.1:$f" || fail "no forward of port ${f%%:*}"
done

deadline=$((SECONDS + 180))
until version=$(docker_vch version --format '{{.Server.Version}}' 2>&1); do
	((SECONDS < deadline)) || fail "the VCH does not serve after 180 s: $version"
	sleep 0.2
done
say "the VCH serves (Docker API of $version)"

proof=$(docker_vch run --rm --quiet busybox echo 'hello from a container VM') || fail "the container did not run"
say "docker run --rm busybox echo: $proof"

cat "$hub/up.txt"
# With the Makefile's PATH this finds build/bin too; the user's shell may not.
[[ $(command -v docker) != "$build/bin/docker" ]] || echo "export PATH=\$PATH:$build/bin"
echo "export VIC_HOST=tcp://127.0.0.1:$admin # for build/bin/vic"
echo "export DOCKER_HOST=tcp://127.0.0.1:$port DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$certs"
