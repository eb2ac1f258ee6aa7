/** The part of the package `ndarray-ops` that @h5web/app uses, without code made of strings (see ndarray.ts). */
import type { NdArray } from "./ndarray";

/** Copy each value of `from` to the same place in `to`; both have the same shape. */
export function assign(to: NdArray, from: NdArray): boolean {
  const { shape } = to;
  const at = shape.map(() => 0);
  for (let n = to.size; n > 0; n--) {
    to.data[to.index(...at)] = from.data[from.index(...at)] as number;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at[axis] = (at[axis] ?? 0) + 1;
      if ((at[axis] ?? 0) < (shape[axis] ?? 0)) break;
      at[axis] = 0;
    }
  }
  return true;
}
