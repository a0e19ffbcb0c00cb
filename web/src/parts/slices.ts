import type { Condition } from "../api/types";
import { number } from "../format";

/** A condition as a person would say it: carrier is EV, hour from 17 to 21. */
export function words(condition: Condition): string {
  const { column, state, value, above, upto } = condition;
  if (state === "missing") return `${column} is missing`;
  if (state === "other") return `${column} is a rare value`;
  if (value !== null) return `${column} is ${value}`;
  if (above !== null && upto !== null) return `${column} above ${number(above)}, up to ${number(upto)}`;
  return above === null ? `${column} up to ${number(upto)}` : `${column} above ${number(above)}`;
}
