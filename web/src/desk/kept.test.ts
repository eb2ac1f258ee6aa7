import { describe, expect, it } from "vitest";
import { askedFor, deskPath, fileOf, keep, recall, NOTHING_KNOWN } from "./kept";

describe("the address of a scan", () => {
  it("leads back to the scan and its run", () => {
    const path = deskPath("/data/a b&c.h5", "20260101_x");
    expect(askedFor(new URL(path, "http://h").search)).toEqual({ file: "/data/a b&c.h5", run: "20260101_x" });
    expect(askedFor(new URL(deskPath(null, null), "http://h").search)).toEqual({ file: null, run: null });
  });
  it("is known for jobs that read a file", () => {
    expect(fileOf({ source: { use: "dxfile", path: "/data/a.h5" } })).toBe("/data/a.h5");
    expect(fileOf({ source: { use: "pva", image: "a:b" } })).toBeNull();
    expect(fileOf(null)).toBeNull();
  });
});

it("does without a place to keep things", () => {
  keep("/data/a.h5", { known: NOTHING_KNOWN, job: null });
  expect(recall("/data/a.h5")).toBeNull();
});
