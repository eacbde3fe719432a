#!/bin/bash
# Usage: fuzz.sh [TARGET...]
# Runs each fuzz target for FUZZTIME (1m), one after the other, and closes with a line for each: executions, and whether
# it failed. Without arguments it runs all. What a target finds is kept in its package's testdata/fuzz, as a seed that the
# unit tests run from then on.
set -uo pipefail
cd "$(dirname "$0")/../.."

mkdir -p build/fuzz
status=0
while IFS=: read -r file name; do
	(($# == 0)) || [[ " $* " == *" $name "* ]] || continue
	log=build/fuzz/$name.log
	dir=$(dirname "$file") module=.
	[[ $dir != plugins/scan-osv/* ]] || module=plugins/scan-osv # a module of its own
	if go test -C $module -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-1m}" "./${dir#"$module"/}" >"$log" 2>&1; then
		result=ok
	else
		result="FAILED, see $log" status=1
	fi
	printf '%-28s %-34s %12s executions  %s\n' "$name" "$(dirname "$file")" \
		"$(grep -o 'execs: [0-9]*' "$log" | tail -n 1 | cut -d ' ' -f 2)" "$result"
done < <(grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed -E 's|^\./([^:]*):[0-9]+:func |\1:|' | sort)
exit $status
