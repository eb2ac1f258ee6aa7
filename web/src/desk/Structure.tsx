/** The structure of an HDF5 file: the viewer of H5Web, in a chunk of its own that is fetched when it is first opened. */
import { App, H5GroveProvider, createBasicFetcher } from "@h5web/app";
import "@h5web/app/styles.css";
import type { ReactElement } from "react";
import { h5groveAddress } from "../api/client";

const fetcher = createBasicFetcher({ credentials: "same-origin" });

export default function Structure({ file }: { file: string }): ReactElement {
  return (
    <div className="h5viewer" data-testid="structure">
      <H5GroveProvider url={h5groveAddress()} filepath={file} fetcher={fetcher}><App /></H5GroveProvider>
    </div>
  );
}
