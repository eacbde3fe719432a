#!/bin/bash
# Usage: portal.sh [FOLDER]
# Builds the hub's portal into FOLDER, core/portal/site if none is named: makes the types of the API, checks the sources
# against them, and bundles. It needs npm, which contrib/dev/deps.sh gen installs; nothing else of the product does.
set -euo pipefail
cd "$(dirname "$0")/../.."
ui=core/portal/ui

contrib/dev/deps.sh gen
lock=$(sha256sum $ui/package-lock.json | cut -c 1-64)
if [[ ! -f $ui/node_modules/.lock || $(<$ui/node_modules/.lock) != "$lock" ]]; then
	npm ci --prefix $ui --ignore-scripts --no-audit --no-fund --loglevel=error
	echo "$lock" >$ui/node_modules/.lock
fi
mkdir -p build/tools
go build -o build/tools/portal ./contrib/portal
build/tools/portal
$ui/node_modules/.bin/tsc -p $ui
build/tools/portal -out "${1:-core/portal/site}"
