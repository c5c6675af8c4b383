/**
 * The largest record that is taken in, in bytes of its block or of its JSON. Repositories hold records of 1 MB (sync
 * specification), and their JSON is somewhat larger: a third more where it is bytes, in base64.
 */
export const maxRecordBytes = 2 * 1024 * 1024;
