import type { paths } from "./schema";

/** What GET answers at a path of the server's OpenAPI schema. */
export type Answer<P extends keyof paths> = paths[P] extends {
  get: { responses: { 200: { content: { "application/json": infer Body } } } };
}
  ? Body
  : never;

/** The server's error: what happened, why, and the command that mends it. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly body: { code?: string; problem?: string; cause?: string; remedy?: string; retryable?: boolean },
  ) {
    super(body.problem ?? `the server answered ${status}`);
  }
}

type Query = Record<string, string | number | boolean | undefined>;

/** GET with the types of the schema; `{name}` in the path is filled from `path`. */
export async function get<P extends keyof paths & string>(
  template: P,
  options: { path?: Record<string, string | number>; query?: Query; signal?: AbortSignal } = {},
): Promise<Answer<P>> {
  return (await send("GET", url(template, options.path, options.query), undefined, options.signal)) as Answer<P>;
}

/** A request that changes something. */
export async function change<Result>(
  method: "POST" | "PUT" | "PATCH" | "DELETE",
  template: keyof paths & string,
  options: { path?: Record<string, string | number>; body?: unknown } = {},
): Promise<Result> {
  return (await send(method, url(template, options.path), options.body)) as Result;
}

function url(template: string, path: Record<string, string | number> = {}, query: Query = {}): string {
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(path[name] ?? "")));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? filled : `${filled}?${search}`;
}

async function send(method: string, address: string, body?: unknown, signal?: AbortSignal): Promise<unknown> {
  const response = await fetch(address, {
    method,
    headers: body === undefined ? { accept: "application/json" } : { accept: "application/json", "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  const text = await response.text();
  if (!response.ok) throw new ApiError(response.status, parsed(text));
  return text === "" ? undefined : JSON.parse(text);
}

function parsed(text: string): ApiError["body"] {
  try {
    return JSON.parse(text) as ApiError["body"];
  } catch {
    return { problem: text.slice(0, 500) };
  }
}
