// Calls of the admin port.

/** A call that was refused or did not arrive. */
export class ApiError extends Error {
  constructor(
    /** 0 where the gateway could not be reached. */
    readonly status: number,
    message: string,
    /** The answer's body, where it was JSON. */
    readonly body?: unknown,
  ) {
    super(message);
  }
}

/** Called when a call needs a key, or a session is over. */
let onSignedOut: () => void = () => {};

export function whenSignedOut(then: () => void): void {
  onSignedOut = then;
}

export function signedOut(): void {
  onSignedOut();
}

export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { "x-rkgate-console": "1" };
  const init: RequestInit = { method, headers, cache: "no-store" };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  if (signal) {
    init.signal = signal;
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    throw new ApiError(0, "rkgate does not answer. Is it running?");
  }
  const text = await response.text();
  let json: unknown;
  try {
    json = text === "" ? undefined : JSON.parse(text);
  } catch {
    json = undefined;
  }
  if (response.ok) {
    return json as T;
  }
  if (response.status === 401 && path !== "/api/session") {
    signedOut();
  }
  throw new ApiError(response.status, messageOf(json) ?? `${method} ${path}: status ${response.status}`, json);
}

export const get = <T>(path: string, signal?: AbortSignal): Promise<T> => call<T>("GET", path, undefined, signal);

function messageOf(json: unknown): string | undefined {
  if (typeof json === "object" && json !== null && "error" in json) {
    const error = json.error;
    if (typeof error === "object" && error !== null && "message" in error && typeof error.message === "string") {
      return error.message;
    }
  }
  return undefined;
}

/** What to tell a person about something that was thrown. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
