import { useCallback, useState } from "react";
import { api, sayError } from "../api/client";

/** Stopping a run: said at once, and true until it has ended or the service refuses. */
export function useStop(id: string): { stopping: boolean; trouble: string | null; stop: () => Promise<void> } {
  const [stopping, setStopping] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const stop = useCallback(async () => {
    setStopping(true);
    setTrouble(null);
    await api.stop(id).catch((error: unknown) => {
      setTrouble(sayError(error));
      setStopping(false);
    });
  }, [id]);
  return { stopping, trouble, stop };
}
