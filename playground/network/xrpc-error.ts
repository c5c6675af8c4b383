/** An answer `{"error": name, "message": …}` with the given status. */
export class XrpcError extends Error {
  readonly status: number;
  readonly error: string;

  constructor(status: number, error: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "XrpcError";
    this.status = status;
    this.error = error;
  }
}
