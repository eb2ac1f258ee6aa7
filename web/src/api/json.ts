import type { Json } from "./types";

/** The fields of a mapping; anything else has none. */
export const fieldsOf = (value: Json | undefined): Record<string, Json> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
