// @ts-check
import { cancel, select, text } from "@clack/prompts";
import { Failure } from "./failure.mjs";
import { resolveTarget } from "./target.mjs";
import { templates } from "./templates.mjs";

/**
 * @param {string} cwd
 * @returns {Promise<string>}
 */
export async function askFolder(cwd) {
  return answered(
    await text({
      message: "Where should the project go?",
      placeholder: "my-appview",
      defaultValue: "my-appview",
      validate: (folder) => problemOf(() => resolveTarget(folder || "my-appview", cwd)),
    }),
  );
}

/** @returns {Promise<string>} */
export async function askTemplate() {
  return answered(
    await select({
      message: "What should it start with?",
      options: templates.map(({ name, about }) => ({ value: name, label: name, hint: about })),
    }),
  );
}

/**
 * @param {string | symbol} answer
 * @returns {string}
 */
function answered(answer) {
  if (typeof answer === "string") return answer;
  cancel("Nothing was written.");
  process.exit(1);
}

/** @param {() => unknown} check */
function problemOf(check) {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return `${error.message}: ${error.hint}`;
    throw error;
  }
}
