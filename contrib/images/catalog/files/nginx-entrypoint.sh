#!/bin/sh
# Runs the command of the image; here is the place for what must happen before nginx starts.
set -e
if [ "$1" = nginx ]; then
	nginx -t -q
fi
exec "$@"
