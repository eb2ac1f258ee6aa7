import { groupOf } from "./displays";
import { describe, expect, it } from "vitest";
import { readProblem, sayError, socketAddress, viewAddress } from "../api/client";
import type { RunDetail, ViewInfo } from "../api/types";
import { findResult } from "../forms/StepForm";
import { histogramScale, usableHistogram } from "../views/ContrastPanel";
import { ageOf, niceLength, readoutText } from "../views/ImageParts";
import { polylines } from "../views/LineView";
import { findPlanes } from "../views/planes";
import { arrangeViews, shortNames } from "../views/table";
import { EXAMPLE, readJob, writeJob } from "./job";
import { wordsOfRun } from "./states";
import { readRoute } from "./route";

const view = (name: string, axes: string[], more: Partial<ViewInfo> = {}): ViewInfo => ({
  name, step: "slices", output: name, axes, shape: axes.map(() => 100), unit: null, pixel_size: null, pixel_unit: null, follows: {}, ...more,
});

describe("job text", () => {
  it("reads YAML and JSON", () => {
    expect(readJob("source: {use: phantom}\nsteps: []")).toEqual({ job: { source: { use: "phantom" }, steps: [] } });
    expect(readJob('{"source": {"use": "phantom"}}')).toEqual({ job: { source: { use: "phantom" } } });
    expect("job" in readJob(EXAMPLE)).toBe(true);
  });
  it.each([["", /Paste/], ["source: [", /line/], ["- a", /mapping/], ["steps: []", /no `source:`/], ["just words", /mapping/]])(
    "explains %j", (text, words) => expect((readJob(text) as { mistake: string }).mistake).toMatch(words));
  it("writes what it reads", () => {
    const read = readJob(EXAMPLE) as { job: RunDetail["job"] };
    expect(readJob(writeJob(read.job))).toEqual(read);
  });
});

describe("addresses", () => {
  it("finds pages", () => {
    expect(readRoute("/")).toEqual({ page: "home" });
    expect(readRoute("/runs/a%20b/")).toEqual({ page: "run", id: "a b" });
    expect(readRoute("/runs/%E0%A4%A")).toMatchObject({ page: "run" });
    expect(readRoute("/nothing")).toMatchObject({ page: "unknown" });
  });
  it("makes addresses of views and sockets", () => {
    expect(viewAddress("r1", "slices.xy", "png", { colormap: "gray" })).toBe("/api/v1/runs/r1/views/slices.xy.png?colormap=gray");
    expect(socketAddress("/runs/1/events", { protocol: "https:", host: "b:8" })).toBe("wss://b:8/api/v1/runs/1/events");
  });
});

describe("refusals", () => {
  it("carry the service's words", () => {
    const error = readProblem(422, { error: { field: "z", value: 999, expected: "0 … 99", message: "z is 999.", next: "Choose 0 … 99." } });
    expect(sayError(error)).toBe("z is 999. Choose 0 … 99.");
  });
  it("list every mistake of a job", () => expect(readProblem(422, { error: { field: null, message: "2 mistakes" }, problems: ["a", "b"] }).problems).toEqual(["a", "b"]));
  it("survive other shapes", () => {
    expect(readProblem(404, { detail: "Not Found" }).message).toBe("Not Found");
    expect(readProblem(422, { detail: [{ loc: ["body", "job"], msg: "missing" }] }).message).toBe("job: missing");
    expect(readProblem(502, null).message).toMatch(/502/);
  });
});

describe("views", () => {
  it("are arranged so that axes line up", () =>
    expect(arrangeViews([view("yz", ["z", "y"]), view("projection", ["row", "col"]), view("xz", ["z", "x"]), view("point", []), view("xy", ["y", "x"])]).map((v) => v.name))
      .toEqual(["xy", "projection", "xz", "yz"]));
  it("get short names where these are unique", () =>
    expect([...shortNames([view("a.xy", []), view("b.xy", []), view("a.xz", [])]).values()]).toEqual(["a.xy", "b.xy", "xz"]));
  it("tell which planes can be moved, and how far", () => {
    const follows = { z: "slices.z", y: "slices.y", x: "slices.x" };
    const run = {
      views: [view("xy", ["y", "x"], { shape: [100, 120], follows }), view("xz", ["z", "x"], { shape: [50, 120], follows, pixel_size: [2, 2], pixel_unit: "um" })],
      steps: [{ name: "slices", use: "live_slices", title: "", live: true, held: {}, values: { z: 7, x: null }, schema: { properties: { z: { type: "integer", minimum: 0 } } } }],
    } as unknown as RunDetail;
    expect(findPlanes(run).map((p) => [p.axis, p.value, p.max, p.pixel])).toEqual([["z", 7, 49, 2], ["y", 49, 99, null], ["x", 59, 119, null]]);
  });
});

