#!/bin/bash
# Usage: dist.sh LDFLAGS OS/ARCH...
# Builds vic-machine and vic for each platform, their man page and completion scripts for shells, and puts
# them with the boot images, the hub (programs, unit, container image, OVA) and checksums into
# build/dist: as files, and all together as an archive.
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
	echo "vic-machine and vic for $platform"
	for program in vic-machine vic; do
		GOOS=$os GOARCH=$arch go build -trimpath -ldflags "$ldflags" -o "$out/$program-$os-$arch$suffix" "./bin/$program"
	done
done
build/bin/vic-machine generate man >"$out/man/man8/vic-machine.8"
build/bin/vic-machine generate reference >"$out/vic-machine-reference.md"
build/bin/vic-machine generate bash >"$out/completion/vic-machine.bash"
build/bin/vic-machine generate zsh >"$out/completion/_vic-machine"
build/bin/vic-machine generate fish >"$out/completion/vic-machine.fish"
build/bin/vic-machine generate powershell >"$out/completion/vic-machine.ps1"
cp -L build/iso/appliance.iso build/iso/bootstrap.iso build/iso/hub.iso "$out/"
version=$(build/bin/vic-machine version | awk '{ print $NF }')
mkdir -p "$out/hub"
cp build/bin/vic-hub build/bin/vic-auth-local build/bin/vic-auth-ldap build/bin/vic-auth-oidc build/bin/vic-auth-vsphere build/bin/vic-replicate-oci build/bin/vic-scan-osv build/bin/vic-scan-harbor "$out/hub/"
cp conf/hub.toml contrib/systemd/vic-hub.service "$out/hub/"
cp contrib/systemd/vic-hub.sysusers "$out/hub/vic-hub.conf"
go run ./contrib/pack -version "$version" -hub-image "$out/hub/vic-hub-image.tar" -hub-ova "$out/hub/vic-hub.ova"
(cd "$out" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs -d '\n' sha256sum >SHA256SUMS)
archive=vic-${version//[^A-Za-z0-9._-]/_}.tar.gz
# The same files give the same archive.
tar -c --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --transform "s,^\\./,${archive%.tar.gz}/," -C "$out" \
	$(cd "$out" && find . -type f | sort) | gzip -n -1 >"build/$archive"
mv "build/$archive" "$out/"
(cd "$out" && sha256sum "$archive" >"$archive.sha256")
echo "$out: $(find "$out" -type f | wc -l) files, checksums in SHA256SUMS"
