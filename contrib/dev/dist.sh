#!/bin/bash
# Usage: dist.sh LDFLAGS OS/ARCH...
# Builds vic-machine for each platform, its man page and the shells' completion scripts, and puts them
# with the boot images and checksums into build/dist.
set -euo pipefail
cd "$(dirname "$0")/../.."
ldflags=$1
shift
out=build/dist
rm -rf "$out"
mkdir -p "$out/man/man8" "$out/completion"
for platform in "$@"; do
	os=${platform%/*} arch=${platform#*/} suffix=
	[ "$os" != windows ] || suffix=.exe
	echo "vic-machine for $platform"
	GOOS=$os GOARCH=$arch go build -trimpath -ldflags "$ldflags" -o "$out/vic-machine-$os-$arch$suffix" ./bin/vic-machine
done
build/bin/vic-machine generate man >"$out/man/man8/vic-machine.8"
build/bin/vic-machine generate reference >"$out/vic-machine-reference.md"
build/bin/vic-machine generate bash >"$out/completion/vic-machine.bash"
build/bin/vic-machine generate zsh >"$out/completion/_vic-machine"
build/bin/vic-machine generate fish >"$out/completion/vic-machine.fish"
build/bin/vic-machine generate powershell >"$out/completion/vic-machine.ps1"
cp build/bin/vic "$out/vic-linux-$(go env GOARCH)"
cp -L build/iso/appliance.iso build/iso/bootstrap.iso "$out/"
(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs -d '\n' sha256sum >SHA256SUMS)
echo "$out: $(find "$out" -type f | wc -l) files, checksums in SHA256SUMS"
