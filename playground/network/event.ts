/** Jetstream v1 events, as they are on the wire. */
export type JetstreamEvent = JetstreamCommit | JetstreamIdentity | JetstreamAccount;

export type AccountStatus = "active" | "deleted" | "takendown" | "suspended" | "deactivated";

export interface JetstreamCommit {
  did: string;
  time_us: number;
  kind: "commit";
  commit: {
    rev: string;
    operation: "create" | "update" | "delete";
    collection: string;
    rkey: string;
    /** Absent on delete, like cid. */
    record?: JsonRecord;
    cid?: string;
  };
}

export interface JetstreamIdentity {
  did: string;
  time_us: number;
  kind: "identity";
  identity: { did: string; handle?: string; seq: number; time: string };
}

export interface JetstreamAccount {
  did: string;
  time_us: number;
  kind: "account";
  account: { active: boolean; did: string; seq: number; status?: string; time: string };
}

/** A record's JSON form: links are `{"$link": …}`, bytes `{"$bytes": …}`. */
export type JsonRecord = Record<string, unknown>;
