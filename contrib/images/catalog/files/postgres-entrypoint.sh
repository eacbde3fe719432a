#!/bin/sh
# Makes a database cluster in $PGDATA when there is none, then runs the command. "init" makes the
# cluster and ends; the build of the image calls it so. A test image: every client is trusted.
set -e
: "${PGDATA:=/var/lib/postgresql/data}"
bin=/usr/lib/postgresql/15/bin

init() {
	mkdir -p "$PGDATA"
	chmod 0700 "$PGDATA"
	"$bin/initdb" --pgdata="$PGDATA" --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync
	cat >>"$PGDATA/postgresql.conf" <<-'CONF'

		# Of the image: reachable from the network, small enough for a machine of 256 MB.
		listen_addresses = '*'
		unix_socket_directories = '/run/postgresql'
		shared_buffers = 16MB
		dynamic_shared_memory_type = mmap
		jit = off
	CONF
	echo 'host all all all trust' >>"$PGDATA/pg_hba.conf"
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	init
fi
case "$1" in
init) exit 0 ;;
-*) set -- postgres "$@" ;;
esac
exec "$@"
