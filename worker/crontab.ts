/**
 * When jobs run by the clock, in graphile-worker's crontab format (UTC). Each
 * must be idempotent; `?fill=1h` makes up for runs missed in the last hour, once.
 */
export const crontab = '';
