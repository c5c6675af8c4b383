// @ts-check

/** What the user has to change; anything else that is thrown is our bug. */
export class Failure extends Error {
  /**
   * @param {"ARGUMENT_INVALID" | "NAME_INVALID" | "TEMPLATE_UNKNOWN" | "FOLDER_NOT_EMPTY" | "FOLDER_UNUSABLE"} code
   * @param {{ message: string; hint: string; cause?: unknown }} options
   */
  constructor(code, { message, hint, cause }) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.hint = hint;
  }
}
