#!/bin/bash
# Installs what is missing to build and run the lab, with "tests" what the tests drive besides, and with "gen" what
# generates the portal.
# Quick and offline when nothing is.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
need() { # need PACKAGE COMMAND-OR-FILE
	if [[ $2 == /* ]]; then
		[[ -e $2 ]] || missing+=("$1")
	else
		command -v "$2" >/dev/null || missing+=("$1")
	fi
}

if [[ ${1:-} == gen ]]; then
	need nodejs node
	need npm npm
else
	need qemu-system-x86 qemu-system-x86_64
	need qemu-utils qemu-img
	need isolinux /usr/lib/ISOLINUX/isolinux.bin
	need syslinux-common /usr/lib/syslinux/modules/bios/ldlinux.c32
	need xorriso xorriso
	need e2fsprogs mke2fs
	need mmdebstrap mmdebstrap
	need ca-certificates /etc/ssl/certs/ca-certificates.crt
	need git git
	if [[ ${1:-} == tests ]]; then
		need chromium chromium
		need python3 python3 # a scanner in another language
		# The hub's tests start a cluster of their own; Debian's is not used.
		compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
		need fonts-dejavu-core /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
	fi
	# A busybox that needs no libraries: the guest has none.
	if ! busybox 2>/dev/null | head -n 1 | grep -q BusyBox || ldd "$(command -v busybox)" >/dev/null 2>&1; then
		missing+=(busybox-static)
	fi
fi

if ((${#missing[@]})); then
	if ! command -v apt-get >/dev/null; then
		echo "deps: this machine has no apt-get; install what these Debian packages hold: ${missing[*]}" >&2
		exit 1
	fi
	sudo=()
	((EUID == 0)) || sudo=(sudo)
	echo "installing ${missing[*]}"
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	install() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; }
	if ! { "${sudo[@]}" apt-get update -q && install; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		echo "deps: could not install ${missing[*]}; the end of apt's output is above" >&2
		exit 1
	fi
fi

if ! command -v go >/dev/null; then
	echo "deps: no go command; install Go 1.26 or newer (https://go.dev/dl)" >&2
	exit 1
fi

if [[ ${1:-} != gen ]] && ! command -v docker >/dev/null && [[ ! -x build/bin/docker ]]; then
	echo "there is no docker command: it goes to build/bin"
	contrib/dev/cached.sh -i contrib/tools/docker -o build/bin/docker -- env CGO_ENABLED=0 GOFLAGS='-gcflags=github.com/docker/...=-lang=go1.24' \
		go -C contrib/tools/docker build -trimpath -ldflags '-s -w -X github.com/docker/cli/cli/version.Version=28.5.2' \
		-o ../../../build/bin/docker github.com/docker/cli/cmd/docker
fi
