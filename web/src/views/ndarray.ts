/**
 * The part of the package `ndarray` that @h5web/lib uses, without `new Function`: the service's content security policy
 * forbids code made of strings, and the package compiles a class for each dtype and number of axes.
 * vite.config.ts puts this file in its place. Names and meaning are those of the package.
 */
interface Data { [index: number]: number; length: number }

export class NdArray {
  readonly data: Data;
  readonly shape: number[];
  readonly stride: number[];
  readonly offset: number;

  constructor(data: Data, shape: number[], stride: number[], offset: number) {
    this.data = data;
    this.shape = shape;
    this.stride = stride;
    this.offset = offset;
  }

  get size(): number {
    return this.shape.reduce((product, n) => product * n, 1);
  }

  get dimension(): number {
    return this.shape.length;
  }

  /** Axes from the one whose neighbours lie closest to the one whose lie farthest. */
  get order(): number[] {
    return this.stride.map((step, i) => [Math.abs(step), i] as const).sort((a, b) => a[0] - b[0] || b[1] - a[1]).map(([, i]) => i);
  }

  get dtype(): string {
    return Array.isArray(this.data) ? "array" : this.data.constructor.name.replace(/Array$/, "").replace("Uint8Clamped", "uint8_clamped").toLowerCase();
  }

  index(...at: number[]): number {
    return this.stride.reduce((sum, step, i) => sum + step * (at[i] ?? 0), this.offset);
  }

  get(...at: number[]): number {
    return this.data[this.index(...at)] as number;
  }

  set(...atAndValue: number[]): number {
    const value = atAndValue.at(-1) as number;
    this.data[this.index(...atAndValue.slice(0, -1))] = value;
    return value;
  }

  /** Take one position along the axes that are given, and all of the others (null, undefined or below zero). */
  pick(...at: (number | null | undefined)[]): NdArray {
    const taken = this.shape.map((_, i) => at[i] ?? -1);
    const kept = taken.flatMap((n, i) => (n < 0 ? [i] : []));
    const offset = taken.reduce((sum, n, i) => sum + (n < 0 ? 0 : n * (this.stride[i] ?? 0)), this.offset);
    return new NdArray(this.data, kept.map((i) => this.shape[i] ?? 0), kept.map((i) => this.stride[i] ?? 0), offset);
  }

  transpose(...axes: number[]): NdArray {
    const order = this.shape.map((_, i) => axes[i] ?? i);
    return new NdArray(this.data, order.map((i) => this.shape[i] ?? 0), order.map((i) => this.stride[i] ?? 0), this.offset);
  }

  /** Leave out what lies before. */
  lo(...from: (number | null | undefined)[]): NdArray {
    const cut = this.shape.map((_, i) => Math.max(0, from[i] ?? 0));
    return new NdArray(this.data, this.shape.map((n, i) => n - (cut[i] ?? 0)), this.stride, this.index(...cut));
  }

  /** Keep so many. */
  hi(...length: (number | null | undefined)[]): NdArray {
    return new NdArray(this.data, this.shape.map((n, i) => length[i] ?? n), this.stride, this.offset);
  }

  step(...by: (number | null | undefined)[]): NdArray {
    const steps = this.shape.map((_, i) => by[i] ?? 1);
    const start = steps.map((n, i) => (n < 0 ? (this.shape[i] ?? 1) - 1 : 0));
    return new NdArray(this.data, this.shape.map((n, i) => Math.ceil(n / Math.abs(steps[i] ?? 1))),
      this.stride.map((n, i) => n * (steps[i] ?? 1)), this.index(...start));
  }
}

/** Wrap numbers that lie row after row (or as `stride` says) as an array with axes. */
export default function ndarray(data: Data, shape: number[] = [data.length], stride?: number[], offset = 0): NdArray {
  const rows = shape.map((_, i) => shape.slice(i + 1).reduce((product, n) => product * n, 1));
  return new NdArray(data, [...shape], stride ? [...stride] : rows, offset);
}
