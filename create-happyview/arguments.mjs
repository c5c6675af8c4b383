// @ts-check
import { parseArgs } from "node:util";
import { Failure } from "./failure.mjs";
import { templates } from "./templates.mjs";

/**
 * @typedef {object} Arguments
 * @property {string | undefined} folder
 * @property {string | undefined} template
 * @property {string | undefined} happyview what the project depends on instead of the published version
 * @property {boolean} yes
 * @property {boolean} json
 * @property {boolean} help
 * @property {boolean} version
 */

export const help = `Makes a HappyView project: config, lexicons, scripts, a test and a Dockerfile.

Usage: npx create-happyview [folder] [options]

  -t, --template <name>   ${templates.map(({ name, about }) => `${name.padEnd(12)} ${about}`).join(`\n${" ".repeat(26)}`)}
  -y, --yes               ask nothing: the folder my-appview and the template minimal, unless given
      --happyview <spec>  depend on this happyview, such as a tarball; also CREATE_HAPPYVIEW_SPEC
      --json              print JSON for programs instead of text for people; asks nothing
  -v, --version
  -h, --help
`;

/**
 * @param {string[]} argv
 * @param {Readonly<Record<string, string | undefined>>} env
 * @returns {Arguments}
 */
export function readArguments(argv, env) {
  const { values, positionals } = parse(argv);
  if (positionals.length > 1)
    throw new Failure("ARGUMENT_INVALID", {
      message: `one folder is expected, not ${positionals.length}: ${positionals.join(" ")}`,
      hint: "put a name with spaces in quotes; `npx create-happyview --help` lists the options",
    });
  const { template, yes = false, json = false, help: wantsHelp = false, version = false } = values;
  const happyview = values.happyview ?? (env["CREATE_HAPPYVIEW_SPEC"] || undefined);
  return { folder: positionals[0], template, happyview, yes, json, help: wantsHelp, version };
}

/** @param {string[]} argv */
function parse(argv) {
  try {
    return parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        template: { type: "string", short: "t" },
        happyview: { type: "string" },
        yes: { type: "boolean", short: "y" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "v" },
      },
    });
  } catch (cause) {
    throw new Failure("ARGUMENT_INVALID", {
      message: cause instanceof Error ? cause.message : String(cause),
      hint: "`npx create-happyview --help` lists the options",
      cause,
    });
  }
}
