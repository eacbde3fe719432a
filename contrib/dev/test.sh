#!/bin/bash
# Usage: test.sh all|unit|e2e|soak
# Runs tests and closes with the minutes of each part, the slowest stories and the line "N passed, N failed, N skipped".
#
# all: what the tests need is installed and built; while the ISO images and the test images are made, the unit
# tests run; then come the stories. The limits of time here and in the tests end what hangs. They are so wide
# that no test fails because a machine is slow, or busy with something else.
set -uo pipefail
cd "$(dirname "$0")/../.."

logs=build/test
rm -rf "$logs"
mkdir -p "$logs/parts"
status=0
passed=0 failed=0 skipped=0

# part NAME COMMAND...: runs a part of the whole and writes down how many seconds it took.
part() {
	local name=$1 began=$SECONDS code=0
	shift
	"$@" || code=$?
	echo $((SECONDS - began)) >"$logs/parts/$name"
	return $code
}

# must NAME COMMAND...: a part without which there is nothing to test.
must() {
	part "$@" || {
		echo "test: $1 failed" >&2
		failed=$((failed + 1))
		finish 1
	}
}

count() { grep "\"Action\":\"$1\"" "$2" 2>/dev/null | grep -c '"Test":'; }

# gotests NAME GO-TEST-ARGUMENTS...: runs tests and counts them; those of another Go module if $module is its folder.
gotests() {
	local name=$1 json=$PWD/$logs/$1.json
	shift
	echo "== $name tests"
	part "$name" env -C "${module:-.}" "$PWD/build/tools/gotestsum" --format pkgname --format-hide-empty-pkg --hide-summary skipped --jsonfile "$json" -- "$@" || {
		status=1
		# A package that does not build, or a panic, fails no test by name.
		(($(count fail "$json") > 0)) || failed=$((failed + 1))
	}
	passed=$((passed + $(count pass "$json")))
	failed=$((failed + $(count fail "$json")))
	skipped=$((skipped + $(count skip "$json")))
}

unit() {
	local packages
	mapfile -t packages < <(go list ./... | grep -v -e /tests/e2e)
	gotests unit -timeout 40m "${packages[@]}"
	module=plugins/scan-osv gotests unit-scan-osv -timeout 20m ./...
}

# The stories are counted each time: what they drive is not what Go's cache of results looks at.
stories() { gotests stories -timeout 85m -count=1 ${RUN:+-run "$RUN"} ./tests/e2e/...; }

soak() {
	export VIC_SOAK=1
	local packages
	mapfile -t packages < <(grep -rl --include='*_test.go' VIC_SOAK . | xargs -n 1 dirname | sort -u | grep -v -e tests/e2e)
	((${#packages[@]} == 0)) || gotests soak-unit -timeout 3h -count=1 -run "${RUN:-Soak}" "${packages[@]}"
	gotests soak-stories -timeout 5h -count=1 -run "${RUN:-Soak}" ./tests/e2e/...
}

# images makes what the stories need; its output waits in a file, since the unit tests print meanwhile.
images() {
	local code=0
	{ part iso make --no-print-directory iso && part images make --no-print-directory images e2e-tools; } >"$logs/images.log" 2>&1 || code=$?
	return $code
}

everything() {
	must deps contrib/dev/deps.sh tests
	must build make --no-print-directory build build/tools/gotestsum
	images &
	local images=$!
	unit
	wait $images || {
		cat "$logs/images.log"
		failed=$((failed + 1))
		finish 1
	}
	cat "$logs/images.log"
	stories
}

minutes() { awk -v s="$1" 'BEGIN { printf "%.1f", s / 60 }'; }

# finish STATUS: prints what was found out, and ends.
finish() {
	local p line=
	if [[ -s $logs/slowest-stories ]]; then
		echo "the slowest stories, each beside others:"
		cat "$logs/slowest-stories"
	fi
	for p in deps build iso images unit unit-scan-osv stories soak-unit soak-stories; do
		[[ ! -f $logs/parts/$p ]] || line+="$p $(minutes "$(<"$logs/parts/$p")"), "
	done
	echo "minutes: ${line}all $(minutes $SECONDS) (iso and images beside the unit tests)"
	echo "$passed passed, $failed failed, $skipped skipped"
	exit "$1"
}

case ${1:-} in
all) everything ;;
unit) unit ;;
e2e) stories ;;
soak) soak ;;
*)
	sed -n '2,3p' "$0" >&2
	exit 2
	;;
esac
finish $status
