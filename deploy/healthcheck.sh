#!/bin/sh
# The container's health: whether the API answers. The worker and the migration
# listen nowhere; they are healthy for as long as they run.
#
#   healthcheck.sh [FILE]   FILE holds the command line of the container's first process
set -eu
command_line=$(tr '\0' ' ' <"${1:-/proc/1/cmdline}")
case $command_line in
  *server/main.ts* | *entrypoint.sh\ serve*) ;;
  *) exit 0 ;;
esac
exec node -e '
  fetch(`http://127.0.0.1:${process.env.PORT || 8080}/healthz`).then(
    ({ ok }) => process.exit(ok ? 0 : 1),
    () => process.exit(1),
  );
'