describe("around the image", () => {
  it("finds nice lengths", () => expect([0.7, 1, 23, 0.0049, 99].map(niceLength)).toEqual([0.5, 1, 20, 0.002, 50]));
  it("writes position and value in real units", () => {
    const header = { view: "xy", shape: [2, 2], full_shape: [4, 4], region: null, axes: ["y", "x"], pixel_size: [2, 2], pixel_unit: "um", unit: "1/cm" };
    const frame = { header, pixels: new Float32Array([1, 2, 3, NaN]) } as unknown as Parameters<typeof readoutText>[0];
    expect(readoutText(frame, { row: 0, column: 3 }).replace(/\u2009/g, " ")).toBe("x 3  y 0  (6 µm, 0 µm)   2 1/cm");
    expect(readoutText(frame, { row: 3, column: 3 })).toMatch(/no data$/);
  });
  it("adds the time in the service to the time here", () => {
    const stream = { frame: { header: { sent: 10.5, received: 10 } }, drawnAt: 1000 } as unknown as Parameters<typeof ageOf>[0];
    expect(ageOf(stream, 2000)).toBeCloseTo(1.5);
  });
  it("keeps the histogram's handles on its scale", () => {
    expect(histogramScale({ low: 0, high: 1, counts: [1] }, [0.2, 0.8])).toEqual([-0.3, 1.3]);
    expect(usableHistogram({ low: 1, high: 1, counts: [3] })).toBeNull();
    expect(usableHistogram(null)).toBeNull();
  });
  it("breaks a line where values are missing", () => expect(polylines([0, 1, NaN, 1]).parts).toEqual(["0.0,400.0 333.3,0.0", "1000.0,0.0"]));
  it("finds the first output of a step", () => expect(findResult({ "find_center.center": 3 }, "find_center")).toBe(3));
});

describe("groups of views", () => {
  const view = (name: string, unit: string | null, follows: Record<string, string>) => ({ name, step: "s", unit, follows, axes: ["y", "x"].filter((axis) => !(axis in follows)) });
  it("has the planes of one volume together", () => {
    expect(groupOf(view("s.xy", "1/cm", { z: "s.z" }))).toBe(groupOf(view("s.xz", "1/cm", { y: "s.y" })));
  });
  it("keeps apart what has nothing in common", () => {
    expect(groupOf(view("s.amplitude", null, {}))).not.toBe(groupOf(view("s.probe", null, {})));
    expect(groupOf(view("s.xy", "1/cm", { z: "s.z" }))).not.toBe(groupOf(view("s.xy", "rad", { z: "s.z" })));
  });
});

describe("what a run is called that has all its frames", () => {
  const run = (more: object): Parameters<typeof wordsOfRun>[0] => ({ state: "draining", stages: [], job: {}, counts: { waiting: 0 }, ...more }) as never;
  const stage = (done: number): object => ({ name: "sirt", done, expected: 2, rate: null, left: null });
  it.each([
    ["Finishing", run({})],
    ["Finishing", run({ stages: [stage(2)] })],
    ["Computing", run({ stages: [stage(0)] })],
    ["Computing", run({ stages: [stage(2)], bound: "computing sirt (3 of 400 rounds)" })],
    ["Finishing", run({ counts: { waiting: 5 }, bound: "computing sirt" })],
    ["Complete", run({ job: { runner: { linger: "1 h" } } })],
    ["Stopped", run({ state: "stopped", stages: [stage(0)] })],
  ])("%s", (label, given) => expect(wordsOfRun(given).label).toBe(label));
});
