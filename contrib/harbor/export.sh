#!/bin/bash
# Saves what vic-hub adopt --harbor reads of a Harbor's REST API. Needs curl and jq, and a system administrator of the Harbor.
#
#   HARBOR=https://harbor.example.com HARBOR_USER=admin HARBOR_PASSWORD_FILE=password contrib/harbor/export.sh FOLDER
#
# HARBOR_CA, if set, is a file with the authority of its certificate. FOLDER must not be there; it will hold no passwords.
set -euo pipefail

: "${HARBOR:?https://HOST of the Harbor}" "${HARBOR_USER:?a system administrator}" "${HARBOR_PASSWORD_FILE:?a file with the password}"
to=${1:?the folder to write}
mkdir "$to"

get() { # PATH?QUERY: the body; the password is not among the arguments that others see
	printf 'user = "%s:%s"\n' "$HARBOR_USER" "$(sed 's/[\\"]/\\&/g' "$HARBOR_PASSWORD_FILE")" |
		curl -fsS ${HARBOR_CA:+--cacert "$HARBOR_CA"} -K - "$HARBOR/api/v2.0$1"
}

list() { # FILE PATH?QUERY: all pages, FILE.json, FILE-2.json, ...
	local page=1 file
	mkdir -p "$(dirname "$to/$1")"
	while :; do
		file=$to/$1.json
		[ $page = 1 ] || file=$to/$1-$page.json
		get "$2$([[ $2 == *\?* ]] && echo '&' || echo '?')page=$page&page_size=100" >"$file"
		[ "$(jq length "$file")" = 100 ] || break
		page=$((page + 1))
	done
}

escaped() { jq -rn --arg s "$1" '$s | @uri'; }

list projects /projects
list quotas /quotas
list robots /robots
list labels '/labels?scope=g'
cat "$to"/projects*.json | jq -r '.[] | "\(.project_id) \(.name)"' | while read -r id name; do
	list "projects/$name/members" "/projects/$name/members"
	list "projects/$name/robots" "/robots?q=Level%3Dproject%2CProjectID%3D$id"
	list "projects/$name/labels" "/labels?scope=p&project_id=$id"
	list "projects/$name/immutabletagrules" "/projects/$name/immutabletagrules"
	list "projects/$name/repositories" "/projects/$name/repositories"
	cat "$to/projects/$name"/repositories*.json | jq -r '.[].name' | while read -r repo; do
		once=$(escaped "${repo#*/}")
		list "projects/$name/repositories/$once/artifacts" \
			"/projects/$name/repositories/$(escaped "$once")/artifacts?with_tag=true&with_label=true"
	done
done
