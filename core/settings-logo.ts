import type { Database } from "./db/database.ts";
import { HttpError } from "./errors.ts";
import type { Events } from "./events.ts";
import type { AdminRoutes } from "./http/admin.ts";
import { reply } from "./http/reply.ts";
import type { Router } from "./http/router.ts";

export interface Logo {
  /** True when one was uploaded; it stands before the setting `logo_uri`. */
  isUploaded(): boolean;
}

const maxBytes = 5 * 1024 * 1024;

/** The bytes of the instance's logo (admin-api §2.12). */
export async function createLogo(parts: {
  db: Database;
  admin: AdminRoutes;
  router: Router;
  events: Events;
}): Promise<Logo> {
  const { db, admin, router, events } = parts;
  let isUploaded = (await db.get("SELECT 1 AS one FROM happyview_logo")) !== undefined;

  admin.route("PUT /settings/logo", { permission: "settings:manage" }, async ({ request, caller }) => {
    const { type, bytes } = await uploadedFile(
      request.headers.get("content-type") ?? "",
      new Uint8Array(await request.arrayBuffer(maxBytes + 64 * 1024)),
    );
    await db.run(
      "INSERT INTO happyview_logo (id, content_type, bytes) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET content_type = excluded.content_type, bytes = excluded.bytes",
      [type, bytes],
    );
    isUploaded = true;
    events.emit({
      type: "setting.updated",
      actor: caller.did,
      subject: "logo",
      detail: { content_type: type, size_bytes: bytes.length },
    });
  });
  admin.route("DELETE /settings/logo", { permission: "settings:manage" }, async ({ caller }) => {
    await db.run("DELETE FROM happyview_logo");
    isUploaded = false;
    events.emit({ type: "setting.deleted", actor: caller.did, subject: "logo" });
  });
  router.route("GET /settings/logo", async () => {
    const row = await db.get<{ content_type: string; bytes: Uint8Array }>(
      "SELECT content_type, bytes FROM happyview_logo",
    );
    if (!row) throw new HttpError(404, "no logo uploaded");
    // An SVG may hold scripts: as an image they do not run, and opened by itself it may run none.
    return reply(200, new Uint8Array(row.bytes), {
      "content-type": row.content_type,
      "cache-control": "public, max-age=3600",
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
      "x-content-type-options": "nosniff",
    });
  });
  return { isUploaded: () => isUploaded };
}

async function uploadedFile(
  contentType: string,
  body: Uint8Array<ArrayBuffer>,
): Promise<{ type: string; bytes: Uint8Array<ArrayBuffer> }> {
  let file: unknown;
  try {
    const form = await new Response(body, { headers: { "content-type": contentType } }).formData();
    file = [...form.values()][0];
  } catch (error) {
    throw new HttpError(400, `invalid multipart: ${error instanceof Error ? error.message : ""}`);
  }
  if (!(file instanceof Blob)) throw new HttpError(400, "no file uploaded");
  if (!file.type.startsWith("image/")) throw new HttpError(400, "file must be an image");
  if (file.size > maxBytes) throw new HttpError(400, "logo must be 5MB or smaller");
  return { type: file.type, bytes: new Uint8Array(await file.arrayBuffer()) };
}
