#!/bin/bash
# Refuses changes of the protocols that programs built before could not read: plugins and containers outlive an
# upgrade. The tree is compared with the last release; without one, with where the branch left main; on main, with
# the commit before. AGAINST=<commit> names another, for a change of a protocol that nobody has yet.
set -euo pipefail
cd "$(dirname "$0")/../.."

# base names the commit to compare with.
base() {
	local head main
	if [[ -n ${AGAINST:-} ]]; then
		echo "$AGAINST"
		return
	fi
	git describe --tags --abbrev=0 2>/dev/null && return
	head=$(git rev-parse HEAD)
	for branch in main origin/main; do
		main=$(git merge-base HEAD "$branch" 2>/dev/null) || continue
		[[ $main == "$head" ]] || {
			echo "$main"
			return
		}
	done
	git rev-parse --verify --quiet HEAD^ || echo "$head"
}

against=$(base)
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
git archive "$against" buf.yaml sdk/proto sdk/guest/linkv1 | tar -x -C "$before"
build/tools/buf breaking --against "$before" || {
	echo "the protocols differ from those of $against in a way that programs built with them cannot read" >&2
	exit 1
}
