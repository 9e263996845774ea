import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { signIn } from '../support/api.ts';
import { type FileGround, openFileGround, type Payload, put } from '../support/files.ts';

/** The life of a file, against a model of it: whatever is tried in whatever order. */

let ground: FileGround;
let strangers: Record<'a member' | 'another organization', string>;
beforeAll(async () => {
  ground = await openFileGround();
  await ground.startWorker();
  strangers = {
    'a member': await signIn({ user: 'user_bob', org: 'org_acme' }),
    'another organization': await signIn({ user: 'user_mallory', org: 'org_other', role: 'admin' }),
  };
});
afterAll(() => ground.close());

const right = Buffer.from('Sell more anvils.');
const wrong = Buffer.from('Sell less anvils.');
const runs = Number(process.env.FILE_MODEL_RUNS ?? 25);

type Bytes = 'none' | 'right' | 'wrong';
type Model = {
  status: 'PENDING' | 'FINALIZING' | 'READY' | 'REJECTED' | 'EXPIRED' | 'DELETED';
  error: string | null;
  /** What lies where it is uploaded. */
  incoming: Bytes;
  /** What lay there at some time since it was finalized: the worker may have found any of these. */
  found: Set<Bytes>;
  /** Whether something was put there since, the same bytes even: the worker may have read half of them. */
  isReplaced: boolean;
  isLate: boolean;
};
type Real = { id: string; upload: Payload };
type Command = fc.AsyncCommand<Model, Real>;

const isThere = ({ status }: Model) => status !== 'DELETED';
const errors = { none: 'UPLOAD_MISSING', wrong: 'UPLOAD_CHECKSUM_MISMATCH', right: null } as const;

/** What the API says of the file has to be what the model says; of one that is verified, what it may say. */
async function compare(model: Model, { id }: Real): Promise<void> {
  const { data } = await ground.api.request(
    ground.token,
    'query ($id: ID!) { file(id: $id) { status error downloadUrl { url } } }',
    { id },
  );
  if (!isThere(model)) return expect(data.file).toBeNull();
  if (model.status === 'FINALIZING' && data.file.status !== 'FINALIZING') settle(model, data.file);
  expect(data.file).toMatchObject({ status: model.status, error: model.error });
  expect(data.file.downloadUrl === null).toBe(model.status !== 'READY');
  if (model.status !== 'READY') return;
  const response = await fetch(data.file.downloadUrl.url);
  expect(Buffer.from(await response.arrayBuffer())).toEqual(right);
}

/** The file has come to rest: by what was there to be found. */
function settle(model: Model, { status, error }: { status: string; error: string | null }): void {
  expect(status).toMatch(/^(READY|REJECTED)$/);
  if (status === 'READY') expect(model.found).toContain('right');
  const [first] = model.found;
  if (!model.isReplaced && first) expect(error).toBe(errors[first]);
  Object.assign(model, { status, error });
}

class Put implements Command {
  readonly what: 'right' | 'wrong';
  constructor(what: 'right' | 'wrong') {
    this.what = what;
  }
  check = () => true;
  async run(model: Model, real: Real) {
    if (model.status === 'FINALIZING') {
      model.found.add(this.what);
      model.isReplaced = true;
    }
    const response = await put(real.upload, this.what === 'right' ? right : wrong);
    expect(response.status).toBe(200);
    model.incoming = this.what;
    await compare(model, real);
  }
  toString = () => `put ${this.what} bytes`;
}

class Finalize implements Command {
  readonly waits: boolean;
  constructor(waits: boolean) {
    this.waits = waits;
  }
  check = isThere;
  async run(model: Model, real: Real) {
    await ground.mutate('finalizeUpload', { id: real.id }, 'file { id }');
    if (model.status === 'PENDING') {
      if (model.isLate) Object.assign(model, expired);
      else
        Object.assign(model, {
          status: 'FINALIZING',
          found: new Set([model.incoming]),
          isReplaced: false,
        });
    }
    if (this.waits) {
      const file = await ground.settled(real.id);
      if (model.status === 'FINALIZING') settle(model, file);
    }
    await compare(model, real);
  }
  toString = () => (this.waits ? 'finalize, and wait' : 'finalize');
}

