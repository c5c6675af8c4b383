/** A permission id with what people read, in the order of the catalogue (admin-api §1.5). */
export interface Permission {
  key: string;
  name: string;
  description: string;
  category: string;
}

const catalogue: Record<string, Record<string, [name: string, description: string]>> = {
  Lexicons: {
    "lexicons:create": ["Create Lexicons", "Upload and replace lexicons, manual and from the network"],
    "lexicons:read": ["View Lexicons", "See lexicons and their documents"],
    "lexicons:delete": ["Delete Lexicons", "Remove lexicons; their records stay"],
  },
  Records: {
    "records:read": ["View Records", "See indexed records of every collection"],
    "records:delete": ["Delete Records", "Remove single records from the index"],
    "records:delete-collection": ["Delete Collections", "Remove all records of a collection from the index"],
  },
  Scripts: {
    "scripts:read": ["View Scripts", "See scripts and their source"],
    "scripts:manage": ["Manage Scripts", "Create, change and remove scripts"],
  },
  "Script Variables": {
    "script-variables:create": ["Create Script Variables", "Set the values that scripts read from env"],
    "script-variables:read": ["View Script Variables", "See which variables exist, without their values"],
    "script-variables:delete": ["Delete Script Variables", "Remove script variables"],
  },
  Users: {
    "users:create": ["Create Users", "Let accounts into the admin API"],
    "users:read": ["View Users", "See users and their permissions"],
    "users:update": ["Update Users", "Grant and revoke permissions"],
    "users:delete": ["Delete Users", "Remove users and their keys"],
  },
  "API Keys": {
    "api-keys:create": ["Create API Keys", "Make keys of one's own"],
    "api-keys:read": ["View API Keys", "See one's own keys"],
    "api-keys:delete": ["Revoke API Keys", "End one's own keys"],
  },
  Backfill: {
    "backfill:create": ["Start Backfill", "Start, pause, resume and cancel backfill jobs"],
    "backfill:read": ["View Backfill", "See backfill jobs and their details"],
  },
  System: {
    "stats:read": ["View Stats", "See counts of records"],
    "events:read": ["View Events", "See the event log"],
  },
  Labelers: {
    "labelers:create": ["Add Labelers", "Subscribe to labelers, pause and resume them"],
    "labelers:read": ["View Labelers", "See labeler subscriptions"],
    "labelers:delete": ["Remove Labelers", "End subscriptions and remove their labels"],
  },
  Settings: { "settings:manage": ["Manage Settings", "See and change the settings of the instance"] },
  Plugins: {
    "plugins:read": ["View Plugins", "See installed plugins"],
    "plugins:create": ["Install Plugins", "Install, reload and configure plugins"],
    "plugins:delete": ["Remove Plugins", "Remove plugins"],
  },
  "API Clients": {
    "api-clients:view": ["View API Clients", "See registered apps"],
    "api-clients:create": ["Create API Clients", "Register apps"],
    "api-clients:edit": ["Edit API Clients", "Change and deactivate apps"],
    "api-clients:delete": ["Delete API Clients", "Remove apps with their sessions"],
  },
  "Dead Letters": {
    "dead-letters:read": ["View Dead Letters", "See what scripts could not handle"],
    "dead-letters:manage": ["Manage Dead Letters", "Retry, reindex and dismiss dead letters"],
  },
  Jobs: {
    "jobs:read": ["View Jobs", "See jobs and their logs"],
    "jobs:create": ["Create Jobs", "Queue jobs"],
    "jobs:manage": ["Manage Jobs", "Pause, resume and cancel jobs"],
  },
};

/** Spaces are off in this version: their permissions can be held, so that templates carry over, and are not shown. */
const spaces = [
  "create",
  "read",
  "update",
  "delete",
  "manage-members",
  "manage-invites",
  "manage-records",
  "manage-credentials",
].map((act) => `spaces:${act}`);

export const permissions: readonly Permission[] = Object.entries(catalogue).flatMap(([category, entries]) =>
  Object.entries(entries).map(([key, [name, description]]) => ({ key, name, description, category })),
);

const known: ReadonlySet<string> = new Set([...permissions.map(({ key }) => key), ...spaces]);

export function isPermission(key: string): boolean {
  return known.has(key);
}

export const allPermissions: readonly string[] = [...known];

const viewer = [
  "lexicons:read",
  "records:read",
  "script-variables:read",
  "users:read",
  "api-keys:read",
  "backfill:read",
  "stats:read",
  "events:read",
  "dead-letters:read",
  "scripts:read",
];
const operator = [...viewer, "backfill:create", "api-keys:create", "api-keys:delete", "dead-letters:manage"];
const manager = [
  ...operator,
  "lexicons:create",
  "lexicons:delete",
  "script-variables:create",
  "script-variables:delete",
  "records:delete",
  "labelers:create",
  "labelers:read",
  "labelers:delete",
  "settings:manage",
  "plugins:read",
  "plugins:create",
  "plugins:delete",
  "api-clients:view",
  "api-clients:create",
  "api-clients:edit",
  "api-clients:delete",
  ...spaces,
  "scripts:manage",
];

/** Sets of permissions by name (admin-api §1.6). */
export const templates = [
  { key: "viewer", label: "Viewer", permissions: viewer },
  { key: "operator", label: "Operator", permissions: operator },
  { key: "manager", label: "Manager", permissions: manager },
  { key: "full_access", label: "Full Access", permissions: [...known] },
] as const;

export type Template = (typeof templates)[number]["key"];
