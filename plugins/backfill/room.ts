/** Memory that what hosts send may take in this process, however much it is: pages of lists, and exports of repos. */
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

/** There is no room for an answer while others have it: neither its host nor its account can help that. */
export class NoRoom extends Error {}

/** What one answer takes of a room. */
export interface Share {
  /** @throws NoRoom */
  take(bytes: number): void;
  /** So far. */
  readonly bytes: number;
  /** Nothing more is read of the answer: its memory is free. */
  release(): void;
}

export function shareOf(room: Room, what: string): Share {
  let bytes = 0;
  return {
    take(more) {
      if (!room.take(more)) throw new NoRoom(`there is no room for ${what} while others are read`);
      bytes += more;
    },
    get bytes() {
      return bytes;
    },
    release() {
      room.give(bytes);
      bytes = 0;
    },
  };
}
