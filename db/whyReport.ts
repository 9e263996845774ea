import type { Access, PolicyVerdict } from './why.ts';
import type { Answer, Evaluated } from './whyEvaluate.ts';
import type { Sight } from './whyRow.ts';

/** What `npm run db:why` prints. */
export function renderAccess(access: Access): string {
  const { caller, command, table, policies, grants } = access;
  const lines = [
    `${access.allowed ? 'ALLOWED' : 'DENIED'}  ${command} on ${table}: ${access.decidedBy}`,
    '',
    `caller   ${caller.userId} in ${caller.orgId}, role ${caller.orgRole || '(none)'}, permissions ${caller.permissions.join(', ') || '(none)'}`,
    ...(access.unseen === 'membership' ? [`member   ${notMember}`] : []),
    `row      ${rowText(access)}`,
    ...(access.shutOut === null
      ? []
      : ['', 'The API lets the caller in no more: what follows is what they could do if it did.']),
    ...(access.tried === null
      ? []
      : [`tried    Postgres ${access.tried ? 'did it' : refusedText(access)}; rolled back`]),
    '',
    'grants of app_user',
    ...grants.map(
      ({ privilege, isGranted, columns }) =>
        `  ${mark(isGranted)}  ${privilege}${columns ? ` (${columns.join(', ')})` : ''}`,
    ),
  ];
  for (const policy of policies) lines.push('', ...policyLines(policy));
  if (policies.length === 0) lines.push('', 'No policy is for it.');
  return `${lines.join('\n')}\n`;
}

const refusedText = ({ refusal }: Access) =>
  refusal ? `refused: ${oneLine(refusal.message)} (${refusal.sqlState})` : 'met no row';

const notMember =
  'no: Clerk has told of no membership, and no token named one. The API goes by the token; --role says what it would say.';

function rowText({ row, rowOrgId, caller, seenBy }: Access): string {
  if (row === 'any') return 'none was named: what depends on the row is left open';
  if (row === 'new') return 'a new one, of defaults';
  const seen = seenBy === null ? '' : sights[seenBy];
  if (rowOrgId === null) return `is there${seen}`;
  return `is there, in ${rowOrgId}${rowOrgId === caller.orgId ? '' : ', which is not the caller’s organization'}${seen}`;
}

/** Policies may hide a row from the owner, too. */
const sights: Record<Sight, string> = {
  owner: '',
  caller: '; seen as the caller',
  administrator: '; seen as an administrator there',
  unforced: '; hidden from all but the owner of the table, unbound',
};

function policyLines({
  name,
  isPermissive,
  part,
  appliesAs,
  passes,
  condition,
}: PolicyVerdict): string[] {
  const title = `policy ${name}, ${isPermissive ? 'permissive' : 'restrictive'}, ${part} for ${appliesAs}`;
  return [title, ...conditionLines({ ...condition, answer: passes }, 1)];
}

function conditionLines(condition: Evaluated, depth: number): string[] {
  const { kind, text, answer, parts, sides } = condition;
  const indent = '  '.repeat(depth);
  const shown = kind === 'leaf' ? oneLine(text) : kind === 'or' ? 'any of' : 'all of';
  const values = sides.map(
    (side) => `${indent}          ${oneLine(side.text)} is ${side.value ?? 'null'}`,
  );
  return [
    `${indent}${mark(answer)}  ${shown}`,
    ...values,
    ...parts.flatMap((part) => conditionLines(part, depth + 1)),
  ];
}

const oneLine = (text: string) => text.replace(/\s+/g, ' ');

function mark(answer: Answer): string {
  return (answer === null ? 'null' : answer === 'row' ? 'depends' : String(answer)).padEnd(7);
}
