#!/bin/bash
# Generates the protocol code aside and compares it with what is in the tree.
set -euo pipefail
cd "$(dirname "$0")/../.."

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
build/tools/buf generate -o "$fresh"
status=0
while IFS= read -r file; do
	diff -q "$fresh/$file" "$file" >/dev/null 2>&1 || {
		echo "out of date: $file" >&2
		status=1
	}
done < <(cd "$fresh" && find . -name '*.pb.go' | sed 's|^\./||' | sort)
((status == 0)) || echo "run: make gen" >&2
exit $status
