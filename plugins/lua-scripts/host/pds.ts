export {
  PdsAuthError,
  type PdsAnswer,
  type PdsSession,
  type PdsWriter,
} from "../../../core/xrpc/pds-writer.ts";
