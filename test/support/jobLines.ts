import { crontab } from '../../worker/crontab.ts';

const byTheClock = new Set(
  [...crontab.matchAll(/^[^#\s]\S*(?: \S+){4} (\w+)/gm)].map(([, task]) => task),
);

/** Whether a line tells of a job that somebody added: the clock adds some to every worker, every five minutes. */
export function isJobLine({ msg, task }: Record<string, unknown>): boolean {
  return msg === 'job' && !byTheClock.has(String(task));
}
