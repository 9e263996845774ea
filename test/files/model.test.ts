import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type FileGround, openFileGround, type Payload, put } from '../support/files.ts';

/** The life of a file, against a model of it: whatever is tried in whatever order. */

let ground: FileGround;
beforeAll(async () => {
  ground = await openFileGround();
  await ground.startWorker();
});
afterAll(() => ground.close());

const right = Buffer.from('Sell more anvils.');
const wrong = Buffer.from('Sell less anvils.');
const runs = Number(process.env.FILE_MODEL_RUNS ?? 15);

type Model = { status: string; incoming: 'none' | 'right' | 'wrong'; error: string | null };
type Real = { id: string; upload: Payload };
type Command = fc.AsyncCommand<Model, Real>;

const isThere = ({ status }: Model) => status !== 'DELETED';

/** What the API says of the file has to be what the model says. */
async function compare(model: Model, { id }: Real): Promise<void> {
  const { data } = await ground.api.request(
    ground.token,
    'query ($id: ID!) { file(id: $id) { status error downloadUrl { url } } }',
    { id },
  );
  if (!isThere(model)) return expect(data.file).toBeNull();
  expect(data.file).toMatchObject({ status: model.status, error: model.error });
  expect(data.file.downloadUrl === null).toBe(model.status !== 'READY');
  if (model.status !== 'READY') return;
  const response = await fetch(data.file.downloadUrl.url);
  expect(Buffer.from(await response.arrayBuffer())).toEqual(right);
}

class Put implements Command {
  readonly what: 'right' | 'wrong';
  constructor(what: 'right' | 'wrong') {
    this.what = what;
  }
  check = () => true;
  async run(model: Model, real: Real) {
    const response = await put(real.upload, this.what === 'right' ? right : wrong);
    expect(response.status).toBe(200);
    model.incoming = this.what;
    await compare(model, real);
  }
  toString = () => `put ${this.what} bytes`;
}

class Finalize implements Command {
  check = isThere;
  async run(model: Model, real: Real) {
    await ground.mutate('finalizeUpload', { id: real.id }, 'file { id }');
    await ground.settled(real.id);
    if (model.status === 'PENDING') {
      const outcomes = {
        none: ['REJECTED', 'UPLOAD_MISSING'],
        right: ['READY', null],
        wrong: ['REJECTED', 'UPLOAD_CHECKSUM_MISMATCH'],
      } as const;
      [model.status, model.error] = outcomes[model.incoming];
    }
    await compare(model, real);
  }
  toString = () => 'finalize';
}

class Abort implements Command {
  check = isThere;
  async run(model: Model, real: Real) {
    await ground.mutate('abortUpload', { id: real.id }, 'file { id }');
    if (model.status === 'PENDING')
      Object.assign(model, { status: 'EXPIRED', error: 'UPLOAD_EXPIRED' });
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

class Touch implements Command {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  check = (model: Model) => !isThere(model);
  async run() {
    // Of a file that is gone.
    await expect(
      ground.mutate(this.name, { id: 'WyJGaWxlIiwieCJd' }, '__typename'),
    ).rejects.toMatchObject({ code: 'NOT_FOUND' });
  }
  toString = () => `${this.name} of nothing`;
}

test(`${runs} lives of files go as the model says`, async () => {
  const commands = [
    fc.constant(new Put('right')),
    fc.constant(new Put('wrong')),
    fc.constant(new Finalize()),
    fc.constant(new Abort()),
    fc.constant(new Delete()),
    fc.constantFrom(new Touch('finalizeUpload'), new Touch('deleteFile')),
  ];
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 12 }), async (life) => {
      const { file, upload } = await ground.presign(right);
      await fc.asyncModelRun(
        () => ({
          model: { status: 'PENDING', incoming: 'none', error: null } as Model,
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
  await ground.database.superuser.query(
    `select graphile_worker.add_job('files__reconcile', '{"minAgeSeconds": 0}')`,
  );
  await ground.idle();
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
