#!/bin/sh
# Starts one of the three processes. `exec` makes it the container's first process,
# so that a signal to the container reaches it and not a shell.
set -eu
cd "$(dirname "$0")/.."

process=${1:-serve}
[ "$#" -eq 0 ] || shift
case $process in
  serve) MALLOC_ARENA_MAX=2 exec node --max-semi-space-size=32 --heap-growing-percent=60 --no-allocation-site-pretenuring server/main.ts "$@" ;;
  worker) exec node worker/main.ts "$@" ;;
  migrate) exec node db/migrateCommand.ts "$@" ;;
esac
echo "There is no process \"$process\". There are: serve, worker, migrate." >&2
exit 64