/** Its time is over, and it is not swept yet. */
class PassTime implements Command {
  check = ({ status }: Model) => status === 'PENDING';
  async run(model: Model, real: Real) {
    await ground.makeLate(real.id);
    model.isLate = true;
    await compare(model, real);
  }
  toString = () => 'its time is over';
}

class Expire implements Command {
  check = () => true;
  async run(model: Model, real: Real) {
    await ground.run('files__expire');
    if (model.status === 'PENDING' && model.isLate) Object.assign(model, expired);
    await compare(model, real);
  }
  toString = () => 'expire';
}
const expired = { status: 'EXPIRED', error: 'UPLOAD_EXPIRED' } as const;

class Abort implements Command {
  check = isThere;
  async run(model: Model, real: Real) {
    await ground.mutate('abortUpload', { id: real.id }, 'file { id }');
    if (model.status === 'PENDING') Object.assign(model, expired);
    await compare(model, real);
  }
  toString = () => 'abort';
}

class Delete implements Command {
  check = isThere;
  async run(model: Model, real: Real) {
    await ground.mutate('deleteFile', { id: real.id }, 'deletedFileId');
    model.status = 'DELETED';
    await compare(model, real);
  }
  toString = () => 'delete';
}

/** Somebody who may not even see it: each call is answered as if it were not there, and changes nothing. */
class Stranger implements Command {
  readonly who: 'a member' | 'another organization';
  constructor(who: 'a member' | 'another organization') {
    this.who = who;
  }
  check = () => true;
  async run(model: Model, real: Real) {
    const token = strangers[this.who];
    const { data } = await ground.api.request(
      token,
      'query ($id: ID!) { file(id: $id) { status } }',
      { id: real.id },
    );
    expect(data.file).toBeNull();
    for (const name of ['finalizeUpload', 'abortUpload', 'deleteFile']) {
      await expect(ground.mutate(name, { id: real.id }, '__typename', token)).rejects.toMatchObject(
        { code: 'NOT_FOUND' },
      );
    }
    await compare(model, real);
  }
  toString = () => `${this.who} tries`;
}

class Touch implements Command {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  check = (model: Model) => !isThere(model);
  async run(_: Model, { id }: Real) {
    await expect(ground.mutate(this.name, { id }, '__typename')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  }
  toString = () => `${this.name} of what is deleted`;
}

test(`${runs} lives of files go as the model says`, async () => {
  const commands = [
    fc.constant(new Put('right')),
    fc.constant(new Put('wrong')),
    fc.constant(new Finalize(true)),
    fc.constant(new Finalize(false)),
    fc.constant(new PassTime()),
    fc.constant(new Expire()),
    fc.constant(new Abort()),
    fc.constant(new Delete()),
    fc.constantFrom(new Stranger('a member'), new Stranger('another organization')),
    fc.constantFrom(
      ...['finalizeUpload', 'abortUpload', 'deleteFile'].map((name) => new Touch(name)),
    ),
  ];
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 12 }), async (life) => {
      const { file, upload } = await ground.presign(right);
      await fc.asyncModelRun(
        () => ({
          model: {
            status: 'PENDING',
            error: null,
            incoming: 'none',
            found: new Set(),
            isReplaced: false,
            isLate: false,
          } as Model,
          real: { id: file.id, upload },
        }),
        life,
      );
    }),
    { numRuns: runs },
  );
}, 600_000);

test('what is left in the store after all of them are the files that are ready', async () => {
  await ground.idle();
  await ground.run('files__reconcile', { minAgeSeconds: 0 });
  const { rows } = await ground.database.superuser.query(
    `select object_key from app_public.files where object_key is not null order by object_key`,
  );
  const pending = await ground.database.superuser.query(
    `select app_hidden.file_prefix('incoming', org_id, id) as key from app_public.files where status = 'PENDING'`,
  );
  const wanted = new Set(pending.rows.map(({ key }) => key));
  const keys = (await ground.keys()).filter((key) => !wanted.has(key));
  expect(keys).toEqual(rows.map(({ object_key }) => object_key).sort());
});
