#!/bin/bash
# Usage: cached.sh -i INPUT... -o OUTPUT... -- COMMAND...
#
# Runs a command that makes files below build/, unless what it would make is there: made by the same command
# from inputs of the same content (files, or folders without their tests), by the same version of Go. Times of
# files mean nothing, so that a fresh clone finds what another one made.
#
# What was made is kept twice: where it was made, with its key in build/cache/keys, and in the user's cache, for
# other clones: $VIC_CACHE, or vic in $XDG_CACHE_HOME or ~/.cache. VIC_CACHE=off, or a home that cannot be written
# to, does without. What nobody asked for in 30 days goes. The files in the cache are hard links to those in
# build/: who changes one replaces it.
set -euo pipefail
cd "$(dirname "$0")/../.."

inputs=() outputs=()
while [[ $1 != -- ]]; do
	case $1 in
	-i) inputs+=("$2") ;;
	-o) outputs+=("$2") ;;
	*)
		echo "cached.sh: $1 is neither -i, -o nor --" >&2
		exit 2
		;;
	esac
	shift 2
done
shift

contents() {
	for i in "${inputs[@]}"; do
		find "$i" -type f ! -name '*_test.go' | LC_ALL=C sort | xargs -d '\n' -r sha256sum
	done
}
key=$({
	printf '%s\n' "${outputs[@]}" "$*" "$(go version)" "$(uname -m)"
	contents
} | sha256sum | cut -c 1-32)

here=build/cache/keys/${outputs[0]//\//-}
if [[ -f $here && $(<"$here") == "$key" ]]; then
	there=1
	for o in "${outputs[@]}"; do [[ -e $o ]] || there=; done
	[[ -z $there ]] || exit 0
fi

cache=${VIC_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/vic}
[[ $cache != off ]] && mkdir -p "$cache" 2>/dev/null && [[ -w $cache ]] || cache=

link() { # link FROM TO: the same files in another folder, as hard links where that can be
	mkdir -p "$2"
	cp -al "$1" "$2/" 2>/dev/null || {
		rm -rf "${2:?}/$(basename "$1")"
		cp -a "$1" "$2/"
	}
}

# No file of the cache is written to: what was made before goes first.
rm -rf "${outputs[@]}" "$here"
if [[ -n $cache && -d $cache/$key ]]; then
	touch "$cache/$key"
	for o in "${outputs[@]}"; do link "$cache/$key/$o" "$(dirname "$o")"; done
	echo "${outputs[*]}: from $cache/$key"
else
	echo "making ${outputs[*]} (once for each change of what it is made from)"
	mkdir -p "$(dirname "${outputs[0]}")"
	"$@"
	for o in "${outputs[@]}"; do
		[[ -e $o ]] || {
			echo "cached.sh: $* has not made $o" >&2
			exit 1
		}
	done
	if [[ -n $cache ]]; then
		find "$cache" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} + || true
		new=$(mktemp -d "$cache/new-XXXXXX")
		for o in "${outputs[@]}"; do link "$o" "$new/$(dirname "$o")"; done
		# Another clone may have been quicker with the same.
		mv -T "$new" "$cache/$key" 2>/dev/null || rm -rf "$new"
	fi
fi
mkdir -p "$(dirname "$here")"
echo "$key" >"$here"
