import { isObject } from "../../core/lexicons/document.ts";

/** One record that a method of `com.atproto.repo` writes, as its input names it. */
export interface RepoWrite {
  action: "create" | "update" | "delete";
  collection: string;
  rkey: string | undefined;
  record: Record<string, unknown> | undefined;
}

const actions: Readonly<Record<string, RepoWrite["action"]>> = {
  "com.atproto.repo.createRecord": "create",
  "com.atproto.repo.putRecord": "update",
  "com.atproto.repo.deleteRecord": "delete",
};

/** The writes of an input; none where the method writes no records, or the PDS will refuse the input anyway. */
export function repoWritesOf(nsid: string, input: unknown): RepoWrite[] {
  if (!isObject(input)) return [];
  const action = actions[nsid];
  if (action) return toWrite(action, input, input["record"]);
  if (nsid !== "com.atproto.repo.applyWrites" || !Array.isArray(input["writes"])) return [];
  return input["writes"].filter(isObject).flatMap((write) => {
    const kind = /^com\.atproto\.repo\.applyWrites#(create|update|delete)$/.exec(String(write["$type"]))?.[1];
    return kind ? toWrite(kind as RepoWrite["action"], write, write["value"]) : []; // the pattern says so
  });
}

function toWrite(
  action: RepoWrite["action"],
  { collection, rkey }: Record<string, unknown>,
  record: unknown,
): RepoWrite[] {
  if (typeof collection !== "string") return [];
  return [
    {
      action,
      collection,
      rkey: typeof rkey === "string" ? rkey : undefined,
      record: isObject(record) ? { ...record, $type: collection } : undefined,
    },
  ];
}
