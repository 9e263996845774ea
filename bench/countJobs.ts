/** What a contestant of `bench jobs` tells when it has done all its jobs. */
export type JobsDone = {
  /** From the start of the first job to that of the last. */
  seconds: number;
  /** CPU of the contestant meanwhile. */
  cpuSeconds: number;
};

/** Counts the jobs of this process up to BENCH_JOBS, and tells the parent when that many began. */
export function countJobs(): () => void {
  const jobs = Number(process.env.BENCH_JOBS);
  let begun = 0;
  let startedMs = 0;
  let cpu = process.cpuUsage();
  return () => {
    begun += 1;
    if (begun === 1) {
      startedMs = performance.now();
      cpu = process.cpuUsage();
    }
    if (begun !== jobs) return;
    const { user, system } = process.cpuUsage(cpu);
    const done: JobsDone = {
      seconds: (performance.now() - startedMs) / 1000,
      cpuSeconds: (user + system) / 1e6,
    };
    process.send?.(done);
  };
}
