# Runs one Postgres server for exactly as long as its owner lives.
#
#   sh -s RUN_DIR POSTGRES ARGUMENTS… <guard.sh 3<pipe
#
# The owner, a Node process, holds the other end of the pipe on descriptor 3. However the owner
# ends, kill -9 included, the kernel closes its end, and the read below returns. Then the server
# gets a fast shutdown, and RUN_DIR (its socket; for an ephemeral cluster its data too) is removed.

run_dir=$1
shift

"$@" 3<&- &
server=$!

# signal_and_wait SIGNAL TENTHS: succeeds once the server is gone.
signal_and_wait() {
  kill -s "$1" "$server" 2>/dev/null || return 0
  tenths=$2
  while [ "$tenths" -gt 0 ]; do
    sleep 0.1
    kill -0 "$server" 2>/dev/null || return 0
    tenths=$((tenths - 1))
  done
  return 1
}

# A process of its own, so that the server is stopped even if this shell is killed.
(
  read -r _ <&3
  # Fast shutdown, then immediate shutdown (recovery at the next start), then the kernel.
  signal_and_wait INT 100 || signal_and_wait QUIT 30 || kill -s KILL "$server"
) &
watcher=$!
exec 3<&-

trap 'kill -s INT "$server"' HUP INT TERM
wait "$server"
status=$?
# A trapped signal ends `wait` early; the server's own status is the one that counts.
while kill -0 "$server" 2>/dev/null; do
  wait "$server"
  status=$?
done

kill "$watcher" 2>/dev/null

# After a crash the server's children may still be writing; they notice and leave within moments.
tries=50
while ! rm -rf "$run_dir" 2>/dev/null && [ "$tries" -gt 0 ]; do
  sleep 0.1
  tries=$((tries - 1))
done
exit "$status"
