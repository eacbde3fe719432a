#!/bin/bash
# Removes all that make made, after `make down`.
set -euo pipefail
cd "$(dirname "$0")/../.."

names='vcenter.vic-lab.test'
if grep -q "$names" /etc/hosts; then
	# /etc/hosts may be a mount of its own: rewrite it in place.
	kept=$(grep -v "$names" /etc/hosts)
	sudo=()
	((EUID == 0)) || sudo=(sudo)
	printf '%s\n' "$kept" | "${sudo[@]}" tee /etc/hosts >/dev/null || echo "clean: the line with $names stays in /etc/hosts" >&2
fi
# The images' root file systems belong to root.
rm -rf build 2>/dev/null || sudo rm -rf build
