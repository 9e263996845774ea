/**
 * When jobs run by the clock, in graphile-worker's crontab format (UTC). Such a job
 * belongs to no organization, and each is idempotent.
 *
 * `jobKey` keeps one of a kind waiting at most, and `fill` makes up for runs missed
 * in that time: together, all that were missed are caught up by one run. Returning
 * the jobs of dead workers is not here: it cannot wait for a minute, and every
 * heartbeat does it.
 */
export const crontab = `
# Heartbeats of dead workers and names of queues that are not used, every hour.
17 * * * * queue__purge ?fill=1d&jobKey=queue__purge&max=5
`;
