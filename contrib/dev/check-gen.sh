#!/bin/bash
# Generates the protocol code and the documents that are made from code aside and compares them with what is in the tree.
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
go test -count=1 -run '^TestPageTellsEvery' ./core/dockerapi -strict || status=1
for document in reference:vic-machine-reference.md openapi:vic-machine-openapi.json; do
	go run ./bin/vic-machine generate "${document%%:*}" >"$fresh/document"
	cmp -s "$fresh/document" "docs/${document#*:}" || {
		echo "out of date: docs/${document#*:}" >&2
		status=1
	}
done
contrib/dev/portal.sh "$fresh/portal"
diff -rq "$fresh/portal" core/portal/site >&2 || {
	echo "out of date: core/portal/site" >&2
	status=1
}
((status == 0)) || echo "run: make gen" >&2
exit $status
