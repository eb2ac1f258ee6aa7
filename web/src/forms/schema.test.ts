import { describe, expect, it } from "vitest";
import type { Schema } from "../api/types";
import { checkText, foundChoice, nudgeStep, nudged, rangeText, readFields } from "./schema";

const schema: Schema = {
  type: "object",
  $defs: { Filter: { enum: ["ram-lak", "hann"], type: "string", description: "Shape of the ramp." } },
  properties: {
    center: { anyOf: [{ type: "number" }, { type: "null" }], unit: "px", default: null, description: "Column of the axis." },
    filter: { $ref: "#/$defs/Filter", default: "ram-lak" },
    energy: { anyOf: [{ type: "number", exclusiveMinimum: 0 }, { type: "string" }], unit: "keV" },
    size: { type: "integer", minimum: 3, maximum: 201, default: 21 },
    incremental: { type: "boolean", default: true },
    mode: { anyOf: [{ const: "a" }, { const: "b" }, { type: "null" }] },
    angles: { type: "array", items: { type: "number" } },
    note: { type: ["string", "null"] },
  },
};
const fields = Object.fromEntries(readFields(schema).map((f) => [f.name, f]));
const field = (name: string) => fields[name] ?? (() => { throw new Error(name); })();

describe("readFields", () => {
  it("keeps the order and finds the kinds", () =>
    expect(readFields(schema).map((f) => [f.name, f.kind, f.optional])).toEqual([
      ["center", "number", true], ["filter", "choice", false], ["energy", "number", false], ["size", "integer", false],
      ["incremental", "boolean", false], ["mode", "choice", true], ["angles", "json", false], ["note", "text", true],
    ]));
  it("follows references", () => {
    expect(field("filter").choices).toEqual(["ram-lak", "hann"]);
    expect(field("filter").help).toBe("Shape of the ramp.");
  });
  it("finds units, limits and defaults", () => {
    expect(field("center").unit).toBe("px");
    expect(field("size")).toMatchObject({ minimum: 3, maximum: 201, fallback: 21 });
    expect(rangeText(field("size"))).toBe("3 … 201");
    expect(rangeText(field("energy"))).toBe("> 0");
  });
  it("knows pydantic's own words for limits", () =>
    expect(readFields({ properties: { pixel: { anyOf: [{ gt: 0, type: "number", unit: "um" }, { type: "null" }] } } }).map((f) => [rangeText(f), f.unit])).toEqual([["> 0", "um"]]));
  it("tells what was found where a parameter is auto", () => {
    const turn = readFields({ properties: { way: { anyOf: [{ enum: ["identity", "fliplr", "flipud"] }, { const: "auto" }] } } })[0]!;
    expect(turn.choices).toEqual(["identity", "fliplr", "flipud", "auto"]);
    expect([foundChoice(turn, "auto", 1), foundChoice(turn, "auto", 7), foundChoice(turn, "auto", undefined), foundChoice(turn, "fliplr", 1)]).toEqual(["fliplr", null, null, null]);
  });
  it("survives odd schemas", () => {
    expect(readFields({})).toEqual([]);
    expect(readFields({ properties: { a: { $ref: "#/$defs/a" } }, $defs: { a: { $ref: "#/$defs/a" } } })[0]?.kind).toBe("json");
    expect(readFields({ properties: { a: {} } })[0]?.kind).toBe("json");
  });
});

describe("checkText", () => {
  it.each([
    ["size", "21", { value: 21 }], ["size", "2", { mistake: "2 is outside: 3 … 201." }], ["size", "3.5", { mistake: "3.5 is not a whole number." }],
    ["center", "", { value: null }], ["size", "  ", { mistake: "size cannot be empty." }], ["center", "234,5", { value: 234.5 }],
    ["energy", "0", { mistake: "0 is outside: > 0 keV." }], ["energy", "25 keV", { value: "25 keV" }], ["size", "abc", { mistake: '"abc" is not a number.' }],
    ["angles", "[1, 2]", { value: [1, 2] }], ["note", "hello", { value: "hello" }], ["center", "\u22121.5", { value: -1.5 }],
  ])("%s %j", (name, text, expected) => expect(checkText(field(name), text)).toEqual(expected));
});

describe("nudge", () => {
  it("moves a centre by half a pixel", () => expect(nudgeStep(field("center"), 234)).toBe(0.5));
  it("moves whole numbers by one", () => expect(nudgeStep(field("size"), 21)).toBe(1));
  it("fits the size of other values", () => expect(nudgeStep(field("energy"), 25)).toBe(5));
  it("adds without rounding noise and stays inside", () => {
    expect(nudged(field("center"), 0.1, 0.1, 2)).toBe(0.3);
    expect(nudged(field("size"), 200, 1, 5)).toBe(201);
  });
});
