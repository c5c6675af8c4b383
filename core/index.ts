// Config
export { defineConfig, type UserConfig, type UserConfigLayers } from "./config/define.ts";
export type { Config, Mode } from "./config/resolve.ts";
export type { LexiconOptions } from "./lexicons/resource.ts";

// Plugins
export {
  definePlugin,
  type Plugin,
  type PluginCommand,
  type PluginFactory,
  type RemoteCommand,
} from "./plugin.ts";
export type { PluginApp } from "./plugin-app.ts";
export { defineSchema } from "./db/schema.ts";
export type { Migration } from "./db/migrate.ts";
export type { AppHooks } from "./hooks.ts";
export type { ResourceKind, ResourceChange, Origin } from "./resources/kind.ts";

// Records
export type {
  AppliedChange,
  CommitEvent,
  AccountEvent,
  IdentityEvent,
  SourceEvent,
  SyncEvent,
  StreamPosition,
} from "./records/change.ts";
export type { Intake } from "./records/pipeline.ts";
export type { RecordBeforeEvent, RecordInterceptor } from "./records/intercept.ts";

// HTTP and XRPC
export type { HttpRequest } from "./http/request.ts";
export { html, json, jsonText, redirect, reply, text, type Reply } from "./http/reply.ts";
export { PdsAuthError, type PdsAnswer, type PdsSession, type PdsWriter } from "./xrpc/pds-writer.ts";
export type { XrpcCall, XrpcMethod } from "./xrpc/dispatch.ts";
export type { Caller, CallerStrategy } from "./http/caller.ts";

// Errors
export { HappyViewError, HttpError, isHappyViewError, isHttpError, type ErrorCode } from "./errors.ts";

// An instance in this process
export { createApp, type App, type AppOptions } from "./app.ts";
export { loadConfig, type LoadedConfig } from "./config/load.ts";
export { readProject } from "./cli/project.ts";
export { createLogger, type Logger } from "./log.ts";
