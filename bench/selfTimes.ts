import { basename } from 'node:path';

/** The part of a V8 CPU profile that is read here. */
export type CpuProfile = {
  nodes: {
    id: number;
    callFrame: { functionName: string; url: string; lineNumber: number };
  }[];
  samples: number[];
  /** Microseconds since the sample before. */
  timeDeltas: number[];
};

/** How long a function itself ran, without what it called. */
export type SelfTime = {
  /** The npm package, the folder of ours, `node` or what V8 does besides. */
  owner: string;
  name: string;
  /** File and line. */
  place: string;
  selfMs: number;
};

/** The self times of a profile by function; idle time is left out. */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): SelfTime[] {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const found = new Map<string, SelfTime>();
  for (const [i, id] of samples.entries()) {
    const frame = frames.get(id);
    if (!frame || frame.functionName === '(idle)' || frame.url === 'node:inspector') continue;
    const { functionName: name, url, lineNumber } = frame;
    const place = url ? `${basename(url)}:${lineNumber + 1}` : '';
    const key = `${url} ${lineNumber} ${name}`;
    const time = found.get(key) ?? { owner: ownerOf(url, name), name, place, selfMs: 0 };
    time.selfMs += (timeDeltas[i] ?? 0) / 1000;
    found.set(key, time);
  }
  return [...found.values()];
}

function ownerOf(url: string, name: string): string {
  if (url.startsWith('node:')) return 'node';
  const installed = url.split('/node_modules/').at(-1);
  if (installed !== undefined && installed !== url) {
    const [scope = '', rest = ''] = installed.split('/');
    return scope.startsWith('@') ? `${scope}/${rest}` : scope;
  }
  if (url) return url.match(/\/((?:server|db|plugins|platform|bench)(?:\/[a-z]+)?)\//)?.[1] ?? url;
  return name.startsWith('(') ? name : 'v8 and node (native)';
}
