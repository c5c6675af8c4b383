import { fengariExceptions, type Exception } from "./_exceptions.ts";

const areas: readonly Exception["area"][] = ["Numbers", "Language", "Messages"];

const head = `# Lua engines

<!-- Written from test/plugins/lua-scripts/engines/_exceptions.ts; the test document.test.ts says when it is stale. -->

Scripts run on Lua 5.4: the reference implementation, compiled to WebAssembly. A host without WebAssembly can run them
on [fengari](https://fengari.io) instead, which is Lua 5.3 written in JavaScript:

\`\`\`ts
luaScripts({ engine: "fengari" });
\`\`\`

Both are behind one interface and pass one suite of cases. What differs is listed here; each line is a case of that
suite which is known to fail on fengari. Fengari is also slower, by about five to fifteen times, and every run pays for
a state of its own.
`;

const limits = `
## Limits

| | Lua 5.4 | fengari |
|---|---|---|
| Instructions, time of the script | by a hook every 1,000 instructions; once exceeded, at every instruction | the same |
| Time inside one library call, such as a pattern | the thread is ended | the same |
| Memory | an exact ceiling for each run, \`memoryBytes\` | no ceiling: only \`string.rep\` is checked against \`memoryBytes\`. A thread whose tables fill its heap (256 MB) is ended, the run fails with \`not enough memory\` and the other runs of the thread begin again. Strings lie outside of that heap: a script that doubles a string can use much of the machine. Do not run scripts of strangers on it |
| Values on the stack | 1,000,000 | 200,000, then \`stack overflow\` |
| \`used.memoryBytes\` | the peak | 0 |
`;

/** The text of docs/lua-engines.md. */
export function document(): string {
  return [head, ...areas.map(section), limits].join("");
}

function section(area: Exception["area"]): string {
  const rows = Object.values(fengariExceptions)
    .filter((exception) => exception.area === area)
    .map(({ lua54, fengari }) => `| ${lua54} | ${fengari} |\n`);
  return `\n## ${area}\n\n| Lua 5.4 | fengari |\n|---|---|\n${rows.join("")}`;
}
