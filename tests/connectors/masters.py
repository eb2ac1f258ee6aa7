"""Files as DECTRIS's FileWriter lays them out."""

import h5py
import hdf5plugin


def write_master(folder, frames, *, per_file, packed=True, config=None):
    """A master file with links to data files of at most `per_file` frames."""
    with h5py.File(folder / "scan_master.h5", "w") as master:
        data = master.create_group("entry/data")
        specific = master.create_group("entry/instrument/detector/detectorSpecific")
        told = {"ntrigger": len(frames), "nimages": 1, "incident_energy": 8041.0, **(config or {})}
        for name, value in told.items():
            specific[name] = value
        master["entry/instrument/detector/description"] = "EIGER2, simulated"
        for number, start in enumerate(range(0, len(frames), per_file), 1):
            name = f"scan_data_{number:06d}.h5"
            with h5py.File(folder / name, "w") as file:
                part = frames[start : start + per_file]
                how = hdf5plugin.Bitshuffle(nelems=0, cname="lz4") if packed else {}
                made = file.create_dataset("entry/data/data", data=part, chunks=(1, *part.shape[1:]), **how)
                made.attrs.update({"image_nr_low": start + 1, "image_nr_high": start + len(part)})
            data[f"data_{number:06d}"] = h5py.ExternalLink(name, "entry/data/data")
