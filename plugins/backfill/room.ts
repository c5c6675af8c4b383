/** Memory that exports of repos may take in this process, whatever their hosts send. */
export interface Room {
  /** False when there is no room for so many bytes more. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

export function createRoom(maxBytes: number): Room {
  let taken = 0;
  return {
    take(bytes) {
      if (taken + bytes > maxBytes) return false;
      taken += bytes;
      return true;
    },
    give: (bytes) => void (taken -= bytes),
  };
}
