import type { Comparison } from './compare.ts';
import { contestantOf } from './contestants.ts';
import { operations } from './operations.ts';
import { type Summary, summarize } from './summarize.ts';

const width = 760;
const labelWidth = 210;
const barHeight = 18;
const groupGap = 46;
const nodeColour = '#3c873a';
const postgresColour = '#336791';

/** A comparison as an SVG: for each operation the CPU of a request, of Node and of Postgres. */
export function chart(comparison: Comparison): string {
  const rows = summarize(comparison).operations;
  const names = comparison.options.operations;
  let top = 64;
  const groups = names.map((name) => {
    const own = rows.filter(({ operation }) => operation === name);
    const group = drawGroup(name, own, top);
    top += own.length * (barHeight + 6) + groupGap;
    return group;
  });
  const caption = `CPU milliseconds per request, median of ${comparison.options.rounds} rounds. ${comparison.date.slice(0, 10)}, ${comparison.machine}.`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top}" font-family="system-ui, sans-serif" font-size="12" fill="#222">
<title>CPU time of a request, by operation and contestant</title>
<rect width="${width}" height="${top}" fill="#fff"/>
<text x="12" y="22">${escapeText(caption)}</text>
<rect x="12" y="32" width="12" height="12" fill="${nodeColour}"/><text x="30" y="42">Node</text>
<rect x="82" y="32" width="12" height="12" fill="${postgresColour}"/><text x="100" y="42">Postgres</text>
${groups.join('\n')}
</svg>
`;
}

function drawGroup(name: string, rows: readonly Summary[], top: number): string {
  const title = operations.find((operation) => operation.name === name)?.title ?? name;
  const most = Math.max(...rows.map(({ totalMs }) => totalMs.median));
  const scale = (width - labelWidth - 70) / most;
  const bars = rows.map(({ contestant, nodeMs, postgresMs, totalMs }, i) => {
    const y = top + 24 + i * (barHeight + 6);
    const node = nodeMs.median * scale;
    const postgres = postgresMs.median * scale;
    const textY = y + barHeight - 5;
    return [
      `<text x="${labelWidth - 8}" y="${textY}" text-anchor="end">${escapeText(contestantOf(contestant).title)}</text>`,
      bar(labelWidth, y, node, nodeColour),
      bar(labelWidth + node, y, postgres, postgresColour),
      `<text x="${(labelWidth + node + postgres + 6).toFixed(1)}" y="${textY}">${totalMs.median.toFixed(2)}</text>`,
    ].join('');
  });
  return `<text x="12" y="${top + 14}" font-weight="600">${escapeText(title)}</text>\n${bars.join('\n')}`;
}

function bar(x: number, y: number, length: number, colour: string): string {
  return `<rect x="${x.toFixed(1)}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" fill="${colour}"/>`;
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
