#!/bin/bash
# Runs the test runs that are named (unit, e2e), counts over all of them, and closes with the line
# "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/../.."

logs=build/test
mkdir -p "$logs"
status=0
passed=0 failed=0 skipped=0

count() { grep "\"Action\":\"$1\"" "$2" 2>/dev/null | grep -c '"Test":'; }

run() { # run NAME GO-TEST-ARGUMENTS...
	local name=$1 began=$SECONDS
	shift
	echo "== $name tests"
	rm -f "$logs/$name.json"
	build/tools/gotestsum --format pkgname --format-hide-empty-pkg --hide-summary skipped --jsonfile "$logs/$name.json" -- "$@" || {
		status=1
		# A package that does not build, or a panic, fails no test by name.
		(($(count fail "$logs/$name.json") > 0)) || failed=$((failed + 1))
	}
	passed=$((passed + $(count pass "$logs/$name.json")))
	failed=$((failed + $(count fail "$logs/$name.json")))
	skipped=$((skipped + $(count skip "$logs/$name.json")))
	echo "== $name tests took $((SECONDS - began)) s"
}

for name in "$@"; do
	case $name in
	unit)
		mapfile -t packages < <(go list ./... | grep -v -e /tests/e2e)
		run unit -timeout 10m "${packages[@]}"
		;;
	e2e)
		run e2e -timeout 40m -count=1 ${RUN:+-run "$RUN"} ./tests/e2e/...
		;;
	*)
		echo "test: no such run: $name" >&2
		exit 2
		;;
	esac
done

echo "$passed passed, $failed failed, $skipped skipped"
exit $status
