/** Stands for `ndarray-ops`, which @h5web/lib imports and does not use (see vite.config.ts). */
export {};
