/** What a client may spend: a bucket of tokens that fills up again. */
export interface Limit {
  capacity: number;
  /** Tokens a second. */
  refillRate: number;
}

export interface BucketState {
  tokens: number;
  /** Unix milliseconds. */
  at: number;
}

export interface Charge {
  allowed: boolean;
  state: BucketState;
  /** Whole tokens left. */
  remaining: number;
  /** Unix seconds at which the bucket would have been full before this charge; when refused, a full refill from now. */
  resetAt: number;
  /** Seconds until it would be allowed; 0 when it is. */
  retryAfter: number;
}

/** Charges a bucket (sync-and-xrpc §4.3). A cost above the capacity is never allowed. */
export function charge(
  before: BucketState | undefined,
  { capacity, refillRate }: Limit,
  cost: number,
  nowMs: number,
): Charge {
  const elapsed = before ? Math.max(0, nowMs - before.at) / 1000 : 0;
  const tokens = before ? Math.min(capacity, before.tokens + elapsed * refillRate) : capacity;
  const seconds = (missing: number): number =>
    refillRate > 0 ? missing / refillRate : Number.MAX_SAFE_INTEGER;
  const nowSeconds = Math.floor(nowMs / 1000);
  if (tokens >= cost) {
    const left = tokens - cost;
    return {
      allowed: true,
      state: { tokens: left, at: nowMs },
      remaining: Math.floor(left),
      resetAt: nowSeconds + Math.ceil(seconds(capacity - tokens)),
      retryAfter: 0,
    };
  }
  return {
    allowed: false,
    state: { tokens, at: nowMs },
    remaining: 0,
    resetAt: nowSeconds + Math.ceil(seconds(capacity)),
    retryAfter: Math.max(1, Math.ceil(seconds(cost - tokens))),
  };
}
