// @ts-check
import { Failure } from "./failure.mjs";

/** The folders of templates/ that a user chooses from; `query` is what the next steps ask for. */
export const templates = [
  {
    name: "minimal",
    about: "one record, one query: the smallest complete AppView",
    query: "com.example.listNotes",
  },
  {
    name: "statusphere",
    about: "emoji statuses of real accounts, live",
    query: "xyz.statusphere.listStatuses",
  },
];

/** @typedef {(typeof templates)[number]} Template */

/**
 * @param {string} name
 * @returns {Template}
 */
export function findTemplate(name) {
  const template = templates.find((known) => known.name === name);
  if (template) return template;
  throw new Failure("TEMPLATE_UNKNOWN", {
    message: `there is no template "${name}"`,
    hint: `choose one of: ${templates.map((known) => known.name).join(", ")}`,
  });
}
