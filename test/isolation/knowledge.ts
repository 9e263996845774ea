import { type Draw, pick } from './generator.ts';

/**
 * What has been seen in answers, of whichever organization: ids, cursors, times and texts. Operations
 * are made of it, so a caller asks for what belongs to others as often as for their own.
 */
export class Knowledge {
  readonly times: string[] = [];
  readonly texts: string[] = [];
  readonly uuids: string[] = [];
  /** Names of the object types that an answer held. */
  readonly types = new Set<string>();
  /** Node ids by type. */
  readonly #ids = new Map<string, string[]>();
  /** Cursors by the field and the type of their connection: another has another order. */
  readonly #cursors = new Map<string, string[]>();
  /** What a caller was shown of them, by caller and type. */
  readonly #shown = new Map<string, string[]>();
  /** What a caller's mutations were about, likewise, the newest last. */
  readonly #made = new Map<string, string[]>();
  readonly #seen = new Set<string>();

  /**
   * Remembers what an answer holds.
   * @param asker whom it was given to
   */
  learn(value: unknown, asker?: string, { isMutation = false } = {}): void {
    this.#learn(value, { name: '', rows: '', asker, maker: isMutation ? asker : undefined });
  }

  #learn(value: unknown, at: At): void {
    if (Array.isArray(value)) {
      for (const each of value) this.#learn(each, at);
    } else if (typeof value === 'object' && value !== null) {
      const { __typename: type, id } = value as { __typename?: string; id?: unknown };
      const rows = type?.endsWith('Connection') ? `${at.name} ${type}` : at.rows;
      // What hangs below what was made is of others.
      const maker = type && !/(?:Payload|Edge)$/.test(type) ? undefined : at.maker;
      if (type) this.types.add(type);
      if (type && typeof id === 'string') {
        this.#learnId(type, id);
        if (at.maker !== undefined) remember(this.#made, `${at.maker} ${type}`, id, 5);
        if (at.asker !== undefined) remember(this.#shown, `${at.asker} ${type}`, id, 100);
      }
      for (const [name, inner] of Object.entries(value)) {
        if (name !== 'id') this.#learn(inner, { ...at, name, rows, maker });
      }
    } else if (typeof value === 'string' && at.name !== '__typename') this.#learnText(value, at);
  }

  /** Cursors of the connection that the place belongs to; all without a place, or where none is known. */
  cursorsOf(about = ''): string[] {
    const fitting = [...this.#cursors].filter(([rows]) => rows !== '' && about.includes(rows));
    const some = (fitting.length > 0 ? fitting : [...this.#cursors]).flatMap(([, list]) => list);
    return some.length > 0 ? some : ['W10='];
  }

  /**
   * A node id: of the type that the place asks for, mostly; known, invented or of another type.
   * @param asker for what this caller has made lately or was shown, where there is something
   */
  id(draw: Draw, about: string, asker?: string): string {
    const types = [...this.#ids.keys()];
    const fitting = fittingTypes(types, about);
    const [first, second] = draw() < 0.6 ? [this.#made, this.#shown] : [this.#shown, this.#made];
    for (const source of [first, second]) {
      const own = fitting.flatMap((each) => source.get(`${asker} ${each}`) ?? []);
      if (own.length > 0) return pick(draw, own);
    }
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
    if (!this.#isNew(id)) return;
    const ids = this.#ids.get(type) ?? [];
    this.#ids.set(type, ids);
    keep(ids, id);
    for (const part of decodeId(id))
      if (typeof part === 'string' && uuid.test(part)) keep(this.uuids, part);
  }

  #learnText(text: string, { name, rows }: At): void {
    // A body or a prompt is nothing to ask with.
    if (text.length >= 2_000 || !this.#isNew(text)) return;
    if (/cursor/i.test(name)) {
      const cursors = this.#cursors.get(rows) ?? [];
      this.#cursors.set(rows, cursors);
      keep(cursors, text);
    } else if (/^\d{4}-\d\d-\d\dT/.test(text)) keep(this.times, text);
    else if (text.length < 200) keep(this.texts, text);
  }

  /** Whether this was not seen lately. A hundred thousand answers are more than memory holds. */
  #isNew(seen: string): boolean {
    if (this.#seen.has(seen)) return false;
    if (this.#seen.size >= 100 * capacity) this.#seen.clear();
    this.#seen.add(seen);
    return true;
  }
}

/** Where in an answer something stands. */
type At = { name: string; rows: string; asker: string | undefined; maker: string | undefined };

function remember(known: Map<string, string[]>, place: string, id: string, size: number): void {
  const others = (known.get(place) ?? []).filter((each) => each !== id);
  known.set(place, [...others.slice(1 - size), id]);
}

/** What the last word of a place names, else all that its words do. */
export function fittingTypes(types: readonly string[], about: string): string[] {
  const words = about.toLowerCase();
  const last = words.slice(words.lastIndexOf(' ') + 1);
  const named = types.filter((type) => type.toLowerCase() === (people.test(last) ? 'user' : last));
  return named.length > 0 ? named : types.filter((type) => words.includes(type.toLowerCase()));
}

const people = /^(owner|actor|user)$/;

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
