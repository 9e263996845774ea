import { type Draw, pick } from './generator.ts';

/**
 * What has been seen in answers, of whichever organization: ids, cursors, times and texts. Operations
 * are made of it, so a caller asks for what belongs to others as often as for their own.
 */
export class Knowledge {
  readonly cursors: string[] = [];
  readonly times: string[] = [];
  readonly texts: string[] = [];
  readonly uuids: string[] = [];
  /** Names of the object types that an answer held. */
  readonly types = new Set<string>();
  /** Node ids by type. */
  readonly #ids = new Map<string, string[]>();
  readonly #seen = new Set<string>();

  /** Remembers what an answer holds. */
  learn(value: unknown, name = ''): void {
    if (Array.isArray(value)) {
      for (const each of value) this.learn(each, name);
    } else if (typeof value === 'object' && value !== null) {
      const { __typename: type, id } = value as { __typename?: string; id?: unknown };
      if (type) this.types.add(type);
      if (type && typeof id === 'string') this.#learnId(type, id);
      for (const [key, inner] of Object.entries(value)) if (key !== 'id') this.learn(inner, key);
    } else if (typeof value === 'string' && name !== '__typename') this.#learnText(value, name);
  }

  /** A node id: of the type that the place asks for, mostly; known, invented or of another type. */
  id(draw: Draw, about: string): string {
    const types = [...this.#ids.keys()];
    const words = about.toLowerCase();
    const fitting = types.filter((type) => words.includes(type.toLowerCase()));
    const type = pick(draw, draw() < 0.85 && fitting.length > 0 ? fitting : types);
    const known = pick(draw, this.#ids.get(type) ?? ['WyJRdWVyeSJd']);
    const chance = draw();
    if (chance < 0.8) return known;
    return chance < 0.95
      ? strangerOf(known, draw)
      : pick(draw, ['', 'nonsense', 'W10=', 'WyJVc2VyIl0=']);
  }

  /** All ids that are known of a type. */
  idsOf(type: string): readonly string[] {
    return this.#ids.get(type) ?? [];
  }

  get idTypes(): string[] {
    return [...this.#ids.keys()];
  }

  #learnId(type: string, id: string): void {
    if (this.#seen.has(id)) return;
    this.#seen.add(id);
    const ids = this.#ids.get(type) ?? [];
    this.#ids.set(type, ids);
    keep(ids, id);
    for (const part of decodeId(id))
      if (typeof part === 'string' && uuid.test(part)) keep(this.uuids, part);
  }

  #learnText(text: string, name: string): void {
    if (this.#seen.has(text)) return;
    this.#seen.add(text);
    if (/cursor/i.test(name)) keep(this.cursors, text);
    else if (/^\d{4}-\d\d-\d\dT/.test(text)) keep(this.times, text);
    else if (text.length < 200) keep(this.texts, text);
  }
}

/** As much as is worth drawing from; what is newer takes the place of what is old. */
const capacity = 500;

function keep(list: string[], value: string): void {
  if (list.length < capacity) list.push(value);
  else list[(value.charCodeAt(value.length >> 1) * 7) % capacity] = value;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** What a node id is made of: the type, and the key. */
export function decodeId(id: string): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(id, 'base64').toString('utf8'));
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}

/** An id of the same type and shape that nothing has. */
export function strangerOf(id: string, draw: Draw): string {
  const [type, ...key] = decodeId(id);
  const other = key.map((part) =>
    typeof part === 'string'
      ? part.replace(/[0-9a-z](?=[^-]*$)|(?<=.{20})[0-9a-f]/g, () =>
          Math.floor(draw() * 16).toString(16),
        )
      : part,
  );
  return Buffer.from(JSON.stringify([type, ...other])).toString('base64');
}
