/**
 * When jobs run by the clock, in graphile-worker's crontab format (UTC). Such a job
 * belongs to no organization, and each is idempotent.
 *
 * `fill` is the time between two runs, so that all that were missed while no worker
 * was there are caught up by one: the last of them. `jobKey` keeps one of a kind
 * waiting at most. Returning the jobs of dead workers is not here: it cannot wait
 * for a minute, and every heartbeat does it.
 */
export const crontab = `
# Every hour: heartbeats of dead workers, and names of queues that are not used.
17 * * * * queue__purge ?fill=1h&jobKey=queue__purge&max=5
# Every five minutes: events of Clerk that failed before. New ones have a job of their own.
*/5 * * * * clerk_events__apply ?jobKey=clerk_events__apply&max=5
# Every hour: the mirror against Clerk, where its secret key is set.
29 * * * * clerk__reconcile ?fill=1h&jobKey=clerk__reconcile&max=5
# Every day: events of Clerk that are long done.
41 3 * * * clerk_events__purge ?fill=1d&jobKey=clerk_events__purge&max=5
# Every five minutes: personal spaces of users who are gone, where that is due.
*/5 * * * * users__erase ?jobKey=users__erase&max=5
# Every night: partitions of the audit trail, made ahead and dropped when they are old.
41 3 * * * audit_events__partition ?fill=1d&jobKey=audit_events__partition&max=5
# Every five minutes: uploads that nobody finalized in time.
*/5 * * * * files__expire ?fill=1h&jobKey=files__expire&max=5
# Every hour: what the store and the files disagree about.
41 * * * * files__reconcile ?fill=2h&jobKey=files__reconcile&max=5
`;
