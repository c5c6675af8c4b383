import { differences, type Area, type Difference } from "./differences.ts";

const areas: readonly Area[] = ["Numbers", "Language", "Messages"];

const head = `# Lua engines

<!-- Written from test/conformance/differences.ts; the test document.test.ts says when it is stale. -->

Scripts run on Lua 5.4: the reference implementation, compiled to WebAssembly. A host without WebAssembly can run them
on [fengari](https://fengari.io) instead, which is Lua 5.3 written in JavaScript:

\`\`\`ts
luaScripts({ engine: "fengari" });
\`\`\`

Both are behind one interface and run the same cases: the conformance corpus (\`test/conformance/lua\`) and the suite of
the engines (\`test/plugins/lua-scripts/engines\`). What fengari cannot pass is listed here, with the cases that show it;
the tests fail when one of them begins to pass. Fengari is also slower, by about five to fifteen times, and every run pays
for a state of its own.
`;

const limits = `
## Limits

| | Lua 5.4 | fengari |
|---|---|---|
| Instructions, time of the script | by a hook every 1,000 instructions; once exceeded, at every instruction | the same |
| Time inside one library call, such as a pattern | the thread is ended | the same |
| Memory | an exact ceiling for each run, \`memoryBytes\` | no ceiling for all that a run holds: one string of \`..\`, \`string.rep\` or \`string.format\` is at most \`memoryBytes\` long. A thread whose tables fill its heap (256 MB) is ended, the run fails with \`not enough memory\` and the other runs of the thread begin again. On Bun, which bounds no heap of a thread, only the time of the run ends it, and a job has none. Strings lie outside of that heap: a script that keeps many large ones can use much of the machine. Do not run scripts of strangers on it |
| Values on the stack | 1,000,000 | 200,000, then \`stack overflow\` |
| \`used.memoryBytes\` | the peak | 0 |
`;

/** The text of docs/lua-engines.md. */
export function engineDocument(): string {
  return [head, ...areas.map(section), limits].join("");
}

function section(area: Area): string {
  const rows = differences.filter((difference) => difference.area === area).map(row);
  return `\n## ${area}\n\n| Lua 5.4 | fengari | Cases |\n|---|---|---|\n${rows.join("")}`;
}

function row({ lua54, fengari, cases }: Difference): string {
  return `| ${lua54} | ${fengari} | ${cases.join("<br>")} |\n`;
}
