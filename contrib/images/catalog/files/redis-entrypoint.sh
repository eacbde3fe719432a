#!/bin/sh
# Options alone ("--maxmemory 64mb") are options of redis-server.
set -e
case "$1" in
-*) set -- redis-server /usr/local/etc/redis.conf "$@" ;;
esac
exec "$@"
