/** The pages: the list of runs at /, a run at /runs/ID, recorded scans at /offline. */
import { type MouseEvent, useEffect, useState } from "react";

export type Route = { page: "home" } | { page: "offline" } | { page: "run"; id: string } | { page: "unknown"; path: string };

export function readRoute(path: string): Route {
  const parts = path.split("/").filter(Boolean);
  if (parts.length === 0) return { page: "home" };
  if (parts.length === 1 && parts[0] === "offline") return { page: "offline" };
  if (parts.length === 2 && parts[0] === "runs") return { page: "run", id: safeDecode(parts[1] ?? "") };
  return { page: "unknown", path };
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const OFFLINE = "/offline";
export const runPath = (id: string): string => `/runs/${encodeURIComponent(id)}`;

export function go(path: string): void {
  window.history.pushState(null, "", path);
  window.dispatchEvent(new PopStateEvent("popstate"));
}

/** For links: stay in the page, but let the browser open new tabs as always. */
export const follow = (path: string) => (event: MouseEvent): void => {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  go(path);
};

export function useRoute(): Route {
  const [path, setPath] = useState(window.location.pathname);
  useEffect(() => {
    const changed = (): void => setPath(window.location.pathname);
    window.addEventListener("popstate", changed);
    return () => window.removeEventListener("popstate", changed);
  }, []);
  return readRoute(path);
}
