/** Centres that are tried side by side. */
export interface Range { around: number; reach: number; step: number }

/** More pictures than this nobody compares by eye. */
export const MOST = 41;

/** The values from `around - reach` to `around + reach`, both included; the step is widened where they would be too many. */
export function valuesOf({ around, reach, step }: Range): number[] {
  const wide = Math.max(step, (2 * reach) / (MOST - 1), 1e-3);
  const each = Math.floor(reach / wide + 1e-9);
  return Array.from({ length: 2 * each + 1 }, (_, i) => Number((around + (i - each) * wide).toFixed(3)));
}
